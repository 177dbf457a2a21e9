//! A trace: the record of one request, which consists of strands.

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

#[cfg(feature = "blocks")]
use alloc_counter::BlocksKey;
use alloc_counter::Counts;
#[cfg(feature = "sites")]
use alloc_counter::Sites;
#[cfg(feature = "recorder")]
use arrayvec::ArrayString;

use crate::primitives::clock;
use crate::primitives::pool::{AtomicNumber, Member, Number, Pool};
use crate::primitives::sync::{AtomicU32, AtomicU64, fence, shared_static};
use crate::store::address::Address;
#[cfg(feature = "propagation")]
use crate::store::caller::{AtomicCaller, Caller};
use crate::store::folding::{Ended, FoldingStrands, OpenStrands};
use crate::store::identity::{self, OwnIds};
use crate::store::ids::{SpanId, TraceId};
use crate::store::limits::{ALLOWANCES, Allowance, Limits, Room};
use crate::store::paths::PATHS;
#[cfg(feature = "recorder")]
use crate::store::request_id::{MAX_ID_BYTES, RequestId};
use crate::store::strand::{STRANDS, Strand};
#[cfg(feature = "propagation")]
use crate::store::tracestate::Tracestate;

shared_static! {
    static TRACES: Pool<TraceState> = Pool::new();
}
shared_static! {
    static IDS: AtomicU64 = AtomicU64::new(0);
}

/// The capacity of [`Trace::new`].
pub(super) const DEFAULT_CAPACITY: usize = 10;

/// The record of one request.
///
/// This is a handle, which clones in a few nanoseconds and may be sent to any thread. The record lives
/// as long as one of its handles. An [empty](Trace::empty) trace records nothing. No operation on a
/// trace fails.
///
/// A handle from [`fetch`](crate::fetch) also knows the call that was open then. What is recorded
/// through it on another thread, or in a spawned future, is below that call in the report.
///
/// The memory of records is used again. So recording allocates nothing once the process has held as
/// many records at once. What the tracer allocates for itself is not counted in any call.
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
    /// The call that this handle's strands are below.
    parent: Address,
}

/// The state that the handles of one trace share.
pub(crate) struct TraceState {
    handles: AtomicU32,
    allowance: &'static Member<Allowance>,
    id: AtomicU64,
    started: AtomicU64,
    /// The last strand that was made, and how many there are.
    newest: AtomicNumber,
    strands: AtomicU32,
    folding: FoldingStrands,
    #[cfg(feature = "propagation")]
    caller: AtomicCaller,
    #[cfg(feature = "recorder")]
    request_id: RequestId,
    /// Of whoever follows the blocks that the trace allocates.
    #[cfg(feature = "blocks")]
    blocks: AtomicU64,
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
            #[cfg(feature = "propagation")]
            caller: AtomicCaller::new(),
            #[cfg(feature = "recorder")]
            request_id: RequestId::new(),
            #[cfg(feature = "blocks")]
            blocks: AtomicU64::new(BlocksKey::NONE.to_bits()),
        }
    }

    fn take() -> Option<&'static Member<Self>> {
        TRACES.take_or_make(|| ALLOWANCES.take(Allowance::new).map(Self::new))
    }
}

impl Trace {
    /// Creates a trace with room for ten calls, which grows as needed.
    ///
    /// The first trace of a process also calibrates the clock. That takes about a millisecond, on a
    /// noisy machine up to 200. To keep it out of the first request, create one when the program starts.
    pub fn new() -> Self {
        const ROOM: Room = Room::of(DEFAULT_CAPACITY, Limits::DEFAULT);
        Self::with_room(
            &ROOM,
            #[cfg(feature = "sites")]
            (None, Limits::DEFAULT.sites),
        )
    }

    /// Creates a trace with room for this many calls. The report tells [how often](crate::Report::grown)
    /// it had to grow. The memory is shared among traces.
    pub fn with_capacity(calls: usize) -> Self {
        Self::with_limits(calls, Limits::default())
    }

    /// Creates a trace with room for `capacity` calls, and with [limits](Limits) of its own. Calls beyond
    /// the limits are [added up by path](crate::Report::folded), so memory stays bounded however long the
    /// trace lasts.
    ///
    /// If memory runs out, the trace is an [empty](Self::empty) one.
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
        Self::with_room(
            &Room::of(capacity, limits),
            #[cfg(feature = "sites")]
            (None, limits.sites),
        )
    }

    /// Creates a trace, which records so many allocation sites if any.
    pub(super) fn with_room(
        room: &Room,
        #[cfg(feature = "sites")] (sites, most_sites): (Option<Sites>, usize),
    ) -> Self {
        clock::warm_up();
        let Some(state) = TraceState::take() else {
            return Self::empty();
        };
        state.allowance.reset(room);
        #[cfg(feature = "sites")]
        state.allowance.sites.reset(sites, most_sites);
        let id = IDS.fetch_add(1, Relaxed) + 1;
        if id == 1 {
            identity::warm_up();
        }
        state.id.store(id, Relaxed);
        state.started.store(clock::ticks(), Relaxed);
        state.newest.store(Number::NONE, Relaxed);
        state.strands.store(0, Relaxed);
        // A thread that finds the trace in the pool sees it as it is now.
        state.handles.store(1, Release);
        Self {
            state: Some(state),
            parent: Address::NONE,
        }
    }

    /// Creates a trace that records nothing.
    pub const fn empty() -> Self {
        Self {
            state: None,
            parent: Address::NONE,
        }
    }

    /// Returns whether this is an empty trace, which records nothing.
    pub const fn is_empty(&self) -> bool {
        self.state.is_none()
    }

    /// Returns the trace's number. The first trace of a process has 1, an empty one 0.
    pub fn id(&self) -> u64 {
        self.state.map_or(0, |state| state.id.load(Relaxed))
    }

    /// Returns the id by which all services know the trace, for logs, errors and other tools; `None` for an empty
    /// trace.
    ///
    /// It is the id that the caller of this service sent, if the trace continues the caller's (feature
    /// `propagation`), and otherwise the trace's own. Cost: some 100 instructions. Nothing is stored, so a request that
    /// nobody asks pays nothing.
    ///
    /// ```
    /// let trace = tracer::Trace::new();
    /// let _scope = trace.inject();
    /// let id = tracer::fetch().trace_id();
    /// assert!(id.is_some());
    /// assert_eq!(id, trace.report().trace_id);
    /// ```
    pub fn trace_id(&self) -> Option<TraceId> {
        let own = || self.own_ids().map(OwnIds::trace_id);
        self.caller_trace_id().or_else(own)
    }

    /// Returns the id that the caller gave.
    #[cfg_attr(
        not(feature = "propagation"),
        expect(clippy::unused_self, reason = "without it, there is no caller")
    )]
    pub(crate) fn caller_trace_id(&self) -> Option<TraceId> {
        #[cfg(feature = "propagation")]
        return self.caller().map(|caller| caller.trace_id);
        #[cfg(not(feature = "propagation"))]
        None
    }

    /// Returns the id of the call that this handle is below, or else of the request itself; `None` for an empty
    /// trace. Calls beyond the trace's [limits](Limits) have none: then it is that of the nearest recorded call
    /// around them.
    ///
    /// ```
    /// use tracer::{Trace, call, fetch};
    ///
    /// let trace = Trace::new();
    /// let _scope = trace.inject();
    /// assert_eq!(fetch().span_id(), trace.report().span_id);
    /// let call = call!();
    /// assert_eq!(fetch().span_id(), trace.report().calls[0].span_id);
    /// ```
    pub fn span_id(&self) -> Option<SpanId> {
        Some(self.own_ids()?.span(self.recorded_parent()))
    }

    /// Returns the recorded call that this handle is below.
    pub(crate) fn recorded_parent(&self) -> Address {
        let mut call = self.parent;
        while let Some(path) = call.path() {
            call = PATHS.get(path).map_or(Address::NONE, |path| path.around());
        }
        call
    }

    /// Returns the trace's own ids, whoever began it; `None` if it is empty.
    pub(crate) fn own_ids(&self) -> Option<OwnIds> {
        let state = self.state?;
        let (id, started) = (state.id.load(Relaxed), state.started.load(Relaxed));
        Some(OwnIds::of(id, started))
    }

    /// Returns the id of the call, in another service, from which the trace came.
    #[cfg_attr(
        not(feature = "propagation"),
        expect(clippy::unused_self, reason = "without it, none is known")
    )]
    pub(crate) fn parent_span(&self) -> Option<SpanId> {
        #[cfg(feature = "propagation")]
        return self.caller().map(|caller| caller.parent);
        #[cfg(not(feature = "propagation"))]
        None
    }

    /// Returns what the caller of this service told, if the trace continues the caller's.
    #[cfg(feature = "propagation")]
    pub(crate) fn caller(&self) -> Option<Caller> {
        self.state?.caller.get()
    }

    /// Continues the caller's trace. Returns `false` if this one already continues one.
    #[cfg(feature = "propagation")]
    pub(crate) fn set_caller(&self, caller: Caller, tracestate: &[u8]) -> bool {
        let state = self.state.map(|state| &state.caller);
        state.is_some_and(|it| it.set(caller, tracestate))
    }

    /// Returns the members of other services in the caller's `tracestate`; `None` if there are none.
    #[cfg(feature = "propagation")]
    #[inline]
    pub(crate) fn tracestate(&self) -> Option<impl Iterator<Item = u8>> {
        self.state?.caller.tracestate()
    }

    /// Sends the trace as sampled, unless it continues another one.
    #[cfg(feature = "propagation")]
    pub(crate) fn send_sampled(&self) {
        if let Some(state) = self.state {
            state.caller.send_sampled();
        }
    }

    /// Returns the flags of a trace that continues none.
    #[cfg(feature = "propagation")]
    pub(crate) fn own_flags(&self) -> u8 {
        self.state.map_or(0, |state| state.caller.own_flags())
    }

    /// Notes that a service that was called has kept its part of the trace.
    #[cfg(feature = "propagation")]
    pub(crate) fn note_kept_downstream(&self) {
        if let Some(state) = self.state {
            state.caller.note_kept_downstream();
        }
    }

    /// Sets the id of the request that the trace records. Only its recording does. Returns `false` if the trace is
    /// empty, or if there is no memory.
    #[cfg(feature = "recorder")]
    pub(crate) fn set_request_id(&self, id: &str) -> bool {
        self.state
            .is_some_and(|state| state.request_id.set(state.id.load(Relaxed), id))
    }

    /// Returns the id of the request that the trace records, if it has one.
    #[cfg(feature = "recorder")]
    pub(crate) fn request_id(&self) -> Option<ArrayString<MAX_ID_BYTES>> {
        self.state?.request_id.get(self.id())
    }

    /// Returns whether a service that was called has kept its part of the trace.
    #[cfg(feature = "recorder")]
    #[cfg_attr(
        not(feature = "propagation"),
        expect(clippy::unused_self, reason = "without it, none is known")
    )]
    pub(crate) fn is_kept_downstream(&self) -> bool {
        #[cfg(feature = "propagation")]
        return self.state.is_some_and(|it| it.caller.is_kept_downstream());
        #[cfg(not(feature = "propagation"))]
        false
    }

    /// Returns whether the caller said that it samples the trace.
    #[cfg(feature = "recorder")]
    #[cfg_attr(
        not(feature = "propagation"),
        expect(clippy::unused_self, reason = "without it, none is known")
    )]
    pub(crate) fn is_sampled_upstream(&self) -> bool {
        #[cfg(feature = "propagation")]
        return self.state.is_some_and(|it| it.caller.is_sampled_upstream());
        #[cfg(not(feature = "propagation"))]
        false
    }

    /// From now on, strands that are entered follow the blocks that they allocate.
    #[cfg(feature = "blocks")]
    pub(crate) fn follow_blocks(&self, key: BlocksKey) {
        match self.state {
            Some(state) => state.blocks.store(key.to_bits(), Relaxed),
            None => key.lose(),
        }
    }

    /// Returns who follows the blocks of the trace with this number, one of whose strands runs.
    #[cfg(feature = "blocks")]
    pub(crate) fn blocks_of(number: Number) -> BlocksKey {
        TRACES.get(number).map_or(BlocksKey::NONE, |state| {
            BlocksKey::from_bits(state.blocks.load(Relaxed))
        })
    }

    /// Returns the time since the trace began; zero for an empty trace.
    pub fn age(&self) -> Duration {
        self.started().map_or(Duration::ZERO, |started| {
            clock::between(started, clock::ticks())
        })
    }

    /// Returns another handle of the trace with this number. The caller knows that one of its strands
    /// runs.
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

    /// Makes a strand below the call at `parent`; `None` if the trace is empty, memory runs out, or no
    /// more folding strands may be open. The strand is a folding one if the trace has as many as it may,
    /// or the parent is folded.
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
        #[cfg(feature = "tracing")]
        strand.trace_id.store(state.id.load(Relaxed), Relaxed);
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

    /// Ends a strand of this trace. A folding one is added up and given back.
    pub(crate) fn end(&self, strand: &'static Member<Strand>) {
        let Some(state) = self.state else { return };
        strand.end(state.allowance);
        if strand.is_folding() {
            state.folding.end(strand, state.allowance);
        }
    }

    /// Reads the open folding strands and the sums of those that are over. Returns `false` if the lock
    /// is not given back, because the process was forked while another thread held it.
    pub(crate) fn read_folding(&self, read: impl FnOnce(OpenStrands<'_>, &Ended)) -> bool {
        self.state.is_none_or(|state| state.folding.read(read))
    }

    /// Returns a handle of each trace that has a strand that is not over.
    pub(crate) fn all_in_flight() -> impl Iterator<Item = Self> {
        let handles = TRACES.members().filter_map(Self::of_living);
        handles.filter(|trace| {
            trace.state.is_some_and(|state| state.folding.are_open())
                || trace.strands_newest_first().any(|it| !it.is_over())
        })
    }

    /// Returns a handle of a trace that has others; `None` if it is free, or is being made or recycled.
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

    /// Returns the name of the trace, which does not keep it.
    #[cfg(all(feature = "tracing", feature = "recorder"))]
    pub(crate) fn downgrade(&self) -> WeakTrace {
        WeakTrace {
            number: self.number(),
            id: self.id(),
        }
    }

    /// Returns the handle with which strands stand below this call.
    #[cfg(feature = "tracing")]
    pub(crate) fn below(mut self, parent: Address) -> Self {
        self.parent = parent;
        self
    }

    /// Returns whether anything has been recorded in the trace: whether it ever had a strand.
    #[cfg(all(feature = "sites", feature = "recorder"))]
    pub(crate) fn has_begun(&self) -> bool {
        self.state
            .is_some_and(|state| state.strands.load(Relaxed) > 0)
    }

    /// Returns the bytes that all traces hold until the process ends.
    pub(crate) fn held_bytes() -> u64 {
        let held = TRACES.held_bytes() + ALLOWANCES.held_bytes();
        #[cfg(feature = "propagation")]
        let held = held + Tracestate::held_bytes();
        #[cfg(feature = "recorder")]
        let held = held + RequestId::held_bytes();
        held
    }

    /// Returns when the trace began, in ticks; `None` if it is empty.
    pub(crate) fn started(&self) -> Option<u64> {
        self.state.map(|state| state.started.load(Relaxed))
    }

    pub(crate) fn allowance(&self) -> Option<&'static Allowance> {
        self.state.map(|state| &**state.allowance)
    }

    /// Returns what all strands have allocated and freed until now; `None` if nothing is counted.
    pub(crate) fn total(&self) -> Option<Counts> {
        let counts = |strand: &'static Member<Strand>| strand.meter.read().0.counts;
        let mut total: Counts = self.strands_newest_first().map(counts).sum();
        self.read_folding(|open, ended| {
            total += open.map(counts).sum();
            total += ended.strands().iter().map(|(_, (counts, _))| *counts).sum();
        });
        alloc_counter::is_installed().then_some(total)
    }

    /// Returns the strands, the newest first.
    pub(crate) fn strands_newest_first(&self) -> impl Iterator<Item = &'static Member<Strand>> {
        let newest = self
            .state
            .map_or(Number::NONE, |state| state.newest.load(Acquire));
        std::iter::successors(STRANDS.get(newest), |strand| {
            STRANDS.get(strand.next_in_trace.load(Relaxed))
        })
    }

    /// Returns the strands, in order of creation.
    #[cfg(all(loom, test))]
    pub(crate) fn strands(&self) -> Vec<&'static Member<Strand>> {
        let mut strands: Vec<_> = self.strands_newest_first().collect();
        strands.sort_by_key(|strand| strand.ordinal.load(Relaxed));
        strands
    }
}

/// Names a trace without keeping it.
#[cfg(feature = "tracing")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeakTrace {
    number: Number,
    id: u64,
}

#[cfg(feature = "tracing")]
impl WeakTrace {
    /// Returns the name of no trace.
    pub(crate) const NONE: Self = Self {
        number: Number::NONE,
        id: 0,
    };

    /// Returns this name, or another one if it is that of no trace.
    #[inline]
    pub(crate) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self.id == 0 { other() } else { self }
    }

    /// Returns the name of the trace of a strand that runs.
    #[inline]
    pub(crate) fn of(strand: &Strand) -> Self {
        Self {
            number: strand.trace.load(Relaxed),
            id: strand.trace_id.load(Relaxed),
        }
    }

    /// Returns the trace's allowance, if the trace is this one; cheaper than a handle. The caller knows that
    /// a strand of the trace with this number runs on this thread.
    #[inline]
    pub(crate) fn allowance_of_running(self, number: Number) -> Option<&'static Allowance> {
        if self.number != number {
            return None;
        }
        let state = TRACES.get(number)?;
        (state.id.load(Relaxed) == self.id).then_some(&**state.allowance)
    }

    /// Returns a handle; `None` if the trace has no other handle any more.
    pub(crate) fn upgrade(self) -> Option<Trace> {
        let trace = Trace::of_living(TRACES.get(self.number)?)?;
        (trace.id() == self.id).then_some(trace)
    }
}

/// Creates a trace with room for ten calls.
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
        // As in `Arc`: everything done through the other handles happens before the recycling.
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
        // The process was forked while another thread held the lock: this trace is not used again.
        return;
    }
    state.allowance.paths.clear();
    #[cfg(feature = "propagation")]
    state.caller.clear();
    #[cfg(feature = "blocks")]
    state.blocks.store(BlocksKey::NONE.to_bits(), Relaxed);
    TRACES.give(state);
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
