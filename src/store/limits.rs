//! The limits of one trace, shared among its strands.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::primitives::pool::{Member, Number, Pool};
use crate::primitives::sync::{AtomicU32, AtomicU64, shared_static};
use crate::store::chunk::{CHUNKS, Chunk, RECORDS};
use crate::store::paths::Paths;
use crate::store::record::TEXT_PIECE;
#[cfg(feature = "sites")]
use crate::store::sites::TraceSites;
#[cfg(feature = "tracing")]
use crate::store::subscriber::SubscriberCounts;
use crate::store::sum::{SUMS, SharedSum};

shared_static! {
    pub(crate) static ALLOWANCES: Pool<Allowance> = Pool::new();
}

/// The number of calls that a strand takes from the limit at a time. It takes fewer if other strands
/// that may come would get none.
const BATCH: u32 = 32;
/// A trace may hold as many chunks of records as if each call took this many records, which leaves room
/// for checkpoints and messages, and some more for folded calls while they are open.
const RECORDS_PER_CALL: u64 = 8;
const CHUNKS_MORE: u64 = 64;
/// For each call that may be recorded and each folding strand that may be open, a trace may have this
/// many paths of folded calls, and this many sums of these on each strand, and some more.
const SUMS_PER_CALL: u32 = 4;
const SUMS_MORE: u32 = 1024;

/// Limits of one trace: see [`Trace::with_limits`](crate::Trace::with_limits).
///
/// Calls beyond the limits are added up by their [path](crate::Report::folded), and the sums stay exact.
/// Only scopes and futures beyond [`folded_strands`](Self::folded_strands) are not recorded.
///
/// ```
/// use tracer::Limits;
///
/// let limits = Limits::default().calls(1_000).strands(100);
/// assert_eq!((limits.calls, limits.strands, limits.text_bytes), (1_000, 100, 1 << 20));
/// ```
#[doc(alias = "SpanLimits")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Calls that are recorded one by one: 10,000 by default. Each takes 128 bytes, and so does each
    /// checkpoint. A trace holds eight records for each call of its limit, and 2,000 more. With 0, all
    /// calls are only added up.
    pub calls: usize,
    /// Scopes and instrumented futures whose calls are recorded one by one: 1,000 by default. Each takes
    /// a page of 4,096 bytes at least.
    pub strands: usize,
    /// Scopes and futures beyond [`strands`](Self::strands) that may be open at once: 10,000 by default.
    /// Their calls are only added up, so each takes its page only until it ends. Scopes and futures
    /// beyond this limit are not entered: their work is in no call, and [`Report::dropped`] counts them.
    ///
    /// [`Report::dropped`]: crate::Report::dropped
    pub folded_strands: usize,
    /// Total bytes of the ids, labels, names and messages that do not fit in the 39 bytes of their
    /// record: 1 MiB by default. Texts beyond the limit are cut at 39 bytes.
    pub text_bytes: usize,
    /// Allocation sites, if the trace records them: 4,096 by default. A place in the code that is reached in
    /// another call, or from another caller, is another site. Each takes up to 600 bytes.
    /// [`Report::sites_not_recorded`](crate::Report::sites_not_recorded) has those beyond the limit.
    pub sites: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Limits {
    pub(crate) const DEFAULT: Self = Self {
        calls: 10_000,
        strands: 1_000,
        folded_strands: 10_000,
        text_bytes: 1 << 20,
        sites: 4096,
    };

    /// Sets the limit of [calls](Self::calls).
    #[must_use]
    pub const fn calls(mut self, calls: usize) -> Self {
        self.calls = calls;
        self
    }

    /// Sets the limit of [strands](Self::strands).
    #[must_use]
    pub const fn strands(mut self, strands: usize) -> Self {
        self.strands = strands;
        self
    }

    /// Sets the limit of [strands beyond that](Self::folded_strands).
    #[must_use]
    pub const fn folded_strands(mut self, strands: usize) -> Self {
        self.folded_strands = strands;
        self
    }

    /// Sets the limit of [bytes of text](Self::text_bytes).
    #[must_use]
    pub const fn text_bytes(mut self, bytes: usize) -> Self {
        self.text_bytes = bytes;
        self
    }

    /// Sets the limit of [allocation sites](Self::sites).
    #[must_use]
    pub const fn sites(mut self, sites: usize) -> Self {
        self.sites = sites;
        self
    }
}

/// Saturates an amount to 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "it is saturated")]
const fn count(amount: u64) -> u32 {
    if amount > u32::MAX as u64 {
        u32::MAX
    } else {
        amount as u32
    }
}

/// What a new trace may hold: its limits, in the amounts that are counted. Computed once for many traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    calls: u32,
    chunks: u32,
    strands: u32,
    folded_strands: u32,
    sums: u32,
    text_bytes: u32,
    /// Chunks that are reserved in advance.
    reserved: u32,
}

impl Room {
    pub(crate) const fn of(capacity: usize, limits: Limits) -> Self {
        let calls = count(limits.calls as u64);
        let text_bytes = count(limits.text_bytes as u64);
        let pieces = text_bytes as u64 / TEXT_PIECE as u64;
        let records = calls as u64 * RECORDS_PER_CALL + pieces;
        let folded_strands = count(limits.folded_strands as u64);
        let sums = calls
            .saturating_add(folded_strands)
            .saturating_mul(SUMS_PER_CALL);
        let within = if capacity < limits.calls {
            capacity
        } else {
            limits.calls
        };
        Self {
            calls,
            chunks: count(records / RECORDS as u64 + CHUNKS_MORE),
            strands: count(limits.strands as u64),
            folded_strands,
            sums: sums.saturating_add(SUMS_MORE),
            text_bytes,
            // The first chunk is the strand's own.
            reserved: count((within.saturating_sub(1) / RECORDS) as u64),
        }
    }
}

/// Set in [`Allowance::dropped`] if a strand was among it.
const STRAND_DROPPED: u64 = 1 << 63;

/// The state that the strands of a trace share: what is left of its limits, the number of things not
/// recorded, the paths of folded calls, when a call last moved into another one, the subscriber's memory, and
/// which allocation sites are wanted.
pub(crate) struct Allowance {
    calls: AtomicU32,
    chunks: AtomicU32,
    /// How many strands began in the upper half, how many more may record in the lower.
    strands: AtomicU64,
    /// Strands beyond that limit, of which this many may still be open.
    folded_strands: AtomicU32,
    sums: AtomicU32,
    text_bytes: AtomicU32,
    /// Chunks that were reserved in advance.
    reserved: AtomicU32,
    grown: AtomicU32,
    dropped: AtomicU64,
    pub(crate) paths: Paths,
    moved: AtomicU64,
    #[cfg(feature = "tracing")]
    pub(crate) subscriber: SubscriberCounts,
    #[cfg(feature = "sites")]
    pub(crate) sites: TraceSites,
}

/// Takes up to `amount` of the rest.
fn take(left: &AtomicU32, amount: u32) -> u32 {
    let before = left
        .fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(amount)))
        .unwrap_or(0);
    before.min(amount)
}

/// Returns the upper and the lower half.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn halves(both: u64) -> (u32, u32) {
    ((both >> u32::BITS) as u32, both as u32)
}

impl Allowance {
    pub(crate) fn new() -> Self {
        Self {
            calls: AtomicU32::new(0),
            chunks: AtomicU32::new(0),
            strands: AtomicU64::new(0),
            folded_strands: AtomicU32::new(0),
            sums: AtomicU32::new(0),
            text_bytes: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
            grown: AtomicU32::new(0),
            dropped: AtomicU64::new(0),
            paths: Paths::new(),
            moved: AtomicU64::new(0),
            #[cfg(feature = "tracing")]
            subscriber: SubscriberCounts::new(),
            #[cfg(feature = "sites")]
            sites: TraceSites::new(),
        }
    }

    pub(crate) fn reset(&self, room: &Room) {
        self.calls.store(room.calls, Relaxed);
        self.chunks.store(room.chunks, Relaxed);
        self.strands.store(room.strands.into(), Relaxed);
        self.folded_strands.store(room.folded_strands, Relaxed);
        self.sums.store(room.sums, Relaxed);
        self.paths.reset(room.sums);
        self.moved.store(0, Relaxed);
        self.text_bytes.store(room.text_bytes, Relaxed);
        self.reserved.store(room.reserved, Relaxed);
        self.grown.store(0, Relaxed);
        self.dropped.store(0, Relaxed);
        #[cfg(feature = "tracing")]
        self.subscriber.reset();
    }

    pub(crate) fn get(number: Number) -> Option<&'static Member<Self>> {
        ALLOWANCES.get(number)
    }

    /// Takes some calls that a strand may record; 0 if the trace is full.
    pub(crate) fn take_calls(&self) -> u32 {
        let (_, strands) = halves(self.strands.load(Relaxed));
        let share = (self.calls.load(Relaxed) / strands.saturating_add(1)).clamp(1, BATCH);
        take(&self.calls, share)
    }

    /// Returns calls that a strand did not need.
    pub(crate) fn return_calls(&self, calls: u32) {
        self.calls.fetch_add(calls, Relaxed);
    }

    /// Takes one strand. Returns its place in the order in which the trace's strands began, and whether it may record:
    /// `false` if it must not, or the trace is full.
    #[inline]
    pub(crate) fn take_strand(&self, may_record: bool) -> (u32, bool) {
        let mut before = self.strands.load(Relaxed);
        loop {
            let (begun, left) = halves(before);
            let records = may_record && left > 0;
            // At most as many as the half holds: only the first number matters.
            let after = before.checked_add(1 << u32::BITS).unwrap_or(before) - u64::from(records);
            let strands = &self.strands;
            match strands.compare_exchange_weak(before, after, Relaxed, Relaxed) {
                Ok(_) => return (begun, records),
                Err(other) => before = other,
            }
        }
    }

    /// Returns a strand that was to record, and for which there is no memory.
    pub(crate) fn return_strand(&self) {
        self.strands.fetch_add(1, Relaxed);
    }

    /// Returns how many strands began, those included that were not made for lack of memory.
    #[cfg(all(feature = "sites", feature = "recorder"))]
    pub(crate) fn begun_strands(&self) -> u32 {
        halves(self.strands.load(Relaxed)).0
    }

    /// Takes one strand whose calls are folded; `false` if no more may be open.
    pub(crate) fn take_folded_strand(&self) -> bool {
        take(&self.folded_strands, 1) == 1
    }

    pub(crate) fn return_folded_strand(&self) {
        self.folded_strands.fetch_add(1, Relaxed);
    }

    /// Notes that a call moved into another one.
    pub(crate) fn note_moved(&self, now: u64) {
        self.moved.fetch_max(now, Relaxed);
    }

    /// Returns when a call last moved.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Relaxed)
    }

    /// Takes room for a text of this many bytes outside its record; `false` if there is none.
    pub(crate) fn take_text(&self, bytes: usize) -> bool {
        let bytes = count(bytes as u64);
        let left = |left: u32| left.checked_sub(bytes);
        self.text_bytes.fetch_update(Relaxed, Relaxed, left).is_ok()
    }

    /// Takes one more sum of folded calls; `None` if the trace is full.
    pub(crate) fn take_sum(&self) -> Option<&'static Member<SharedSum>> {
        if take(&self.sums, 1) == 0 {
            return None;
        }
        let sum = SUMS.take(SharedSum::new);
        if sum.is_none() {
            self.sums.fetch_add(1, Relaxed);
        }
        sum
    }

    /// Takes one more chunk for a strand; `None` if the trace is full.
    pub(crate) fn take_chunk(&self) -> Option<&'static Member<Chunk>> {
        if take(&self.chunks, 1) == 0 {
            return None;
        }
        let Some(chunk) = CHUNKS.take(Chunk::new) else {
            self.chunks.fetch_add(1, Relaxed);
            return None;
        };
        if take(&self.reserved, 1) == 0 {
            self.grown.fetch_add(1, Relaxed);
        }
        Some(chunk)
    }

    /// Returns the chunks and sums of a folding strand that is over.
    pub(crate) fn return_memory(&self, chunks: u32, sums: u32) {
        self.chunks.fetch_add(chunks, Relaxed);
        self.sums.fetch_add(sums, Relaxed);
    }

    /// Notes that something could not be recorded.
    pub(crate) fn note_dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// Notes that a strand was not entered, so that what it allocates is not in the trace's total.
    pub(crate) fn note_dropped_strand(&self) {
        self.dropped.fetch_or(STRAND_DROPPED, Relaxed);
        self.note_dropped();
    }

    /// Returns whether all strands are in the trace's total.
    pub(crate) fn has_all_strands(&self) -> bool {
        self.dropped.load(Relaxed) & STRAND_DROPPED == 0
    }

    pub(crate) fn grown(&self) -> u32 {
        self.grown.load(Relaxed)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed) & !STRAND_DROPPED
    }

    /// Returns what was allocated at sites that could not be recorded; `None` if no sites are wanted.
    #[cfg_attr(
        not(feature = "sites"),
        expect(clippy::unused_self, reason = "for the feature `sites`")
    )]
    pub(crate) fn sites_not_recorded(&self) -> Option<Counts> {
        #[cfg(feature = "sites")]
        return self.sites.not_recorded();
        #[cfg(not(feature = "sites"))]
        None
    }

    /// Returns what a wrapped subscriber allocated and freed; `None` if there is none.
    #[cfg_attr(
        not(feature = "tracing"),
        expect(clippy::unused_self, reason = "for the feature `tracing`")
    )]
    pub(crate) fn subscriber_counts(&self) -> Option<Counts> {
        #[cfg(feature = "tracing")]
        return self.subscriber.read();
        #[cfg(not(feature = "tracing"))]
        None
    }
}
