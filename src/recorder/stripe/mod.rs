//! Stripes: what the requests of some threads share, so that those of others need not wait.
//!
//! A thread begins and ends requests in its own stripe. If another thread has taken that one, it uses one
//! that is free, as a reader adds all of them up. A reader takes the aggregates of one stripe at a time, and
//! there is one reader at a time, so that a request always finds a stripe that no reader has. Of a list of
//! requests in flight, a reader takes a few at a time.

mod aggregates;
mod begun;
mod counts;

use std::cell::Cell;
use std::sync::MutexGuard;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_utils::CachePadded;

use crate::primitives::cut::Moments;

use super::baseline::Baseline;
use super::id::Id;
use super::process_lock::ProcessLock;
use super::route::Routes;

use aggregates::{Aggregates, ROUTE_BYTES, SHARED_BYTES};
use begun::Begun;

pub(super) use begun::Active;
pub(super) use counts::{EndedCounts, RequestCounts};

/// The most stripes. More are no use: two threads seldom end a request in the same half microsecond.
const MOST: usize = 8;
/// How often a request looks whether one of the stripes is free, each of which is taken for less than
/// a microsecond, before it waits for its own.
const ROUNDS: usize = 100;
/// How many requests in flight are copied while those that begin and end wait.
const AT_ONCE: usize = 32;

pub(super) struct Stripes {
    all: Box<[CachePadded<Stripe>]>,
    /// Held by a reader.
    reader: ProcessLock<()>,
    /// The moments at which readers take counts.
    moments: CachePadded<Moments>,
}

struct Stripe {
    begun: ProcessLock<Begun>,
    aggregates: ProcessLock<Aggregates>,
}

/// Names a request among those that are not over.
#[derive(Clone, Copy)]
pub(super) struct ActiveId {
    stripe: usize,
    index: usize,
}

impl Stripes {
    /// Makes as many as threads run at once, and two at least. They share `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        let count = count();
        let stripe = |_| {
            let mut begun = Begun::default();
            // For the route of all names that have none of their own.
            begun.make_room(0);
            let aggregates = Aggregates::new(bytes / count);
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

    /// Returns how many names there is memory for in half of these bytes.
    pub(super) fn most_names(bytes: usize) -> usize {
        bytes / 2 / (Routes::PLACE_BYTES + SHARED_BYTES + ROUTE_BYTES * count())
    }

    /// Makes places for the route with this number in each stripe: once a request has begun, there must be
    /// one where it ends. Returns `false` if there is no memory.
    pub(super) fn make_room(&self, number: usize) -> bool {
        self.all.iter().all(|stripe| {
            { stripe.begun.take() }.is_some_and(|mut it| it.make_room(number)) && {
                stripe.aggregates.take()
            }
            .is_some_and(|mut it| it.make_room(number))
        })
    }

    /// Returns the number of this thread's stripe.
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

    /// Takes a part of this thread's stripe, or of one that is free. `None` if a forked process has lost it.
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

    /// Adds a request to those that are not over. `look_up` finds a name that is not known here, and `make`
    /// is given the route's number. Returns that number, and the request's id here, unless there is no
    /// memory or a forked process has lost the stripe.
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

    /// Notes which request it is. Returns the id that it had before.
    pub(super) fn identify(&self, active: ActiveId, id: Id) -> Option<Id> {
        let mut begun = self.all[active.stripe].begun.take()?;
        begun.get_mut(active.index)?.id.replace(id)
    }

    /// Gives a request another name, which `look_up` finds if it is not known here. Returns the route;
    /// `None` if a forked process has lost the stripe: then the request keeps its name.
    pub(super) fn rename(
        &self,
        active: Option<ActiveId>,
        name: &str,
        routes: &Routes,
        look_up: impl FnOnce() -> usize,
    ) -> Option<usize> {
        let Some(active) = active else {
            return Some(look_up());
        };
        let stripe = &self.all[active.stripe].begun;
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
        begun.rename(active.index, route, self.moments.now());
        Some(route)
    }

    /// Removes a request that is over. The caller drops it outside of the lock: with a trace's last handle
    /// its records are given back.
    pub(super) fn remove(&self, active: ActiveId) -> Option<Active> {
        self.all[active.stripe].begun.take()?.remove(active.index)
    }

    /// Takes the aggregates of this thread's stripe, or of one that is free.
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

    /// Returns how many requests began and ended, by the route's number, all of one moment.
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

    /// Returns the requests that are not over. A caller that must not wait gets none from stripes that are
    /// taken.
    pub(super) fn in_flight(&self, may_wait: bool) -> Vec<Active> {
        let mut in_flight = Vec::new();
        for stripe in &self.all {
            for from in (0..).step_by(AT_ONCE) {
                let begun = if may_wait {
                    stripe.begun.take()
                } else {
                    stripe.begun.try_take()
                };
                let active = begun.as_ref().and_then(|it| it.active.get(from..));
                let Some(active) = active.filter(|it| !it.is_empty()) else {
                    break;
                };
                in_flight.extend(active.iter().take(AT_ONCE).flatten().cloned());
            }
        }
        in_flight
    }
}

/// Returns how many stripes there are.
fn count() -> usize {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    threads.clamp(2, MOST)
}
