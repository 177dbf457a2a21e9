//! The services around a trace's: the one that called, and those that were called.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::primitives::sync::{AtomicU32, AtomicU64};
use crate::store::ids::{SpanId, TraceId};
use crate::store::tracestate::Tracestate;

/// The flag of a `traceparent` whose sender may have recorded the request.
pub(crate) const SAMPLED: u8 = 1;
/// The flag of a trace id whose lower 56 bits are random.
pub(crate) const RANDOM: u8 = 2;

/// What a caller told of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) trace_id: TraceId,
    pub(crate) parent: SpanId,
    pub(crate) flags: u8,
}

/// The part of a trace's state that is about other services: its caller, and those that it called.
pub(crate) struct AtomicCaller {
    /// See the constants; in the second byte the caller's flags, in the upper half the length of its `tracestate`.
    marks: AtomicU32,
    /// The upper half and the lower.
    trace_id: [AtomicU64; 2],
    parent: AtomicU64,
    tracestate: Tracestate,
}

/// A thread writes what the caller told, or has.
const IS_TAKEN: u32 = 1;
/// The words hold what the caller told.
const HAS_CALLER: u32 = 1 << 1;
/// A service that was called has kept its part of the trace.
const IS_KEPT_DOWNSTREAM: u32 = 1 << 2;
/// The trace is sent as sampled, unless it continues another one.
const IS_SENT_SAMPLED: u32 = 1 << 3;
const FLAGS_SHIFT: u32 = 8;
const LENGTH_SHIFT: u32 = 16;

impl AtomicCaller {
    pub(crate) fn new() -> Self {
        Self {
            marks: AtomicU32::new(0),
            trace_id: [AtomicU64::new(0), AtomicU64::new(0)],
            parent: AtomicU64::new(0),
            tracestate: Tracestate::new(),
        }
    }

    /// Forgets the caller. No other thread uses it any more.
    #[inline]
    pub(crate) fn clear(&self) {
        if self.marks.load(Relaxed) != 0 {
            self.marks.store(0, Relaxed);
            self.tracestate.clear();
        }
    }

    /// Sets the caller. Only the first one counts: ids that were given must not change again. Returns
    /// whether it was.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "both halves are stored, and lengths are short"
    )]
    pub(crate) fn set(&self, caller: Caller, tracestate: &[u8]) -> bool {
        if self.marks.fetch_or(IS_TAKEN, AcqRel) & IS_TAKEN != 0 {
            return false;
        }
        let bits = caller.trace_id.to_bits();
        self.trace_id[0].store((bits >> u64::BITS) as u64, Relaxed);
        self.trace_id[1].store(bits as u64, Relaxed);
        self.parent.store(caller.parent.to_bits(), Relaxed);
        let length = if tracestate.is_empty() {
            0
        } else {
            self.tracestate.set(tracestate)
        };
        let flags = u32::from(caller.flags) << FLAGS_SHIFT;
        // Some bits are enough for it.
        let length = (length as u32) << LENGTH_SHIFT;
        self.marks.fetch_or(HAS_CALLER | flags | length, Release);
        true
    }

    pub(crate) fn get(&self) -> Option<Caller> {
        let marks = self.marks.load(Acquire);
        if marks & HAS_CALLER == 0 {
            return None;
        }
        let [_, flags, ..] = marks.to_le_bytes();
        let upper = u128::from(self.trace_id[0].load(Relaxed)) << u64::BITS;
        Some(Caller {
            trace_id: TraceId::new(upper | u128::from(self.trace_id[1].load(Relaxed)))?,
            parent: SpanId::new(self.parent.load(Relaxed))?,
            flags,
        })
    }

    /// Returns the members of other services in the caller's `tracestate`; `None` if there are none. Asked for after
    /// the [caller](Self::get).
    #[inline]
    pub(crate) fn tracestate(&self) -> Option<impl Iterator<Item = u8>> {
        let length = self.marks.load(Acquire) >> LENGTH_SHIFT;
        (length > 0).then(|| self.tracestate.bytes(length as usize))
    }

    /// Returns whether the caller said that it samples the request.
    #[cfg(feature = "recorder")]
    pub(crate) fn is_sampled_upstream(&self) -> bool {
        let sampled = HAS_CALLER | u32::from(SAMPLED) << FLAGS_SHIFT;
        self.marks.load(Relaxed) & sampled == sampled
    }

    pub(crate) fn send_sampled(&self) {
        self.marks.fetch_or(IS_SENT_SAMPLED, Relaxed);
    }

    /// Returns the flags that are sent without a caller.
    pub(crate) fn own_flags(&self) -> u8 {
        let is_sampled = self.marks.load(Relaxed) & IS_SENT_SAMPLED != 0;
        RANDOM | if is_sampled { SAMPLED } else { 0 }
    }

    pub(crate) fn note_kept_downstream(&self) {
        self.marks.fetch_or(IS_KEPT_DOWNSTREAM, Relaxed);
    }

    #[cfg(feature = "recorder")]
    pub(crate) fn is_kept_downstream(&self) -> bool {
        self.marks.load(Relaxed) & IS_KEPT_DOWNSTREAM != 0
    }
}
