//! Routes: the state that the requests of one name share, and the bounded list of names.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::primitives::text::copied;

#[cfg(feature = "sites")]
use super::arming::Watch;
use super::minutes::{MinutePool, Minutes};
use super::name::Name;
use super::policy::Policy;
use super::process_lock::ProcessLock;
use super::top::Top;
use super::typical::Typical;

/// The name of all requests for whose name there was no room.
pub(super) const OTHER: &str = "(other)";

/// The state that the requests of one name share.
pub(super) struct Route {
    pub(super) name: String,
    /// Its place in the list; 0 stands for all names without a route of their own.
    pub(super) number: usize,
    pub(super) slowest: Top,
    pub(super) heaviest: Top,
    pub(super) minutes: Minutes,
    pub(super) typical: Typical,
    #[cfg(feature = "sites")]
    pub(super) watch: Watch,
}

impl Route {
    /// Makes a route; `None` if there is no memory.
    fn new(name: &str, number: usize, policy: &Policy, pool: &Arc<MinutePool>) -> Option<Self> {
        let (slowest, heaviest) = policy.extremes();
        Some(Self {
            name: copied(name)?,
            number,
            slowest: Top::new(slowest)?,
            heaviest: Top::new(heaviest)?,
            minutes: Minutes::new(Arc::clone(pool)),
            typical: Typical::default(),
            #[cfg(feature = "sites")]
            watch: Watch::default(),
        })
    }
}

/// The bounded list of names. Further names share the route with number 0.
pub(super) struct Routes {
    /// By number.
    places: Box<[OnceLock<Route>]>,
    known: ProcessLock<Known>,
    /// For the minutes of all routes.
    pool: Arc<MinutePool>,
}

/// The numbers of routes, found by their names.
#[derive(Default)]
pub(super) struct Known {
    numbers: HashTable<usize>,
    hasher: DefaultHashBuilder,
    /// Some that were found last, by the [place](Name::place) of the name. The name tells whether it is the one.
    recent: [usize; RECENT],
}

const RECENT: usize = 16;

impl Known {
    /// Finds a route without the hash of its name, if it was [noted](Self::note_recent).
    #[inline]
    pub(super) fn find_recent(&self, name: Name<'_>, routes: &Routes) -> Option<usize> {
        let number = self.recent[name.place(RECENT)];
        name.is(&routes.at(number).name).then_some(number)
    }

    /// Lets [`find_recent`](Self::find_recent) find a route, until one with another name takes its place.
    pub(super) fn note_recent(&mut self, name: Name<'_>, number: usize) {
        self.recent[name.place(RECENT)] = number;
    }

    pub(super) fn find(&self, name: &str, routes: &Routes) -> Option<usize> {
        let is_it = |number: &usize| routes.at(*number).name == name;
        self.numbers
            .find(self.hasher.hash_one(name), is_it)
            .copied()
    }

    /// Adds a number that is not there yet; `false` if there is no memory.
    fn add(&mut self, name: &str, number: usize, routes: &Routes) -> bool {
        let hash = |name: &str| self.hasher.hash_one(name);
        let hash_of = |number: &usize| hash(&routes.at(*number).name);
        let has_room = self.numbers.try_reserve(1, hash_of).is_ok();
        if has_room {
            self.numbers.insert_unique(hash(name), number, hash_of);
        }
        has_room
    }

    /// Remembers a route, if there is memory.
    pub(super) fn remember(&mut self, number: usize, routes: &Routes) {
        let name = &routes.at(number).name;
        if self.find(name, routes).is_none() {
            self.add(name, number, routes);
        }
    }
}

impl Routes {
    /// The bytes that a name's place takes, even before the name is known.
    pub(super) const PLACE_BYTES: usize = size_of::<OnceLock<Route>>();

    /// Makes a list for at most so many names, whose minutes share `pool_bytes`.
    pub(super) fn new(most: usize, policy: &Policy, pool_bytes: usize) -> Self {
        let pool = Arc::new(MinutePool::new(pool_bytes));
        let mut places = Vec::new();
        places.resize_with(most + 1, OnceLock::new);
        let other = Route::new(OTHER, 0, policy, &pool).map(OnceLock::from);
        places[0] = other.unwrap_or_default();
        let routes = Self {
            places: places.into_boxed_slice(),
            known: ProcessLock::new(Known::default()),
            pool,
        };
        if let Some(mut known) = routes.known.take() {
            known.add(OTHER, 0, &routes);
        }
        routes
    }

    /// Returns the route with this number.
    pub(super) fn at(&self, number: usize) -> &Route {
        let known = self.places.get(number).and_then(OnceLock::get);
        match known.or_else(|| self.places[0].get()) {
            Some(route) => route,
            None => unreachable!("the first one is there from the beginning"),
        }
    }

    /// Returns the number of the route of this name. A new name gets a number if there is room for it in
    /// the list and in memory, and if `make_room`, called with that number, returns `true`. Otherwise it
    /// is 0.
    pub(super) fn get(
        &self,
        name: &str,
        policy: &Policy,
        make_room: impl FnOnce(usize) -> bool,
    ) -> usize {
        let Some(mut known) = self.known.take() else {
            return 0;
        };
        if let Some(number) = known.find(name, self) {
            return number;
        }
        let number = known.numbers.len();
        if number >= self.places.len() || !make_room(number) {
            return 0;
        }
        let Some(route) = Route::new(name, number, policy, &self.pool) else {
            return 0;
        };
        if !known.add(name, number, self) {
            return 0;
        }
        // Set only here: the lock is held, and the number is new.
        let _ = self.places[number].set(route);
        number
    }

    /// Returns how many names there may be, besides that of all others.
    #[cfg(feature = "metrics")]
    pub(super) fn most(&self) -> usize {
        self.places.len() - 1
    }

    /// Returns all routes, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.places.iter().filter_map(OnceLock::get)
    }

    /// Returns all routes, sorted by name.
    pub(super) fn all(&self) -> Vec<&Route> {
        let mut routes: Vec<_> = self.iter().collect();
        routes.sort_by(|one, other| one.name.cmp(&other.name));
        routes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_most_all_are_others() {
        let policy = Policy::none();
        let routes = Routes::new(2, &policy, 0);
        let number = |name: &str| routes.get(name, &policy, |_| true);
        assert_eq!(["a", "b", "c", "a", "(other)"].map(number), [1, 2, 0, 1, 0]);
        let names: Vec<_> = routes.all().iter().map(|it| &*it.name).collect();
        assert_eq!(names, ["(other)", "a", "b"]);
    }
}
