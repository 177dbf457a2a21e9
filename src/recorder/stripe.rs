//! A stripe: what the requests of some threads share, so that those of others need not wait.
//!
//! A thread begins and ends requests in its own stripe; in another one where its own is taken, as
//! whoever reads adds all of them up. A reader takes the figures of one stripe at a time, and there
//! is one reader at a time, so that a request always finds a stripe that no reader has. Of a list of
//! requests in flight, it takes a few at a time.

use std::cell::Cell;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};

use crossbeam_utils::CachePadded;
use hashbrown::HashMap;

use crate::trace::Trace;

use super::baseline::{Baseline, Scratch};
use super::bounded::MAX_TEXT_BYTES;
use super::process_lock::ProcessLock;
use super::route::Route;

/// More are no use: two threads seldom end a request in the same half microsecond.
const MOST: usize = 8;
/// So often a request looks whether one of the stripes is free, each of which is taken for less than
/// a microsecond, before it waits for its own.
const ROUNDS: usize = 100;
/// So many requests in flight are copied while those that begin and end wait.
const AT_ONCE: usize = 32;

pub(super) struct Stripes {
    all: Box<[CachePadded<Stripe>]>,
    /// Of whoever reads figures.
    reader: ProcessLock<()>,
}

struct Stripe {
    begun: ProcessLock<Begun>,
    figures: ProcessLock<Figures>,
}

/// The requests that began in a stripe.
#[derive(Default)]
pub(super) struct Begun {
    /// The names that were looked up before.
    routes: HashMap<Arc<str>, Arc<Route>>,
    /// How many there ever were, by the route's number; one that was renamed is of its last name.
    counts: Vec<u64>,
    /// Those that are not over.
    places: Vec<Option<Active>>,
    free: Vec<usize>,
}

/// A request that is not over.
#[derive(Clone)]
pub(super) struct Active {
    pub(super) route: Arc<Route>,
    pub(super) id: Option<Arc<str>>,
    pub(super) trace: Trace,
}

/// Where a request stands among those that are not over.
#[derive(Clone, Copy)]
pub(super) struct Place {
    stripe: usize,
    index: usize,
}

/// What the requests did that ended in a stripe.
pub(super) struct Figures {
    /// By the route's number.
    routes: Vec<Option<Box<OfRoute>>>,
    scratch: Scratch,
    /// How many bytes all this may take more.
    room: usize,
    /// How many paths one name may have, so that no other is left without.
    most_paths: usize,
}

/// What there is of one name.
pub(super) struct OfRoute {
    pub(super) baseline: Baseline,
    pub(super) totals: Totals,
}

/// What a name takes once, at most.
const SHARED_BYTES: usize = size_of::<Route>() + MAX_TEXT_BYTES;
/// What it takes in each stripe: its places in lists and tables, and what there is of it.
const ROUTE_BYTES: usize = 128 + size_of::<OfRoute>() + Baseline::RESERVED_BYTES;

/// How many requests ended, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) kept: u64,
    pub(super) not_kept: u64,
    pub(super) dropped: u64,
}

impl Totals {
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
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let count = threads.clamp(2, MOST);
        let stripe = |_| {
            CachePadded::new(Stripe {
                begun: ProcessLock::new(Begun::default()),
                figures: ProcessLock::new(Figures {
                    routes: Vec::new(),
                    scratch: Scratch::default(),
                    room: bytes / count,
                    most_paths: Baseline::most_paths(bytes / count / 4),
                }),
            })
        };
        Self {
            all: (0..count).map(stripe).collect(),
            reader: ProcessLock::new(()),
        }
    }

    /// How many names there is room for in half of so many bytes.
    pub(super) fn most_names(&self, bytes: usize) -> usize {
        bytes / 2 / (SHARED_BYTES + ROUTE_BYTES * self.all.len())
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

    /// Takes a request among those that are not over. `look_up` finds a name that is not known here.
    /// No place where no stripe is given back.
    pub(super) fn begin(
        &self,
        name: &str,
        id: Option<&Arc<str>>,
        trace: &Trace,
        look_up: impl FnOnce() -> Arc<Route>,
    ) -> (Arc<Route>, Option<Place>) {
        let mut free = self.any(|it| &it.begun);
        let known = { free.as_ref() }.and_then(|(_, begun)| begun.routes.get(name).cloned());
        let route = known.unwrap_or_else(|| {
            drop(free.take());
            let route = look_up();
            free = self.any(|it| &it.begun);
            if let Some((_, begun)) = &mut free {
                begun.know(&route);
            }
            route
        });
        let Some((stripe, mut begun)) = free else {
            return (route, None);
        };
        let index = begun.add(Active {
            route: Arc::clone(&route),
            id: id.cloned(),
            trace: trace.clone(),
        });
        (route, Some(Place { stripe, index }))
    }

    /// What is known of the request at this place; answers the id that it had before.
    pub(super) fn identify(&self, place: Place, id: Arc<str>) -> Option<Arc<str>> {
        let mut begun = self.all[place.stripe].begun.take()?;
        let active = begun.places.get_mut(place.index)?.as_mut()?;
        active.id.replace(id)
    }

    /// The request at this place has another name, which `look_up` finds if it is not known here; answers
    /// the route. None if its stripe is not given back: then it keeps its name.
    pub(super) fn rename(
        &self,
        place: Option<Place>,
        name: &str,
        look_up: impl FnOnce() -> Arc<Route>,
    ) -> Option<Arc<Route>> {
        let Some(place) = place else {
            return Some(look_up());
        };
        let stripe = &self.all[place.stripe].begun;
        let mut begun = stripe.take()?;
        let known = begun.routes.get(name).cloned();
        let route = if let Some(known) = known {
            known
        } else {
            drop(begun);
            let route = look_up();
            begun = stripe.take()?;
            begun.know(&route);
            route
        };
        begun.rename(place.index, &route);
        Some(route)
    }

    /// The request at this place is over. What is known of it is to be dropped outside of the lock:
    /// with a trace's last handle its records are given back.
    pub(super) fn remove(&self, place: Place) -> Option<Active> {
        let mut begun = self.all[place.stripe].begun.take()?;
        let active = begun.places.get_mut(place.index)?.take();
        begun.free.push(place.index);
        active
    }

    /// The figures of this thread's stripe, or of one that is free.
    pub(super) fn figures(&self) -> Option<MutexGuard<'_, Figures>> {
        Some(self.any(|it| &it.figures)?.1)
    }

    /// Reads the figures of each stripe. No reader may be in another.
    pub(super) fn read(&self, mut look: impl FnMut(&mut Figures)) {
        let _reader = self.reader.take();
        for stripe in &self.all {
            if let Some(mut figures) = stripe.figures.take() {
                look(&mut figures);
            }
        }
    }

    /// The same of one route, as it is in this window of time, where there is something of it.
    pub(super) fn read_route(&self, route: &Route, window: u64, mut look: impl FnMut(&OfRoute)) {
        self.read(|figures| {
            if let Some(of_route) = figures.get(route, window) {
                look(of_route);
            }
        });
    }

    /// How many requests have begun, by the route's number.
    pub(super) fn begun(&self) -> Vec<u64> {
        let mut sums: Vec<u64> = Vec::new();
        for stripe in &self.all {
            let Some(begun) = stripe.begun.take() else {
                continue;
            };
            if sums.len() < begun.counts.len() {
                sums.resize(begun.counts.len(), 0);
            }
            for (sum, count) in sums.iter_mut().zip(&begun.counts) {
                *sum += count;
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
    /// Answers its place.
    fn add(&mut self, active: Active) -> usize {
        self.count(&active.route);
        if let Some(place) = self.free.pop() {
            self.places[place] = Some(active);
            return place;
        }
        self.places.push(Some(active));
        self.places.len() - 1
    }

    fn know(&mut self, route: &Arc<Route>) {
        let name = Arc::clone(&route.name);
        self.routes.insert(name, Arc::clone(route));
    }

    fn count(&mut self, route: &Route) {
        if self.counts.len() <= route.number {
            self.counts.resize(route.number + 1, 0);
        }
        self.counts[route.number] += 1;
    }

    /// In one step for whoever reads: it is counted once, under either name.
    fn rename(&mut self, place: usize, route: &Arc<Route>) {
        if let Some(active) = self.places.get_mut(place).and_then(Option::as_mut) {
            let before = std::mem::replace(&mut active.route, Arc::clone(route));
            self.counts[before.number] -= 1;
            self.count(route);
        }
    }
}

impl Figures {
    /// What there is of a route, what is needed to add to it, and how many bytes it may take more.
    pub(super) fn of(&mut self, route: &Route) -> (&mut OfRoute, &mut Scratch, &mut usize) {
        if self.routes.len() <= route.number {
            self.routes.resize_with(route.number + 1, || None);
        }
        let figures = self.routes[route.number].get_or_insert_with(|| {
            self.room = self.room.saturating_sub(SHARED_BYTES + ROUTE_BYTES);
            Box::new(OfRoute {
                baseline: Baseline::new(self.most_paths),
                totals: Totals::default(),
            })
        });
        (figures, &mut self.scratch, &mut self.room)
    }

    /// The same for a reader, as it is in this window of time.
    fn get(&mut self, route: &Route, window: u64) -> Option<&OfRoute> {
        let figures = self.routes.get_mut(route.number)?.as_deref_mut()?;
        figures.baseline.turn_to(window, &mut self.room);
        Some(figures)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &OfRoute> {
        self.routes.iter().flatten().map(|it| &**it)
    }
}
