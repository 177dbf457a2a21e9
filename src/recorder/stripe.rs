//! A stripe: what the requests of some threads share, so that those of others need not wait.
//!
//! A thread begins and ends requests in its own stripe; in another one where its own is taken, as
//! whoever reads adds all of them up. A reader takes the aggregates of one stripe at a time, and there
//! is one reader at a time, so that a request always finds a stripe that no reader has. Of a list of
//! requests in flight, it takes a few at a time.

use std::cell::Cell;
use std::sync::MutexGuard;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_utils::CachePadded;

use crate::primitives::cut::{Counter, Moment, Moments};
use crate::primitives::fallible::{Boxed, lengthen};
use crate::read::summary::Summary;
use crate::store::trace::Trace;

use super::baseline::{Baseline, Scratch};
use super::bounded::MAX_TEXT_BYTES;
use super::id::Id;
use super::process_lock::ProcessLock;
use super::quota::Quota;
use super::route::{Known, Routes};

/// More are no use: two threads seldom end a request in the same half microsecond.
const MOST: usize = 8;
/// So often a request looks whether one of the stripes is free, each of which is taken for less than
/// a microsecond, before it waits for its own.
const ROUNDS: usize = 100;
/// So many requests in flight are copied while those that begin and end wait.
const AT_ONCE: usize = 32;

pub(super) struct Stripes {
    all: Box<[CachePadded<Stripe>]>,
    /// Of whoever reads aggregates.
    reader: ProcessLock<()>,
    /// Of whoever reads how many there are.
    moments: CachePadded<Moments>,
}

struct Stripe {
    begun: ProcessLock<Begun>,
    aggregates: ProcessLock<Aggregates>,
}

/// The requests that began in a stripe.
#[derive(Default)]
pub(super) struct Begun {
    /// The names that were looked up before.
    known: Known,
    /// How many there ever were, by the route's number; one that was renamed is of its last name.
    counts: Vec<Counter<u64>>,
    /// Those that are not over.
    places: Vec<Option<Active>>,
    /// Has room for as many as there are places.
    free: Vec<usize>,
}

/// A request that is not over.
#[derive(Clone)]
pub(super) struct Active {
    /// The route's number.
    pub(super) route: usize,
    pub(super) id: Option<Id>,
    pub(super) trace: Trace,
}

/// Where a request stands among those that are not over.
#[derive(Clone, Copy)]
pub(super) struct ActiveId {
    stripe: usize,
    index: usize,
}

/// What the requests did that ended in a stripe.
pub(super) struct Aggregates {
    /// By the route's number: how many there were, and what is usual of them.
    totals: Vec<Counter<EndedCounts>>,
    baselines: Vec<Option<Boxed<Baseline>>>,
    scratch: Scratch,
    /// Kept for its memory, and not by each thread: a thread-local with a destructor can't be had without
    /// memory.
    pub(super) spare: Option<Summary>,
    /// Calls of requests for whose names there was no memory.
    lost: u64,
    /// What all this may take.
    quota: Quota,
    /// How many paths one name may have, so that no other is left without.
    most_paths: usize,
}

/// What a name takes once, at most, besides its [place](Routes::PLACE_BYTES).
const SHARED_BYTES: usize = 2 * MAX_TEXT_BYTES;
/// What it takes in each stripe: its places in lists and tables, and what there is of it.
const ROUTE_BYTES: usize = 256 + size_of::<Baseline>() + Baseline::RESERVED_BYTES;

/// How many requests of one name there were.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestCounts {
    pub(super) begun: u64,
    pub(super) ended: EndedCounts,
}

impl RequestCounts {
    pub(super) fn add(&mut self, other: Self) {
        self.begun += other.begun;
        self.ended.add(other.ended);
    }

    pub(super) fn in_flight(self) -> u64 {
        self.begun.saturating_sub(self.ended.requests)
    }
}

/// How many requests ended, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EndedCounts {
    pub(super) requests: u64,
    pub(super) kept: u64,
    pub(super) not_kept: u64,
    pub(super) dropped: u64,
}

impl EndedCounts {
    const NONE: Self = Self {
        requests: 0,
        kept: 0,
        not_kept: 0,
        dropped: 0,
    };
    /// One request that was kept, and so on.
    pub(super) const KEPT: Self = Self {
        requests: 1,
        kept: 1,
        ..Self::NONE
    };
    pub(super) const NOT_KEPT: Self = Self {
        requests: 1,
        not_kept: 1,
        ..Self::NONE
    };
    pub(super) const DROPPED: Self = Self {
        requests: 1,
        dropped: 1,
        ..Self::NONE
    };

    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.kept += other.kept;
        self.not_kept += other.not_kept;
        self.dropped += other.dropped;
    }
}

impl Stripes {
    /// As many as threads run at once, and two at least; `bytes` for all of them.
    pub(super) fn new(bytes: usize) -> Self {
        let count = count();
        let stripe = |_| {
            // Of the route of all others, whatever memory there will be.
            let mut begun = Begun::default();
            lengthen(&mut begun.counts, 1);
            let mut aggregates = Aggregates {
                totals: Vec::new(),
                baselines: Vec::new(),
                scratch: Scratch::default(),
                spare: None,
                lost: 0,
                quota: Quota::new(bytes / count),
                most_paths: Baseline::most_paths(bytes / count / 4),
            };
            aggregates.make_room(0);
            CachePadded::new(Stripe {
                begun: ProcessLock::new(begun),
                aggregates: ProcessLock::new(aggregates),
            })
        };
        Self {
            all: (0..count).map(stripe).collect(),
            reader: ProcessLock::new(()),
            moments: CachePadded::new(Moments::new()),
        }
    }

    /// How many names there is room for in half of so many bytes.
    pub(super) fn most_names(bytes: usize) -> usize {
        bytes / 2 / (Routes::PLACE_BYTES + SHARED_BYTES + ROUTE_BYTES * count())
    }

    /// Makes places for the route with this number in each stripe: once a request has begun, there must be
    /// one where it ends. `false` if there is no memory.
    pub(super) fn make_room(&self, number: usize) -> bool {
        self.all.iter().all(|stripe| {
            let begun = { stripe.begun.take() }
                .is_some_and(|mut begun| lengthen(&mut begun.counts, number + 1));
            begun && { stripe.aggregates.take() }.is_some_and(|mut it| it.make_room(number))
        })
    }

    /// This thread's.
    fn here(&self) -> usize {
        thread_local! {
            static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        let place = PLACE.get();
        if place != usize::MAX {
            return place % self.all.len();
        }
        let place = THREADS.fetch_add(1, Relaxed);
        PLACE.set(place);
        place % self.all.len()
    }

    /// This thread's stripe, or one that is free. None where none is given back.
    fn any<T>(
        &self,
        part: impl Fn(&Stripe) -> &ProcessLock<T>,
    ) -> Option<(usize, MutexGuard<'_, T>)> {
        let here = self.here();
        for _ in 0..ROUNDS {
            for offset in 0..self.all.len() {
                let place = (here + offset) % self.all.len();
                if let Some(free) = part(&self.all[place]).try_take() {
                    return Some((place, free));
                }
            }
            std::hint::spin_loop();
        }
        Some((here, part(&self.all[here]).take()?))
    }

    /// Takes a request among those that are not over. `look_up` finds a name that is not known here, and
    /// `make` is told the route's number. No place if no stripe is given back, or there is no memory.
    pub(super) fn begin(
        &self,
        name: &str,
        routes: &Routes,
        look_up: impl FnOnce() -> usize,
        make: impl FnOnce(usize) -> Active,
    ) -> (usize, Option<ActiveId>) {
        let mut free = self.any(|it| &it.begun);
        let known = { free.as_ref() }.and_then(|(_, begun)| begun.known.find(name, routes));
        let route = known.unwrap_or_else(|| {
            drop(free.take());
            let route = look_up();
            free = self.any(|it| &it.begun);
            if let Some((_, begun)) = &mut free {
                begun.known.remember(route, routes);
            }
            route
        });
        let Some((stripe, mut begun)) = free else {
            return (route, None);
        };
        let index = begun.add(make(route), self.moments.now());
        (route, index.map(|index| ActiveId { stripe, index }))
    }

    /// What is known of the request at this place; answers the id that it had before.
    pub(super) fn identify(&self, place: ActiveId, id: Id) -> Option<Id> {
        let mut begun = self.all[place.stripe].begun.take()?;
        let active = begun.places.get_mut(place.index)?.as_mut()?;
        active.id.replace(id)
    }

    /// The request at this place has another name, which `look_up` finds if it is not known here; answers
    /// the route. None if its stripe is not given back: then it keeps its name.
    pub(super) fn rename(
        &self,
        place: Option<ActiveId>,
        name: &str,
        routes: &Routes,
        look_up: impl FnOnce() -> usize,
    ) -> Option<usize> {
        let Some(place) = place else {
            return Some(look_up());
        };
        let stripe = &self.all[place.stripe].begun;
        let mut begun = stripe.take()?;
        let route = if let Some(known) = begun.known.find(name, routes) {
            known
        } else {
            drop(begun);
            let route = look_up();
            begun = stripe.take()?;
            begun.known.remember(route, routes);
            route
        };
        begun.rename(place.index, route, self.moments.now());
        Some(route)
    }

    /// The request at this place is over. What is known of it is to be dropped outside of the lock:
    /// with a trace's last handle its records are given back.
    pub(super) fn remove(&self, place: ActiveId) -> Option<Active> {
        let mut begun = self.all[place.stripe].begun.take()?;
        let active = begun.places.get_mut(place.index)?.take();
        begun.free.push(place.index);
        active
    }

    /// The aggregates of this thread's stripe, or of one that is free.
    pub(super) fn aggregates(&self) -> Option<MutexGuard<'_, Aggregates>> {
        Some(self.any(|it| &it.aggregates)?.1)
    }

    /// Reads the aggregates of each stripe. No reader may be in another.
    pub(super) fn read(&self, mut look: impl FnMut(&mut Aggregates)) {
        let _reader = self.reader.take();
        for stripe in &self.all {
            if let Some(mut aggregates) = stripe.aggregates.take() {
                look(&mut aggregates);
            }
        }
    }

    /// Counts one more of the route with this number.
    pub(super) fn count(&self, aggregates: &mut Aggregates, route: usize, one: EndedCounts) {
        let now = self.moments.now();
        if let Some(totals) = aggregates.totals.get_mut(route) {
            totals.change(now).add(one);
        }
    }

    /// Reads what is usual of the route with this number, as it is in this window of time.
    pub(super) fn read_route(&self, route: usize, window: u64, mut look: impl FnMut(&Baseline)) {
        self.read(|aggregates| {
            if let Some(baseline) = aggregates.get(route, window) {
                look(baseline);
            }
        });
    }

    /// How many requests began and ended, by the route's number, all of one moment.
    pub(super) fn counted(&self) -> Vec<RequestCounts> {
        let _reader = self.reader.take();
        let moment = self.moments.begin();
        let mut sums: Vec<RequestCounts> = Vec::new();
        let mut add = |number: usize, counted: RequestCounts| {
            if sums.len() <= number {
                sums.resize(number + 1, RequestCounts::default());
            }
            sums[number].add(counted);
        };
        for stripe in &self.all {
            let aggregates = stripe.aggregates.take();
            let totals = aggregates.iter().flat_map(|aggregates| &aggregates.totals);
            for (number, ended) in totals.enumerate() {
                let ended = ended.at(moment);
                add(number, RequestCounts { begun: 0, ended });
            }
            drop(aggregates);
            let begun = stripe.begun.take();
            let counts = begun.iter().flat_map(|begun| &begun.counts);
            for (number, begun) in counts.enumerate() {
                let (begun, ended) = (begun.at(moment), EndedCounts::NONE);
                add(number, RequestCounts { begun, ended });
            }
        }
        sums
    }

    /// The requests that are not over. Whoever must not wait leaves out what others have taken.
    pub(super) fn in_flight(&self, may_wait: bool) -> Vec<Active> {
        let mut in_flight = Vec::new();
        for stripe in &self.all {
            for from in (0..).step_by(AT_ONCE) {
                let begun = if may_wait {
                    stripe.begun.take()
                } else {
                    stripe.begun.try_take()
                };
                let places = begun.as_ref().and_then(|it| it.places.get(from..));
                let Some(places) = places.filter(|it| !it.is_empty()) else {
                    break;
                };
                in_flight.extend(places.iter().take(AT_ONCE).flatten().cloned());
            }
        }
        in_flight
    }
}

impl Begun {
    /// Answers its place; `None` if there is no memory for one.
    fn add(&mut self, active: Active, now: Moment) -> Option<usize> {
        if let Some(count) = self.counts.get_mut(active.route) {
            *count.change(now) += 1;
        }
        if let Some(place) = self.free.pop() {
            self.places[place] = Some(active);
            return Some(place);
        }
        self.places.try_reserve(1).ok()?;
        let all = self.places.capacity();
        self.free.try_reserve(all).ok()?;
        self.places.push(Some(active));
        Some(self.places.len() - 1)
    }

    /// In one moment for whoever reads: it is counted once, under either name.
    fn rename(&mut self, place: usize, route: usize, now: Moment) {
        let active = self.places.get_mut(place).and_then(Option::as_mut);
        // Both have a count since they were looked up here; if not, it keeps its name.
        if let Some(active) = active
            && self.counts.len() > active.route.max(route)
        {
            let before = std::mem::replace(&mut active.route, route);
            *self.counts[before].change(now) -= 1;
            *self.counts[route].change(now) += 1;
        }
    }
}

impl Aggregates {
    fn make_room(&mut self, number: usize) -> bool {
        lengthen(&mut self.totals, number + 1) && lengthen(&mut self.baselines, number + 1)
    }

    /// Returns what is usual of a route, what is needed to add to it, and what it may take; `None` if there
    /// is no memory.
    pub(super) fn of(&mut self, route: usize) -> Option<(&mut Baseline, &mut Scratch, &mut Quota)> {
        let baseline = self.baselines.get_mut(route)?;
        if baseline.is_none() {
            *baseline = Some(Boxed::new(Baseline::new(self.most_paths)).ok()?);
            self.quota.take_at_most(SHARED_BYTES + ROUTE_BYTES);
        }
        Some((baseline.as_mut()?, &mut self.scratch, &mut self.quota))
    }

    /// Calls that are in no baseline.
    pub(super) fn lose(&mut self, calls: u64) {
        self.lost += calls;
    }

    /// For a reader, as it is in this window of time.
    fn get(&mut self, route: usize, window: u64) -> Option<&Baseline> {
        let baseline = self.baselines.get_mut(route)?.as_mut()?;
        baseline.turn_to(window, &mut self.quota);
        Some(baseline)
    }

    /// Calls that are in no baseline, or not with all of their figures.
    pub(super) fn lost(&self) -> u64 {
        let baselines = self.baselines.iter().flatten();
        self.lost + baselines.map(|it| it.lost()).sum::<u64>()
    }
}

/// How many stripes there are.
fn count() -> usize {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    threads.clamp(2, MOST)
}
