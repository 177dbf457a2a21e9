//! What one trace may hold, shared among its strands.

use std::sync::atomic::Ordering::Relaxed;

use crate::chunk::{CHUNKS, Chunk};
use crate::pool::{Member, Number, Pool};
use crate::sync::{AtomicU32, AtomicU64, shared_static};

shared_static! {
    pub(crate) static ALLOWANCES: Pool<Allowance> = Pool::new();
}

/// Calls are handed to strands so many at a time, ...
const BATCH: u32 = 32;
/// ... or this part of what is left, so that many strands at once all get some.
const SHARE: u32 = 512;
/// A trace may hold so many chunks of records, for checkpoints, texts and messages too, as if
/// each call took this many records, and some more.
const RECORDS_PER_CALL: u64 = 8;
const CHUNKS_MORE: u64 = 64;

/// What is left to a trace, and what it has been refused.
pub(crate) struct Allowance {
    calls: AtomicU32,
    chunks: AtomicU32,
    strands: AtomicU32,
    /// Chunks that were asked for beforehand.
    reserved: AtomicU32,
    grown: AtomicU32,
    dropped: AtomicU64,
}

/// Takes up to `amount` of what is left.
fn take(left: &AtomicU32, amount: u32) -> u32 {
    let before = left
        .fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(amount)))
        .unwrap_or(0);
    before.min(amount)
}

impl Allowance {
    pub(crate) fn new() -> Self {
        Self {
            calls: AtomicU32::new(0),
            chunks: AtomicU32::new(0),
            strands: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
            grown: AtomicU32::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    pub(crate) fn reset(&self, calls: u32, strands: u32, reserved: u32) {
        let records = u64::from(calls) * RECORDS_PER_CALL;
        let chunks = records / u64::from(BATCH) + CHUNKS_MORE;
        self.calls.store(calls, Relaxed);
        self.chunks
            .store(u32::try_from(chunks).unwrap_or(u32::MAX), Relaxed);
        self.strands.store(strands, Relaxed);
        self.reserved.store(reserved, Relaxed);
        self.grown.store(0, Relaxed);
        self.dropped.store(0, Relaxed);
    }

    pub(crate) fn get(number: Number) -> Option<&'static Member<Self>> {
        ALLOWANCES.get(number)
    }

    /// Some calls that a strand may record; 0 when the trace is full.
    pub(crate) fn take_calls(&self) -> u32 {
        let share = (self.calls.load(Relaxed) / SHARE).clamp(1, BATCH);
        take(&self.calls, share)
    }

    /// Calls that a strand did not need after all.
    pub(crate) fn return_calls(&self, calls: u32) {
        self.calls.fetch_add(calls, Relaxed);
    }

    /// Whether one more strand may record.
    pub(crate) fn take_strand(&self) -> bool {
        let is_left = take(&self.strands, 1) == 1;
        if !is_left {
            self.note_dropped();
        }
        is_left
    }

    /// A chunk more for a strand; none when the trace is full.
    pub(crate) fn take_chunk(&self) -> Option<&'static Member<Chunk>> {
        if take(&self.chunks, 1) == 0 {
            return None;
        }
        if take(&self.reserved, 1) == 0 {
            self.grown.fetch_add(1, Relaxed);
        }
        Some(CHUNKS.take(Chunk::new))
    }

    /// Something could not be recorded.
    pub(crate) fn note_dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    pub(crate) fn grown(&self) -> u32 {
        self.grown.load(Relaxed)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}
