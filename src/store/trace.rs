//! A trace: the record of one request, made of strands.

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

#[cfg(feature = "tower")]
use alloc_counter::Counts;

use crate::primitives::clock;
use crate::primitives::pool::{AtomicNumber, Member, Number, Pool};
use crate::primitives::sync::{AtomicU32, AtomicU64, fence, shared_static};
use crate::store::address::Address;
use crate::store::folding::{Ended, FoldingStrands, OpenStrands};
use crate::store::limits::{ALLOWANCES, Allowance, Limits};
use crate::store::strand::{STRANDS, Strand};

shared_static! {
    static TRACES: Pool<TraceState> = Pool::new();
}
shared_static! {
    static IDS: AtomicU64 = AtomicU64::new(0);
}

/// How many calls [`Trace::new`] makes room for.
const DEFAULT_CAPACITY: usize = 10;

/// The record of one request.
///
/// A handle: it clones in a few nanoseconds and may be sent anywhere; the record lives as long as
/// a handle does. A trace that is [empty](Trace::empty) does nothing, and nothing that is done to
/// one fails.
///
/// A handle from [`fetch`](crate::fetch) also knows the call that was open then: what is recorded
/// through it on another thread, or in a spawned future, stands below that call in the report.
///
/// Recording allocates nothing once the process has recorded as much at once before: records are
/// kept in memory that is used again. What the tracer does allocate is in no call's figures.
///
/// ```
/// use tracer::{Trace, call};
///
/// fn handle() {
///     let _call = call!();
/// }
///
/// let trace = Trace::new();
/// {
///     let _scope = trace.inject();
///     handle();
/// }
/// let report = trace.report();
/// assert_eq!(report.calls[0].name, "handle");
/// ```
pub struct Trace {
    state: Option<&'static Member<TraceState>>,
    /// The call below which strands of this handle stand.
    parent: Address,
}

/// What the handles of one trace share.
pub(crate) struct TraceState {
    handles: AtomicU32,
    allowance: &'static Member<Allowance>,
    id: AtomicU64,
    started: AtomicU64,
    /// The last strand that came, and how many there are.
    newest: AtomicNumber,
    strands: AtomicU32,
    folding: FoldingStrands,
}

impl TraceState {
    fn new(allowance: &'static Member<Allowance>) -> Self {
        Self {
            handles: AtomicU32::new(0),
            allowance,
            id: AtomicU64::new(0),
            started: AtomicU64::new(0),
            newest: AtomicNumber::none(),
            strands: AtomicU32::new(0),
            folding: FoldingStrands::new(),
        }
    }

    fn take() -> Option<&'static Member<Self>> {
        TRACES.take_or_make(|| ALLOWANCES.take(Allowance::new).map(Self::new))
    }

    fn strands(&self) -> impl Iterator<Item = &'static Member<Strand>> {
        let newest = STRANDS.get(self.newest.load(Acquire));
        std::iter::successors(newest, |strand| {
            STRANDS.get(strand.next_in_trace.load(Relaxed))
        })
    }
}

impl Trace {
    /// A trace with room for ten calls, which grows as needed.
    ///
    /// The first one in a process also calibrates the clock, which takes about a millisecond, on a
    /// noisy machine up to 200; make one when the program starts.
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }

    /// A trace with room for so many calls. Where it must grow beyond, the report tells
    /// [how often](crate::Report::grown). The memory itself is shared among traces.
    pub fn with_capacity(calls: usize) -> Self {
        Self::with_limits(calls, Limits::default())
    }

    /// A trace with room for `capacity` calls, and with [limits](Limits) of its own. Calls beyond them
    /// are [added up by path](crate::Report::folded), so memory stays bounded however long the trace
    /// lasts.
    ///
    /// Where there is no memory at all for one more trace, this is an [empty](Self::empty) one.
    ///
    /// ```
    /// use tracer::{Limits, Trace, call};
    ///
    /// let trace = Trace::with_limits(10, Limits::default().calls(2));
    /// let scope = trace.inject();
    /// for _ in 0..5 {
    ///     call!().stop();
    /// }
    /// drop(scope);
    /// let report = trace.report();
    /// assert_eq!((report.calls.len(), report.folded[0].calls), (2, 3));
    /// ```
    pub fn with_limits(capacity: usize, limits: Limits) -> Self {
        clock::warm_up();
        let Some(state) = TraceState::take() else {
            return Self::empty();
        };
        state.allowance.reset(capacity, limits);
        state.id.store(IDS.fetch_add(1, Relaxed) + 1, Relaxed);
        state.started.store(clock::ticks(), Relaxed);
        state.newest.store(Number::NONE, Relaxed);
        state.strands.store(0, Relaxed);
        // Whoever finds the trace by itself sees it as it is now.
        state.handles.store(1, Release);
        Self {
            state: Some(state),
            parent: Address::NONE,
        }
    }

    /// A trace that records nothing.
    pub const fn empty() -> Self {
        Self {
            state: None,
            parent: Address::NONE,
        }
    }

    /// Whether this is an empty trace, which records nothing.
    pub const fn is_empty(&self) -> bool {
        self.state.is_none()
    }

    /// The trace's number: the first in the process is 1, an empty one has 0.
    pub fn id(&self) -> u64 {
        self.state.map_or(0, |state| state.id.load(Relaxed))
    }

    /// Returns how long ago the trace began; zero if it is empty.
    pub fn age(&self) -> Duration {
        self.started().map_or(Duration::ZERO, |started| {
            clock::between(started, clock::ticks())
        })
    }

    /// Another handle of the trace with this number, for a strand that belongs to it and runs.
    pub(crate) fn of(number: Number, parent: Address) -> Self {
        let state = TRACES.get(number);
        if let Some(state) = state {
            state.handles.fetch_add(1, Relaxed);
        }
        Self { state, parent }
    }

    pub(crate) fn number(&self) -> Number {
        self.state.map_or(Number::NONE, Member::number)
    }

    pub(crate) fn parent(&self) -> Address {
        self.parent
    }

    pub(crate) fn has_parent(&self) -> bool {
        self.parent != Address::NONE
    }

    /// A new strand, below the call at `parent`; none if the trace is empty, there is no memory, or
    /// no more folding ones may be open. If the trace has as many as it may, or the parent is
    /// folded, the strand's calls are folded, and the strand [in the end](Self::end).
    pub(crate) fn strand(&self, parent: Address) -> Option<&'static Member<Strand>> {
        let state = self.state?;
        let allowance = state.allowance;
        let is_folding = parent.path().is_some() || !allowance.take_strand();
        if is_folding && !allowance.take_folded_strand() {
            allowance.note_dropped();
            return None;
        }
        let Some(strand) = Strand::take() else {
            if is_folding {
                allowance.return_folded_strand();
            } else {
                allowance.return_strand();
            }
            allowance.note_dropped();
            return None;
        };
        let ordinal = state.strands.fetch_add(1, Relaxed);
        let trace = state.number();
        Strand::begin(strand, trace, Some(allowance), ordinal, parent, is_folding);
        if is_folding {
            if !state.folding.begin(strand) {
                Strand::recycle(strand);
                allowance.return_folded_strand();
                allowance.note_dropped();
                return None;
            }
            return Some(strand);
        }
        let mut newest = state.newest.load(Relaxed);
        loop {
            strand.next_in_trace.store(newest, Relaxed);
            match state.newest.compare_exchange(newest, strand.number()) {
                Ok(()) => return Some(strand),
                Err(other) => newest = other,
            }
        }
    }

    /// A strand of this trace is over. One beyond the limit is added to others of its parent.
    pub(crate) fn end(&self, strand: &'static Member<Strand>) {
        strand.end();
        if let Some(state) = self.state.filter(|_| strand.is_folding()) {
            state.folding.end(strand, state.allowance);
        }
    }

    /// Looks at the folding strands that are open, and then at what those did that are over.
    /// `false` if that could not be, as somebody was forked away with the lock.
    pub(crate) fn read_folding(&self, read: impl FnOnce(OpenStrands<'_>, &Ended)) -> bool {
        self.state.is_none_or(|state| state.folding.read(read))
    }

    /// A handle of each trace of which some strand is not over.
    pub(crate) fn all_in_flight() -> impl Iterator<Item = Self> {
        let handles = TRACES.members().filter_map(Self::of_living);
        handles.filter(|trace| {
            trace.state.is_some_and(|state| state.folding.are_open())
                || trace.strands_newest_first().any(|it| !it.is_over())
        })
    }

    /// None where there is no handle: the trace is free, or is being made or recycled.
    fn of_living(state: &'static Member<TraceState>) -> Option<Self> {
        let one_more = |handles: u32| {
            if handles == 0 {
                None
            } else {
                handles.checked_add(1)
            }
        };
        state
            .handles
            .fetch_update(Acquire, Relaxed, one_more)
            .ok()?;
        Some(Self {
            state: Some(state),
            parent: Address::NONE,
        })
    }

    /// What all traces hold, until the process ends.
    pub(crate) fn held_bytes() -> u64 {
        TRACES.held_bytes() + ALLOWANCES.held_bytes()
    }

    /// When the trace began, in ticks; never, where it is empty.
    pub(crate) fn started(&self) -> Option<u64> {
        self.state.map(|state| state.started.load(Relaxed))
    }

    pub(crate) fn allowance(&self) -> Option<&'static Allowance> {
        self.state.map(|state| &**state.allowance)
    }

    /// What all strands have allocated and freed until now; none where nothing is counted.
    #[cfg(feature = "tower")]
    pub(crate) fn total(&self) -> Option<Counts> {
        let counts = |strand: &'static Member<Strand>| strand.meter.read().0.counts;
        let mut total: Counts = self.strands_newest_first().map(counts).sum();
        self.read_folding(|open, ended| {
            total += open.map(counts).sum();
            total += ended.strands().iter().map(|(_, (counts, _))| *counts).sum();
        });
        alloc_counter::is_installed().then_some(total)
    }

    /// The strands, the last that came first.
    pub(crate) fn strands_newest_first(&self) -> impl Iterator<Item = &'static Member<Strand>> {
        self.state.iter().flat_map(|state| state.strands())
    }

    /// The strands, in order of creation.
    pub(crate) fn strands(&self) -> Vec<&'static Member<Strand>> {
        let mut strands: Vec<_> = self.strands_newest_first().collect();
        strands.sort_by_key(|strand| strand.ordinal.load(Relaxed));
        strands
    }
}

/// A trace with room for ten calls.
impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Trace {
    fn clone(&self) -> Self {
        if let Some(state) = self.state {
            state.handles.fetch_add(1, Relaxed);
        }
        Self {
            state: self.state,
            parent: self.parent,
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let Some(state) = self.state else { return };
        // As in `Arc`: everything done through the other handles comes before the recycling.
        if state.handles.fetch_sub(1, Release) == 1 {
            fence(Acquire);
            recycle(state);
        }
    }
}

#[cold]
fn recycle(state: &'static Member<TraceState>) {
    let mut next = STRANDS.get(state.newest.load(Acquire));
    while let Some(strand) = next {
        next = STRANDS.get(strand.next_in_trace.load(Relaxed));
        Strand::recycle(strand);
    }
    if !state.folding.clear() {
        // Somebody was forked away with the lock: this trace is not used again.
        return;
    }
    state.allowance.paths.clear();
    TRACES.give(state);
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
