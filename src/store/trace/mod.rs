//! A trace: the record of one request, which consists of strands.

mod ids;
mod services;
mod strands;
#[cfg(feature = "tracing")]
mod weak;

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

#[cfg(feature = "blocks")]
use alloc_counter::BlocksKey;
#[cfg(feature = "sites")]
use alloc_counter::Sites;

use crate::primitives::clock;
use crate::primitives::pool::{AtomicNumber, Member, Number, Pool};
use crate::primitives::sync::{AtomicBool, AtomicU32, AtomicU64, fence, shared_static};
use crate::store::address::Address;
#[cfg(feature = "propagation")]
use crate::store::caller::AtomicCaller;
use crate::store::folding::FoldingStrands;
use crate::store::identity;
use crate::store::limits::{ALLOWANCES, Allowance, Limits, Room};
#[cfg(feature = "recorder")]
use crate::store::request_id::RequestId;
use crate::store::strand::{STRANDS, Strand};
#[cfg(feature = "propagation")]
use crate::store::tracestate::Tracestate;

#[cfg(feature = "tracing")]
pub(crate) use weak::WeakTrace;

shared_static! {
    static TRACES: Pool<TraceState> = Pool::new();
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
    /// The strand that began first, unless that was a folding one. It stays with the state, since most traces have
    /// one strand. So memory holds one for each trace that was there at once, and the further strands at once.
    first: &'static Member<Strand>,
    has_first: AtomicBool,
    /// The last of the further strands that began.
    newest: AtomicNumber,
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
    fn new(allowance: &'static Member<Allowance>, first: &'static Member<Strand>) -> Self {
        Self {
            handles: AtomicU32::new(0),
            allowance,
            id: AtomicU64::new(0),
            started: AtomicU64::new(0),
            first,
            has_first: AtomicBool::new(false),
            newest: AtomicNumber::none(),
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
        TRACES.take_or_make(|| {
            let first = Strand::take()?;
            let allowance = ALLOWANCES.take(Allowance::new);
            if allowance.is_none() {
                STRANDS.give(first);
            }
            Some(Self::new(allowance?, first))
        })
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
        let id = ids::new_id();
        if id == 1 {
            identity::warm_up();
        }
        state.id.store(id, Relaxed);
        state.started.store(clock::ticks(), Relaxed);
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

    /// Returns the time since the trace began; zero for an empty trace.
    pub fn age(&self) -> Duration {
        self.started().map_or(Duration::ZERO, |started| {
            clock::between(started, clock::ticks())
        })
    }

    /// Returns when the trace began, in ticks; `None` if it is empty.
    pub(crate) fn started(&self) -> Option<u64> {
        self.state.map(|state| state.started.load(Relaxed))
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

    pub(crate) fn allowance(&self) -> Option<&'static Allowance> {
        self.state.map(|state| &**state.allowance)
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

    /// Returns the handle with which strands stand below this call.
    #[cfg(feature = "tracing")]
    pub(crate) fn below(mut self, parent: Address) -> Self {
        self.parent = parent;
        self
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

    /// Returns the bytes that all traces hold until the process ends.
    pub(crate) fn held_bytes() -> u64 {
        let held = TRACES.held_bytes() + ALLOWANCES.held_bytes();
        #[cfg(feature = "propagation")]
        let held = held + Tracestate::held_bytes();
        #[cfg(feature = "recorder")]
        let held = held + RequestId::held_bytes();
        held
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

// Out of line, so that the drop of another handle saves no registers for it.
#[inline(never)]
fn recycle(state: &'static Member<TraceState>) {
    let is_cleared = clear_strands(state);
    if !is_cleared || !state.folding.clear() {
        // The process was forked while another thread held a lock: this trace is not used again.
        return;
    }
    state.allowance.paths.clear();
    #[cfg(feature = "propagation")]
    state.caller.clear();
    #[cfg(feature = "blocks")]
    state.blocks.store(BlocksKey::NONE.to_bits(), Relaxed);
    TRACES.give(state);
}

fn clear_strands(state: &TraceState) -> bool {
    let newest = state.newest.load(Acquire);
    if newest != Number::NONE {
        recycle_strands(state, newest);
    }
    let has_first = state.has_first.load(Acquire);
    state.has_first.store(false, Relaxed);
    !has_first || state.first.clear()
}

#[inline(never)]
fn recycle_strands(state: &TraceState, newest: Number) {
    let mut next = STRANDS.get(newest);
    state.newest.store(Number::NONE, Relaxed);
    while let Some(strand) = next {
        next = STRANDS.get(strand.next_in_trace.load(Relaxed));
        Strand::recycle(strand);
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
