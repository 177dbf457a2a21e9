//! A stripe: what the requests of some threads share, so that those of others need not wait.
//!
//! A thread begins and ends requests in its own stripe. A reader looks at one stripe after the
//! other, and at one route in it after the other, so nobody waits for it long.

use std::cell::Cell;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use crossbeam_utils::CachePadded;
use hashbrown::HashMap;

use crate::trace::Trace;

use super::baseline::Baseline;
use super::route::Route;

/// More are no use: two threads seldom end a request in the same half microsecond.
const MOST: usize = 16;

pub(super) struct Stripes(Box<[CachePadded<Mutex<Stripe>>]>);

/// What the requests of some threads share.
pub(super) struct Stripe {
    /// The names that were looked up before.
    routes: HashMap<Arc<str>, Arc<Route>>,
    /// By the route's number.
    pub(super) figures: Vec<Option<Box<OfRoute>>>,
    pub(super) in_flight: InFlight,
    /// How many bytes the baselines may take more.
    pub(super) room: usize,
}

/// What there is of one name.
pub(super) struct OfRoute {
    pub(super) baseline: Baseline,
    pub(super) totals: Totals,
}

/// How many requests ended, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) kept: u64,
    pub(super) not_kept: u64,
    pub(super) dropped: u64,
}

impl Totals {
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.kept += other.kept;
        self.not_kept += other.not_kept;
        self.dropped += other.dropped;
    }
}

impl Stripes {
    /// As many as threads run at once; `baseline_bytes` for all of them.
    pub(super) fn new(baseline_bytes: usize) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let count = threads.clamp(1, MOST);
        let stripe = |_| {
            CachePadded::new(Mutex::new(Stripe {
                routes: HashMap::new(),
                figures: Vec::new(),
                in_flight: InFlight::default(),
                room: baseline_bytes / count,
            }))
        };
        Self((0..count).map(stripe).collect())
    }

    /// This thread's.
    pub(super) fn here(&self) -> usize {
        thread_local! {
            static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        let place = PLACE.get();
        if place != usize::MAX {
            return place % self.0.len();
        }
        let place = THREADS.fetch_add(1, Relaxed);
        PLACE.set(place);
        place % self.0.len()
    }

    pub(super) fn lock(&self, place: usize) -> MutexGuard<'_, Stripe> {
        super::lock(&self.0[place])
    }

    /// The same for who must not wait: none where another thread has it.
    pub(super) fn try_lock(&self, place: usize) -> Option<MutexGuard<'_, Stripe>> {
        match self.0[place].try_lock() {
            Ok(stripe) => Some(stripe),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(super) fn places(&self) -> std::ops::Range<usize> {
        0..self.0.len()
    }
}

impl Stripe {
    pub(super) fn known(&self, name: &str) -> Option<&Arc<Route>> {
        self.routes.get(name)
    }

    pub(super) fn know(&mut self, route: &Arc<Route>) {
        self.routes
            .insert(Arc::clone(&route.name), Arc::clone(route));
    }

    /// What there is of a route, and how many bytes its baseline may take more.
    pub(super) fn of(&mut self, route: &Route) -> (&mut OfRoute, &mut usize) {
        if self.figures.len() <= route.number {
            self.figures.resize_with(route.number + 1, || None);
        }
        let figures = self.figures[route.number].get_or_insert_with(|| {
            self.room = self.room.saturating_sub(size_of::<OfRoute>());
            Box::new(OfRoute {
                baseline: Baseline::new(),
                totals: Totals::default(),
            })
        });
        (figures, &mut self.room)
    }

    /// The same for a reader, as it is in this window of time.
    pub(super) fn get(&mut self, route: &Route, window: u64) -> Option<&OfRoute> {
        let figures = self.figures.get_mut(route.number)?.as_deref_mut()?;
        figures.baseline.turn_to(window, &mut self.room);
        Some(figures)
    }
}

/// The requests that are not over.
#[derive(Default)]
pub(super) struct InFlight {
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

impl InFlight {
    pub(super) fn add(&mut self, active: Active) -> usize {
        if let Some(place) = self.free.pop() {
            self.places[place] = Some(active);
            return place;
        }
        self.places.push(Some(active));
        self.places.len() - 1
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Active> {
        self.places.get_mut(place)?.as_mut()
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<Active> {
        let active = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(active)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Active> {
        self.places.iter().flatten()
    }
}
