//! A trace: the record of one request, made of strands.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use alloc_counter::Counts;

use crate::chunk::RECORDS;
use crate::clock;
use crate::limits::{ALLOWANCES, Allowance};
use crate::pool::{AtomicNumber, Member, Number, Pool};
use crate::record::Address;
use crate::strand::{STRANDS, Strand};
use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, fence, shared_static};

shared_static! {
    static TRACES: Pool<State> = Pool::new();
}
shared_static! {
    static IDS: AtomicU64 = AtomicU64::new(0);
}

/// How many calls [`Trace::new`] makes room for.
const DEFAULT_CAPACITY: usize = 10;
/// How many calls a trace holds unless told otherwise.
const DEFAULT_LIMIT: usize = 10_000;
const MAX_STRANDS: u32 = 10_000;

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
    state: Option<&'static Member<State>>,
    /// The call below which strands of this handle stand.
    parent: Address,
}

/// What the handles of one trace share.
pub(crate) struct State {
    handles: AtomicU32,
    allowance: &'static Member<Allowance>,
    id: AtomicU64,
    started: AtomicU64,
    /// The last strand that came, and how many there are.
    newest: AtomicNumber,
    strands: AtomicU32,
    /// What strands did that were more than the trace may hold.
    folded: Mutex<Folded>,
}

/// By the call below which the strands stood.
type Folded = BTreeMap<Address, Counts>;

impl State {
    fn new() -> Self {
        Self {
            handles: AtomicU32::new(0),
            allowance: ALLOWANCES.take(Allowance::new),
            id: AtomicU64::new(0),
            started: AtomicU64::new(0),
            newest: AtomicNumber::none(),
            strands: AtomicU32::new(0),
            folded: Mutex::new(Folded::new()),
        }
    }

    fn lock_folded(&self) -> MutexGuard<'_, Folded> {
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
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
        Self::with_limit(calls, DEFAULT_LIMIT)
    }

    /// A trace with room for `capacity` calls that records at most `limit`; the report says how
    /// many were not. [`new`](Self::new) has a limit of 10,000 calls.
    ///
    /// ```
    /// use tracer::{Trace, call};
    ///
    /// let trace = Trace::with_limit(10, 2);
    /// let scope = trace.inject();
    /// for _ in 0..5 {
    ///     call!().stop();
    /// }
    /// drop(scope);
    /// let report = trace.report();
    /// assert_eq!((report.calls.len(), report.dropped), (2, 3));
    /// ```
    pub fn with_limit(capacity: usize, limit: usize) -> Self {
        clock::warm_up();
        let state = TRACES.take(State::new);
        let count = |calls: usize| u32::try_from(calls).unwrap_or(u32::MAX);
        let reserved = capacity.min(limit).saturating_sub(1) / RECORDS;
        state
            .allowance
            .reset(count(limit), MAX_STRANDS, count(reserved));
        state.id.store(IDS.fetch_add(1, Relaxed) + 1, Relaxed);
        state.started.store(clock::ticks(), Relaxed);
        state.newest.store(Number::NONE, Relaxed);
        state.strands.store(0, Relaxed);
        state.handles.store(1, Relaxed);
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

    /// A new strand, below the call at `parent`; none where the trace is empty. Where the trace has
    /// as many as it may, the strand only counts, until it is [folded](Self::fold).
    pub(crate) fn strand(&self, parent: Address) -> Option<&'static Member<Strand>> {
        let state = self.state?;
        let strand = STRANDS.take(Strand::new);
        let ordinal = state.strands.fetch_add(1, Relaxed);
        let records = state.allowance.take_strand();
        let allowance = if records {
            state.allowance.number()
        } else {
            Number::NONE
        };
        Strand::begin(strand, state.number(), allowance, ordinal, parent);
        if !records {
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

    /// A strand of this trace is over. One that only counted is added to others of its parent.
    pub(crate) fn fold(&self, strand: &'static Member<Strand>) {
        let Some(state) = self.state.filter(|_| strand.allowance().is_none()) else {
            return strand.return_calls();
        };
        let (reading, _) = strand.meter.read();
        alloc_counter::exclude(|| {
            let mut folded = state.lock_folded();
            *folded.entry(strand.parent()).or_default() += reading.counts;
        });
        Strand::recycle(strand);
    }

    /// What strands did that were not recorded, by the call below which they stood.
    pub(crate) fn folded(&self) -> Folded {
        self.state
            .map_or_else(Folded::new, |state| state.lock_folded().clone())
    }

    /// When the trace began, in ticks; never, where it is empty.
    pub(crate) fn started(&self) -> Option<u64> {
        self.state.map(|state| state.started.load(Relaxed))
    }

    pub(crate) fn allowance(&self) -> Option<&'static Allowance> {
        self.state.map(|state| &**state.allowance)
    }

    /// The strands, in order of creation.
    pub(crate) fn strands(&self) -> Vec<&'static Member<Strand>> {
        let mut strands: Vec<_> = self
            .state
            .iter()
            .flat_map(|state| state.strands())
            .collect();
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
fn recycle(state: &'static Member<State>) {
    let mut next = STRANDS.get(state.newest.load(Acquire));
    while let Some(strand) = next {
        next = STRANDS.get(strand.next_in_trace.load(Relaxed));
        Strand::recycle(strand);
    }
    let mut folded = state.lock_folded();
    if !folded.is_empty() {
        alloc_counter::exclude(|| folded.clear());
    }
    drop(folded);
    TRACES.give(state);
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
