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
    entries: Vec<Option<Entry>>,
    /// By the same index, the id of a request whose trace does not have it: an empty one, or for want of memory.
    ids: Vec<Option<Id>>,
    /// Whether there ever was such an id.
    has_ids: bool,
    /// The free indexes. Its capacity is enough for all of them.
    free: Vec<usize>,
}

/// What its stripe keeps of a request in flight.
pub(super) struct Entry {
    /// The route's number.
    pub(super) route: usize,
    pub(super) trace: Trace,
}

/// A request in flight.
pub(crate) struct Active {
    /// The route's number.
    pub(crate) route: usize,
    /// Its id, if the trace does not have it.
    id: Option<Id>,
    pub(crate) trace: Trace,
}

impl Active {
    pub(super) fn of(entry: &Entry, id: Option<&Id>) -> Self {
        Self {
            route: entry.route,
            id: id.cloned(),
            trace: entry.trace.clone(),
        }
    }

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
    pub(super) fn add(&mut self, entry: Entry, id: Option<&Id>, now: Moment) -> Option<usize> {
        if let Some(count) = self.counts.get_mut(entry.route) {
            *count.change(now) += 1;
        }
        let index = self.free.pop().or_else(|| self.grow())?;
        self.entries[index] = Some(entry);
        if let Some(id) = id {
            self.identify(index, Some(id.clone()));
        }
        Some(index)
    }

    /// Makes a place for one more request.
    #[cold]
    fn grow(&mut self) -> Option<usize> {
        self.entries.try_reserve(1).ok()?;
        self.ids.try_reserve(1).ok()?;
        let all = self.entries.capacity();
        self.free.try_reserve(all).ok()?;
        self.entries.push(None);
        self.ids.push(None);
        Some(self.entries.len() - 1)
    }

    /// Sets the id of a request whose trace does not have it; `None` if the trace has it now. Returns its previous id.
    pub(super) fn identify(&mut self, index: usize, id: Option<Id>) -> Option<Id> {
        self.has_ids |= id.is_some();
        std::mem::replace(self.ids.get_mut(index)?, id)
    }

    /// Removes a request. Returns its handle of the trace.
    pub(super) fn remove(&mut self, index: usize) -> Option<Trace> {
        let trace = self.entries.get_mut(index)?.take()?.trace;
        self.free.push(index);
        if self.has_ids {
            self.ids[index] = None;
        }
        Some(trace)
    }

    /// Returns how many places for requests there are.
    pub(super) fn places(&self) -> usize {
        self.entries.len()
    }

    /// Returns the requests in flight that are in these places, with their ids.
    pub(super) fn within(
        &self,
        places: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (&Entry, Option<&Id>)> {
        let all = self.entries.iter().zip(&self.ids);
        let some = all.skip(places.start).take(places.len());
        some.filter_map(|(entry, id)| Some((entry.as_ref()?, id.as_ref())))
    }

    /// Counts a request for another name. For readers this is one moment: it counts once, for either
    /// name.
    pub(super) fn rename(&mut self, index: usize, route: usize, now: Moment) {
        let counts = self.counts.len();
        // Both routes have a counter, since they were looked up here. Otherwise the request keeps its
        // name.
        if let Some(Some(entry)) = self.entries.get_mut(index)
            && counts > entry.route.max(route)
        {
            let before = std::mem::replace(&mut entry.route, route);
            *self.counts[before].change(now) -= 1;
            *self.counts[route].change(now) += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::cut::Moments;

    #[test]
    fn an_id_is_that_of_one_request() {
        let mut begun = Begun::default();
        let now = Moments::new().now();
        let id = Id::new("one");
        // The trace has no memory for an id, or is empty.
        for trace in [Trace::new(), Trace::empty()] {
            let entry = |trace| Entry { route: 0, trace };
            let ids = |begun: &Begun| {
                let all = begun.within(0..10);
                let all = all.map(|(entry, id)| Active::of(entry, id).id());
                all.collect::<Vec<_>>()
            };
            let one = begun.add(entry(trace.clone()), Some(&id), now).unwrap();
            assert_eq!(ids(&begun), [Some("one".to_owned())]);
            drop(begun.remove(one));
            let other = begun.add(entry(trace.clone()), None, now).unwrap();
            assert_eq!((other, ids(&begun)), (one, vec![None]));
            drop(begun.remove(other));
            assert_eq!(ids(&begun), []);
        }
    }
}
