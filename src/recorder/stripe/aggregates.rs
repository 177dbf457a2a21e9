//! What the requests did that ended in a stripe.

use crate::primitives::cut::Counter;
use crate::primitives::fallible::{Boxed, lengthen};
use crate::read::summary::Summary;
use crate::recorder::baseline::{Baseline, Scratch};
use crate::recorder::bounded::MAX_TEXT_BYTES;
use crate::recorder::quota::Quota;

use super::counts::EndedCounts;

/// What a name takes once, at most, besides its [place](crate::recorder::route::Routes::PLACE_BYTES).
pub(super) const SHARED_BYTES: usize = 2 * MAX_TEXT_BYTES;
/// What a name takes in each stripe: its places in lists and tables, and its baseline.
pub(super) const ROUTE_BYTES: usize = 256 + size_of::<Baseline>() + Baseline::RESERVED_BYTES;

/// What the requests did that ended in a stripe.
pub(crate) struct Aggregates {
    /// By the route's number: how many there were, and what is usual of them.
    pub(super) totals: Vec<Counter<EndedCounts>>,
    baselines: Vec<Option<Boxed<Baseline>>>,
    scratch: Scratch,
    /// Kept for its memory. It can't be each thread's: a thread-local with a destructor requests memory in a
    /// way that can't fail.
    pub(crate) spare: Option<Summary>,
    /// Calls of requests for whose names there was no memory.
    lost: u64,
    /// What all this may take.
    quota: Quota,
    /// How many paths one name may have, so that there is memory for the others.
    most_paths: usize,
}

impl Aggregates {
    /// `bytes`: what all of it may take.
    pub(super) fn new(bytes: usize) -> Self {
        let mut aggregates = Self {
            totals: Vec::new(),
            baselines: Vec::new(),
            scratch: Scratch::default(),
            spare: None,
            lost: 0,
            quota: Quota::new(bytes),
            most_paths: Baseline::most_paths(bytes / 4),
        };
        // For the route of all names that have none of their own.
        aggregates.make_room(0);
        aggregates
    }

    /// Makes places for the route with this number. Returns `false` if there is no memory.
    pub(super) fn make_room(&mut self, number: usize) -> bool {
        lengthen(&mut self.totals, number + 1) && lengthen(&mut self.baselines, number + 1)
    }

    /// Returns what is usual of a route, what is needed to add to it, and what it may take; `None` if there
    /// is no memory.
    pub(crate) fn of(&mut self, route: usize) -> Option<(&mut Baseline, &mut Scratch, &mut Quota)> {
        let baseline = self.baselines.get_mut(route)?;
        if baseline.is_none() {
            *baseline = Some(Boxed::new(Baseline::new(self.most_paths)).ok()?);
            self.quota.take_at_most(SHARED_BYTES + ROUTE_BYTES);
        }
        Some((baseline.as_mut()?, &mut self.scratch, &mut self.quota))
    }

    /// Counts calls that are in no baseline.
    pub(crate) fn lose(&mut self, calls: u64) {
        self.lost += calls;
    }

    /// Returns what is usual of a route in this window of time.
    pub(super) fn get(&mut self, route: usize, window: u64) -> Option<&Baseline> {
        let baseline = self.baselines.get_mut(route)?.as_mut()?;
        baseline.turn_to(window, &mut self.quota);
        Some(baseline)
    }

    /// Returns how many calls are in no baseline, or not with all of their figures.
    pub(crate) fn lost(&self) -> u64 {
        let baselines = self.baselines.iter().flatten();
        self.lost + baselines.map(|it| it.lost()).sum::<u64>()
    }
}
