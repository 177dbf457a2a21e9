//! The figures of the requests that ended in a stripe.

#[cfg(feature = "metrics")]
use alloc_counter::Counts;

use crate::primitives::cut::Counter;
use crate::primitives::fallible::{Boxed, lengthen};
use crate::recorder::baseline::Baseline;
use crate::recorder::bounded::MAX_TEXT_BYTES;
#[cfg(feature = "metrics")]
use crate::recorder::ever::Ever;
use crate::recorder::minutes::PresentMinute;
use crate::recorder::quota::Quota;
use crate::recorder::route::Route;

use super::counts::EndedCounts;

/// The bytes that a name takes once, at most, besides its
/// [place](crate::recorder::route::Routes::PLACE_BYTES).
pub(super) const SHARED_BYTES: usize = 2 * MAX_TEXT_BYTES;
/// The bytes that a name takes in each stripe: its places in lists and tables, and its baseline.
pub(super) const ROUTE_BYTES: usize =
    256 + size_of::<OfRoute>() + Baseline::RESERVED_BYTES + EVER_BYTES;

#[cfg(feature = "metrics")]
const EVER_BYTES: usize = size_of::<Ever>();
#[cfg(not(feature = "metrics"))]
const EVER_BYTES: usize = 0;

/// The recent figures of the requests of one route that ended in a stripe.
struct OfRoute {
    baseline: Baseline,
    minute: PresentMinute,
}

/// What it takes to add a request to the recent figures of its route.
pub(crate) struct ToAdd<'a> {
    pub(crate) baseline: &'a mut Baseline,
    pub(crate) minute: &'a mut PresentMinute,
    pub(crate) quota: &'a mut Quota,
}

/// The figures of the requests that ended in a stripe.
pub(crate) struct Aggregates {
    /// By the route's number: counts of the ended requests.
    pub(super) totals: Vec<Counter<EndedCounts>>,
    routes: Vec<Option<Boxed<OfRoute>>>,
    #[cfg(feature = "metrics")]
    ever: Vec<Boxed<Ever>>,
    /// Calls of requests whose names have no baseline, because there was no memory.
    lost: u64,
    /// The memory that all this may take.
    quota: Quota,
    /// The most paths of one name, so that there is memory for the others.
    most_paths: usize,
}

impl Aggregates {
    /// Makes empty aggregates, which may take this many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let mut aggregates = Self {
            totals: Vec::new(),
            routes: Vec::new(),
            #[cfg(feature = "metrics")]
            ever: Vec::new(),
            lost: 0,
            quota: Quota::new(bytes),
            most_paths: Baseline::most_paths(bytes / 4),
        };
        // Route 0 stands for all names without a route of their own.
        aggregates.make_room(0);
        aggregates
    }

    /// Makes places for the route with this number. Returns `false` if there is no memory.
    pub(super) fn make_room(&mut self, number: usize) -> bool {
        #[cfg(feature = "metrics")]
        while self.ever.len() <= number {
            // Now, so that no request is missing from counts that must only grow.
            let Ok(ever) = Boxed::new(Ever::default()) else {
                return false;
            };
            if self.ever.try_reserve(1).is_err() {
                return false;
            }
            self.ever.push(ever);
        }
        lengthen(&mut self.totals, number + 1) && lengthen(&mut self.routes, number + 1)
    }

    /// Returns the figures of the requests that ever ended, by the route's number.
    #[cfg(feature = "metrics")]
    pub(super) fn ever(&self) -> impl Iterator<Item = &Ever> {
        self.ever.iter().map(|ever| &**ever)
    }

    /// Adds a request of the route with this number to the figures of those that ever ended.
    #[cfg(feature = "metrics")]
    pub(crate) fn measure(&mut self, route: usize, wall_ns: u64, total: &Counts) {
        if let Some(ever) = self.ever.get_mut(route) {
            ever.record(wall_ns, total);
        }
    }

    /// Returns what it takes to add a request of the route with this number; `None` if there is no memory.
    #[inline]
    pub(crate) fn of(&mut self, route: usize) -> Option<ToAdd<'_>> {
        if self.routes.get(route)?.is_none() {
            self.begin(route)?;
        }
        let OfRoute { baseline, minute } = &mut **self.routes.get_mut(route)?.as_mut()?;
        Some(ToAdd {
            baseline,
            minute,
            quota: &mut self.quota,
        })
    }

    #[cold]
    fn begin(&mut self, route: usize) -> Option<()> {
        let new = OfRoute {
            baseline: Baseline::new(self.most_paths),
            minute: PresentMinute::default(),
        };
        self.routes[route] = Some(Boxed::new(new).ok()?);
        self.quota.take_at_most(SHARED_BYTES + ROUTE_BYTES);
        Some(())
    }

    /// Counts calls that are in no baseline.
    pub(crate) fn lose(&mut self, calls: u64) {
        self.lost += calls;
    }

    /// Returns a route's baseline in this window of time.
    pub(super) fn get(&mut self, route: usize, window: u64) -> Option<&Baseline> {
        let baseline = &mut self.routes.get_mut(route)?.as_mut()?.baseline;
        baseline.turn_to(window, &mut self.quota);
        Some(baseline)
    }

    /// Moves the sums of a route's present minute to the route's minutes.
    pub(super) fn finish_minute(&mut self, route: &Route) {
        if let Some(Some(of_route)) = self.routes.get_mut(route.number) {
            of_route.minute.move_to(&route.minutes, &mut self.quota);
        }
    }

    /// Returns how many calls are in no baseline, or not with all of their figures.
    pub(crate) fn lost(&self) -> u64 {
        let routes = self.routes.iter().flatten();
        self.lost + routes.map(|it| it.baseline.lost()).sum::<u64>()
    }
}
