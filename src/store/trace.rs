//! A trace: the record of one request, made of strands.

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use alloc_counter::Counts;

use crate::primitives::clock;
use crate::primitives::pool::{AtomicNumber, Member, Number, Pool};
use crate::primitives::sync::{AtomicBool, AtomicU32, AtomicU64, fence, shared_static};
use crate::primitives::wait::{Lock, Taken};
use crate::store::address::Address;
use crate::store::limits::{ALLOWANCES, Allowance, Limits};
use crate::store::strand::{STRANDS, Strand};
use crate::store::sum::{self, Sum};

shared_static! {
    static TRACES: Pool<State> = Pool::new();
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
    /// How many strands that fold are open, and whether there ever was one.
    folding: AtomicU32,
    has_folded: AtomicBool,
    folded: Lock<Folded>,
}

/// Strands whose calls are all folded.
#[derive(Default)]
struct Folded {
    /// The newest of those that are open: a list through `next_in_trace` and `previous_in_trace`.
    newest: Option<&'static Member<Strand>>,
    ended: Ended,
}

/// What folding strands did that are over.
#[derive(Clone, Default)]
pub(crate) struct Ended {
    /// All of it, and what folded calls outside all others did: by the call below which the strands
    /// stood, and [when they were made](Strand::made_after).
    strands: Sorted<(Address, u64), (Counts, Sum)>,
    calls: Sorted<Address, Sum>,
}

/// Strands of one parent are told apart by when they were made, until there are so many entries.
const MOST_EXACT: usize = 1024;

/// By key, in order: a map that can do without memory.
pub(crate) type Sorted<K, V> = Vec<(K, V)>;

/// What there is by this key; none if there is no memory for one more.
fn entry<K: Ord + Copy, V: Default>(all: &mut Sorted<K, V>, key: K) -> Option<&mut V> {
    let place = match all.binary_search_by_key(&key, |(key, _)| *key) {
        Ok(place) => place,
        Err(place) => {
            all.try_reserve(1).ok()?;
            all.insert(place, (key, V::default()));
            place
        }
    };
    Some(&mut all[place].1)
}

/// The strands that fold and are open, the newest first. The list's lock is held.
pub(crate) struct OpenStrands<'a> {
    next: Option<&'static Member<Strand>>,
    lock: &'a Taken<'a, Folded>,
}

impl Iterator for OpenStrands<'_> {
    type Item = &'static Member<Strand>;

    fn next(&mut self) -> Option<Self::Item> {
        let strand = self.next?;
        self.next = STRANDS.get(strand.next_in_trace.load(Relaxed));
        // Who waits to begin or end a strand sees that it goes on.
        self.lock.note_turn();
        Some(strand)
    }
}

impl Ended {
    pub(crate) fn strands(&self) -> &Sorted<(Address, u64), (Counts, Sum)> {
        &self.strands
    }

    pub(crate) fn calls(&self) -> &[(Address, Sum)] {
        &self.calls
    }

    /// Under which key strands are added up, and whether that is exactly theirs: beyond some, those of
    /// one parent are, whatever moved in between, so that a trace may last.
    fn key(&self, key: (Address, u64)) -> ((Address, u64), bool) {
        let known = self.strands.binary_search_by_key(&key, |(key, _)| *key);
        let Err(place) = known else {
            return (key, true);
        };
        let before = place
            .checked_sub(1)
            .and_then(|before| self.strands.get(before));
        match before {
            Some((near, _)) if near.0 == key.0 && self.strands.len() >= MOST_EXACT => {
                (*near, false)
            }
            _ => (key, true),
        }
    }

    /// `false` if there is no memory for all that the strand did.
    fn add(&mut self, strand: &Strand) -> bool {
        let (reading, _) = strand.meter.read();
        let key = (strand.parent(), strand.made_after());
        let (key, is_exact) = self.key(key);
        let Some((counts, outside)) = entry(&mut self.strands, key) else {
            return false;
        };
        *counts += reading.counts;
        let is_partial = strand.is_partial();
        outside.is_partial |= !is_exact;
        let mut is_whole = true;
        let mut add = |of: Address, mut sum: Sum| {
            sum.is_partial |= is_partial;
            if of == Address::NONE {
                outside.add(&sum);
            } else if let Some(known) = entry(&mut self.calls, of) {
                known.add(&sum);
            } else {
                is_whole = false;
            }
        };
        for shared in strand.sums() {
            add(shared.of(), shared.read().0);
        }
        // None is stopped from afar meanwhile, and nobody knows the strand afterwards.
        strand.look_at_done_from_afar(|afar| {
            for (of, sum) in afar.iter().filter_map(Strand::sums_from_afar).flatten() {
                add(of, sum);
            }
            // Of those that outlive the strand, the end will not be known.
            for call in strand.calls_after(None).filter(|it| it.record.is_open()) {
                let used = strand.used_from_afar(call.record);
                for (of, sum) in sum::left_open(call.record, used, clock::ticks()) {
                    add(of, sum);
                }
            }
        });
        is_whole
    }
}

impl State {
    fn new(allowance: &'static Member<Allowance>) -> Self {
        Self {
            handles: AtomicU32::new(0),
            allowance,
            id: AtomicU64::new(0),
            started: AtomicU64::new(0),
            newest: AtomicNumber::none(),
            strands: AtomicU32::new(0),
            folding: AtomicU32::new(0),
            has_folded: AtomicBool::new(false),
            folded: Lock::new(Folded::default()),
        }
    }

    fn take() -> Option<&'static Member<Self>> {
        TRACES.take_or_make(|| ALLOWANCES.take(Allowance::new).map(Self::new))
    }

    /// Puts a strand that folds into the list of those, in which it is seen while it is open.
    fn begin_folding(&self, strand: &'static Member<Strand>) -> Option<&'static Member<Strand>> {
        let Some(mut folded) = self.folded.take() else {
            Strand::recycle(strand);
            self.allowance.return_folded_strand();
            self.allowance.note_dropped();
            return None;
        };
        let next = folded.newest.replace(strand);
        let number = next.map_or(Number::NONE, Member::number);
        strand.next_in_trace.store(number, Relaxed);
        strand.previous_in_trace.store(Number::NONE, Relaxed);
        if let Some(next) = next {
            next.previous_in_trace.store(strand.number(), Relaxed);
        }
        self.folding.fetch_add(1, Relaxed);
        self.has_folded.store(true, Release);
        Some(strand)
    }

    /// Adds what the strand did to what others did before, and gives it back.
    fn end_folding(&self, strand: &'static Member<Strand>) {
        let Some(mut folded) = self.folded.take() else {
            // It stays in the list, for ever.
            return self.allowance.note_dropped();
        };
        if !alloc_counter::exclude(|| folded.ended.add(strand)) {
            self.allowance.note_dropped();
        }
        let next = STRANDS.get(strand.next_in_trace.load(Relaxed));
        let previous = STRANDS.get(strand.previous_in_trace.load(Relaxed));
        let number =
            |strand: Option<&'static Member<Strand>>| strand.map_or(Number::NONE, Member::number);
        match previous {
            Some(previous) => previous.next_in_trace.store(number(next), Relaxed),
            None => folded.newest = next,
        }
        if let Some(next) = next {
            next.previous_in_trace.store(number(previous), Relaxed);
        }
        drop(folded);
        self.folding.fetch_sub(1, Relaxed);
        let sums = strand.sums().map(|_| 1).sum();
        // The first chunk is the strand's own.
        self.allowance.return_memory(strand.chunks() - 1, sums);
        Strand::recycle(strand);
        self.allowance.return_folded_strand();
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
        let Some(state) = State::take() else {
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
        let allowance = allowance.number();
        Strand::begin(
            strand,
            state.number(),
            allowance,
            ordinal,
            parent,
            is_folding,
        );
        if is_folding {
            return state.begin_folding(strand);
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
            state.end_folding(strand);
        }
    }

    /// Looks at the strands that fold and are open, and then at what those did that are over.
    /// `false` if that could not be, as somebody was forked away with the lock.
    pub(crate) fn read_folding(&self, read: impl FnOnce(OpenStrands<'_>, &Ended)) -> bool {
        let Some(state) = self.state.filter(|it| it.has_folded.load(Acquire)) else {
            return true;
        };
        let Some(folded) = state.folded.take() else {
            return false;
        };
        let next = folded.newest;
        read(
            OpenStrands {
                next,
                lock: &folded,
            },
            &folded.ended,
        );
        true
    }

    /// A handle of each trace of which some strand is not over.
    pub(crate) fn all_in_flight() -> impl Iterator<Item = Self> {
        let handles = TRACES.members().filter_map(Self::of_living);
        handles.filter(|trace| {
            let is_folding = |state: &'static Member<State>| state.folding.load(Relaxed) > 0;
            trace.state.is_some_and(is_folding)
                || trace.strands_newest_first().any(|it| !it.is_over())
        })
    }

    /// None where there is no handle: the trace is free, or is being made or recycled.
    fn of_living(state: &'static Member<State>) -> Option<Self> {
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
            total += ended.strands.iter().map(|(_, (counts, _))| *counts).sum();
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
fn recycle(state: &'static Member<State>) {
    let mut next = STRANDS.get(state.newest.load(Acquire));
    while let Some(strand) = next {
        next = STRANDS.get(strand.next_in_trace.load(Relaxed));
        Strand::recycle(strand);
    }
    if state.has_folded.load(Relaxed) {
        // Somebody may have been forked away with the lock: then this trace is not used again.
        let Some(mut folded) = state.folded.take() else {
            return;
        };
        // Of one that is still open, the scope was leaked in a child process.
        let mut next = folded.newest.take();
        while let Some(strand) = next {
            next = STRANDS.get(strand.next_in_trace.load(Relaxed));
            Strand::recycle(strand);
        }
        alloc_counter::exclude(|| folded.ended = Ended::default());
        drop(folded);
        state.folding.store(0, Relaxed);
        state.has_folded.store(false, Relaxed);
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
