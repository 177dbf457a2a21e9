//! Stripes: the shared state of requests, divided so that threads seldom wait for each other.
//!
//! A thread begins and ends requests in its own stripe. If another thread holds that one, it uses any
//! free stripe, since readers add up all stripes. There is one reader at a time, and it locks the
//! aggregates of one stripe at a time, so a request always finds a stripe that no reader holds. The list
//! of requests in flight is read in short steps.

mod aggregates;
mod begun;
mod counts;

use std::sync::MutexGuard;

use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;

use crate::primitives::cut::Moments;
use crate::primitives::fallible::Boxed;
use crate::primitives::place::place_of_thread;
use crate::read::summary::Summary;
use crate::store::trace::Trace;

use super::baseline::Baseline;
#[cfg(feature = "metrics")]
use super::ever::Ever;
use super::id::Id;
use super::minutes::Minutes;
use super::name::Name;
use super::process_lock::ProcessLock;
use super::route::{Route, Routes};

use aggregates::{Aggregates, ROUTE_BYTES, SHARED_BYTES};
use begun::{Begun, Entry};

pub(super) use aggregates::ToAdd;
pub(super) use begun::Active;
pub(super) use counts::Fate;
pub(crate) use counts::{EndedCounts, Ending, RequestCounts};

/// The most stripes. More would not help: two threads seldom end a request in the same half microsecond.
const MOST: usize = 8;
/// How many times a request tries all stripes, each of which is held for less than a microsecond, before
/// it waits for its own.
const ROUNDS: usize = 100;
/// How many requests in flight a reader copies under one lock.
const AT_ONCE: usize = 32;

pub(super) struct Stripes {
    all: Box<[CachePadded<Stripe>]>,
    /// Held by the present reader.
    reader: ProcessLock<()>,
    /// The moments at which readers take counts.
    moments: CachePadded<Moments>,
}

struct Stripe {
    begun: ProcessLock<Begun>,
    aggregates: ProcessLock<Aggregates>,
    /// A summary, kept for its memory. It can't be a thread-local: one with a destructor allocates in a
    /// way that can't fail.
    spare: AtomicCell<Option<Boxed<Summary>>>,
}

const _: () = assert!(AtomicCell::<Option<Boxed<Summary>>>::is_lock_free());

/// Identifies a request in flight.
#[derive(Clone, Copy)]
pub(super) struct ActiveId {
    stripe: usize,
    index: usize,
}

impl Stripes {
    /// Makes as many stripes as threads can run at once, at least two and at most [`MOST`]. They share
    /// `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        let count = count();
        let stripe = |_| {
            let mut begun = Begun::default();
            // Route 0 stands for all names without a route of their own.
            begun.make_room(0);
            let aggregates = Aggregates::new(bytes / count);
            CachePadded::new(Stripe {
                begun: ProcessLock::new(begun),
                aggregates: ProcessLock::new(aggregates),
                spare: AtomicCell::new(None),
            })
        };
        Self {
            all: (0..count).map(stripe).collect(),
            reader: ProcessLock::new(()),
            moments: CachePadded::new(Moments::new()),
        }
    }

    /// Returns for how many names half of these bytes are enough.
    pub(super) fn most_names(bytes: usize) -> usize {
        bytes
            / 2
            / (Routes::PLACE_BYTES + Minutes::LEAST_BYTES + SHARED_BYTES + ROUTE_BYTES * count())
    }

    /// Makes places for the route with this number in each stripe, so that a request that has begun
    /// finds one in whichever stripe it ends. Returns `false` if there is no memory.
    pub(super) fn make_room(&self, number: usize) -> bool {
        self.all.iter().all(|stripe| {
            { stripe.begun.take() }.is_some_and(|mut it| it.make_room(number)) && {
                stripe.aggregates.take()
            }
            .is_some_and(|mut it| it.make_room(number))
        })
    }

    /// Returns the number of this thread's stripe.
    pub(super) fn here(&self) -> usize {
        place_of_thread() % self.all.len()
    }

    /// Locks a part of this thread's stripe, which is [here](Self::here), or of one that is free. `None` if the lock is
    /// lost in a forked process.
    #[inline]
    fn any<T>(
        &self,
        here: usize,
        part: impl Fn(&Stripe) -> &ProcessLock<T>,
    ) -> Option<(usize, MutexGuard<'_, T>)> {
        if let Some(free) = part(&self.all[here]).try_take() {
            return Some((here, free));
        }
        self.any_other(here, part)
    }

    #[cold]
    fn any_other<T>(
        &self,
        here: usize,
        part: impl Fn(&Stripe) -> &ProcessLock<T>,
    ) -> Option<(usize, MutexGuard<'_, T>)> {
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

    /// Adds a request to those in flight, with its id if the trace does not have it. `look_up` finds a name that is not
    /// known in this stripe. Returns the route's number and the request's id here; no id if there is no memory or the
    /// lock is lost in a forked process.
    pub(super) fn begin(
        &self,
        name: Name<'_>,
        trace: &Trace,
        id: Option<&Id>,
        routes: &Routes,
        look_up: impl FnOnce(&str) -> usize,
    ) -> (usize, Option<ActiveId>) {
        let here = self.here();
        let mut free = self.any(here, |it| &it.begun);
        let recent = { free.as_ref() }.and_then(|(_, begun)| begun.known.find_recent(name, routes));
        let route = recent.unwrap_or_else(|| {
            let text = name.text();
            let known = { free.as_ref() }.and_then(|(_, begun)| begun.known.find(&text, routes));
            let route = known.unwrap_or_else(|| {
                drop(free.take());
                let route = look_up(&text);
                free = self.any(here, |it| &it.begun);
                route
            });
            if let Some((_, begun)) = &mut free {
                if known.is_none() {
                    begun.known.remember(route, routes);
                }
                begun.known.note_recent(name, route);
            }
            route
        });
        let Some((stripe, mut begun)) = free else {
            return (route, None);
        };
        let trace = trace.clone();
        let index = begun.add(Entry { route, trace }, id, self.moments.now());
        (route, index.map(|index| ActiveId { stripe, index }))
    }

    /// Sets the id of a request in flight whose trace does not have it; `None` if the trace has it now. Returns its
    /// previous id.
    pub(super) fn identify(&self, active: ActiveId, id: Option<Id>) -> Option<Id> {
        { self.all[active.stripe].begun.take()? }.identify(active.index, id)
    }

    /// Gives a request another name, which `look_up` finds if it is not known in this stripe. Returns
    /// the route; `None` if the lock is lost in a forked process: then the request keeps its name.
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

    /// Removes a request that is over. The caller drops the trace's handle outside of the lock, since the last one gives
    /// back its records.
    #[inline]
    pub(super) fn remove(&self, active: ActiveId) -> Option<Trace> {
        self.all[active.stripe].begun.take()?.remove(active.index)
    }

    /// Locks the aggregates of this thread's stripe, which is [here](Self::here), or of one that is free.
    pub(super) fn aggregates(&self, here: usize) -> Option<MutexGuard<'_, Aggregates>> {
        Some(self.any(here, |it| &it.aggregates)?.1)
    }

    /// Takes the summary that a stripe has kept.
    pub(super) fn take_summary(&self, here: usize) -> Option<Boxed<Summary>> {
        self.all[here].spare.take()
    }

    /// Keeps a summary for its memory.
    pub(super) fn give_summary(&self, here: usize, summary: Boxed<Summary>) {
        drop(self.all[here].spare.swap(Some(summary)));
    }

    /// Reads the aggregates of each stripe. `look` must not begin another read.
    pub(super) fn read(&self, look: impl FnMut(&mut Aggregates)) {
        let _reader = self.reader.take();
        self.look_at_aggregates(look);
    }

    /// Looks at the aggregates of each stripe. The caller is the reader.
    fn look_at_aggregates(&self, mut look: impl FnMut(&mut Aggregates)) {
        for stripe in &self.all {
            if let Some(mut aggregates) = stripe.aggregates.take() {
                look(&mut aggregates);
            }
        }
    }

    /// Counts one more request of the route with this number.
    pub(super) fn count(
        &self,
        aggregates: &mut Aggregates,
        route: usize,
        fate: Fate,
        ending: Ending,
    ) {
        let now = self.moments.now();
        if let Some(totals) = aggregates.totals.get_mut(route) {
            totals.change(now).count(fate, ending);
        }
    }

    /// Reads the route's baseline in each stripe, as it is in this window of time.
    pub(super) fn read_route(&self, route: usize, window: u64, mut look: impl FnMut(&Baseline)) {
        self.read(|aggregates| {
            if let Some(baseline) = aggregates.get(route, window) {
                look(baseline);
            }
        });
    }

    /// Adds up the route's baseline of each stripe, as it is in this window of time; `None` if there is a reader.
    pub(super) fn try_sum_route<T: Default>(
        &self,
        route: usize,
        window: u64,
        add: impl Fn(&mut T, &Baseline),
    ) -> Option<T> {
        let _reader = self.reader.try_take()?;
        let mut sum = T::default();
        self.look_at_aggregates(|aggregates| {
            if let Some(baseline) = aggregates.get(route, window) {
                add(&mut sum, baseline);
            }
        });
        Some(sum)
    }

    /// Moves the sums of the present minute to the route's minutes, from each stripe.
    pub(super) fn finish_minutes(&self, route: &Route) {
        self.read(|aggregates| aggregates.finish_minute(route));
    }

    /// Returns the counts of requests that began and ended, by the route's number, all of one moment.
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
                let (begun, ended) = (begun.at(moment), EndedCounts::default());
                add(number, RequestCounts { begun, ended });
            }
        }
        sums
    }

    /// Returns the figures of the requests that ever ended, by the route's number.
    #[cfg(feature = "metrics")]
    pub(super) fn ever(&self, routes: usize) -> Vec<Ever> {
        let mut sums = Vec::new();
        sums.resize_with(routes, Ever::default);
        self.read(|aggregates| {
            for (sum, ever) in sums.iter_mut().zip(aggregates.ever()) {
                sum.add(ever);
            }
        });
        sums
    }

    /// Returns the requests in flight. If the caller must not wait, it skips stripes that are locked.
    pub(super) fn in_flight(&self, may_wait: bool) -> Vec<Active> {
        let mut in_flight = Vec::new();
        self.find_in_flight(may_wait, |entry, id| {
            in_flight.push(Active::of(entry, id));
            None::<()>
        });
        in_flight
    }

    /// Looks at the entries of requests in flight, some at once, until something is found.
    fn find_in_flight<T>(
        &self,
        may_wait: bool,
        mut look: impl FnMut(&Entry, Option<&Id>) -> Option<T>,
    ) -> Option<T> {
        for stripe in &self.all {
            for from in (0..).step_by(AT_ONCE) {
                let begun = if may_wait {
                    stripe.begun.take()
                } else {
                    stripe.begun.try_take()
                };
                let Some(begun) = begun.filter(|it| it.places() > from) else {
                    break;
                };
                let mut some = begun.within(from..from + AT_ONCE);
                let found = some.find_map(|(entry, id)| look(entry, id));
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// Returns the request in flight with this trace. If the caller must not wait, it skips stripes that are
    /// locked.
    #[cfg(feature = "sentry")]
    pub(super) fn find(&self, trace: u64, may_wait: bool) -> Option<Active> {
        self.find_in_flight(may_wait, |entry, id| {
            (entry.trace.id() == trace).then(|| Active::of(entry, id))
        })
    }
}

/// Returns how many stripes there are.
fn count() -> usize {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    threads.clamp(2, MOST)
}
