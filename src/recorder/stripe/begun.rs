//! The requests that began in a stripe, and those of them in flight.

use crate::primitives::cut::{Counter, Moment};
use crate::primitives::fallible::lengthen;
use crate::recorder::id::Id;
use crate::recorder::route::Known;
use crate::store::trace::Trace;

/// The requests that began in a stripe.
#[derive(Default)]
pub(super) struct Begun {
    /// The names that were looked up here before.
    pub(super) known: Known,
    /// How many requests ever began, by the route's number. A renamed one counts for its last name.
    pub(super) counts: Vec<Counter<u64>>,
    /// The requests in flight.
    pub(super) active: Vec<Option<Active>>,
    /// The free indexes of `active`. Its capacity is enough for all of them.
    free: Vec<usize>,
}

/// A request in flight.
#[derive(Clone)]
pub(crate) struct Active {
    /// The route's number.
    pub(crate) route: usize,
    /// Its id, if the trace is an empty one. Otherwise the trace has it.
    pub(crate) id: Option<Id>,
    pub(crate) trace: Trace,
}

impl Active {
    /// Returns the request's id.
    pub(crate) fn id(&self) -> Option<String> {
        let id = self.id.as_deref().map(str::to_owned);
        id.or_else(|| Some(self.trace.request_id()?.as_str().to_owned()))
    }
}

impl Begun {
    /// Makes a counter for the route with this number. Returns `false` if there is no memory.
    pub(super) fn make_room(&mut self, number: usize) -> bool {
        lengthen(&mut self.counts, number + 1)
    }

    /// Adds a request and returns its index; `None` if there is no memory.
    pub(super) fn add(&mut self, active: Active, now: Moment) -> Option<usize> {
        if let Some(count) = self.counts.get_mut(active.route) {
            *count.change(now) += 1;
        }
        if let Some(index) = self.free.pop() {
            self.active[index] = Some(active);
            return Some(index);
        }
        self.active.try_reserve(1).ok()?;
        let all = self.active.capacity();
        self.free.try_reserve(all).ok()?;
        self.active.push(Some(active));
        Some(self.active.len() - 1)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Active> {
        self.active.get_mut(index)?.as_mut()
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<Active> {
        let active = self.active.get_mut(index)?.take();
        self.free.push(index);
        active
    }

    /// Counts a request for another name. For readers this is one moment: it counts once, for either
    /// name.
    pub(super) fn rename(&mut self, index: usize, route: usize, now: Moment) {
        let counts = self.counts.len();
        // Both routes have a counter, since they were looked up here. Otherwise the request keeps its
        // name.
        if let Some(active) = self.get_mut(index)
            && counts > active.route.max(route)
        {
            let before = std::mem::replace(&mut active.route, route);
            *self.counts[before].change(now) -= 1;
            *self.counts[route].change(now) += 1;
        }
    }
}
