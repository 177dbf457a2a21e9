//! What the requests of one name share, and the bounded list of names.

use std::collections::HashMap;
use std::sync::Arc;

use super::policy::Policy;
use super::process_lock::ProcessLock;
use super::top::Top;

/// The name under which the requests are that found no room for a name of their own.
pub(super) const OTHER: &str = "(other)";

/// What the requests of one name share.
pub(super) struct Route {
    pub(super) name: Arc<str>,
    /// Its place among all.
    pub(super) number: usize,
    pub(super) slowest: Top,
    pub(super) heaviest: Top,
}

impl Route {
    fn new(name: Arc<str>, number: usize, policy: &Policy) -> Self {
        let (slowest, heaviest) = policy.extremes();
        Self {
            name,
            number,
            slowest: Top::new(slowest),
            heaviest: Top::new(heaviest),
        }
    }
}

/// All names there are, so many at most; the others have one together.
pub(super) struct Routes {
    all: ProcessLock<HashMap<Arc<str>, Arc<Route>>>,
    other: Arc<Route>,
    most: usize,
}

impl Routes {
    pub(super) fn new(most: usize, policy: &Policy) -> Self {
        let other = Arc::new(Route::new(OTHER.into(), 0, policy));
        Self {
            all: ProcessLock::new(HashMap::from([(
                Arc::clone(&other.name),
                Arc::clone(&other),
            )])),
            other,
            most,
        }
    }

    /// The route of this name. Where there are as many as may be, the one of all others.
    pub(super) fn get(&self, name: &str, policy: &Policy) -> Arc<Route> {
        let Some(mut all) = self.all.take() else {
            return Arc::clone(&self.other);
        };
        let number = all.len();
        if let Some(route) = all.get(name) {
            return Arc::clone(route);
        }
        if number > self.most {
            return Arc::clone(&self.other);
        }
        let name: Arc<str> = name.into();
        let route = Arc::new(Route::new(Arc::clone(&name), number, policy));
        all.insert(name, Arc::clone(&route));
        route
    }

    /// In order of their names.
    pub(super) fn all(&self) -> Vec<Arc<Route>> {
        let all = self.all.take();
        let routes = all.iter().flat_map(|all| all.values());
        let mut routes: Vec<_> = routes.cloned().collect();
        drop(all);
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
        let routes = Routes::new(2, &policy);
        let number = |name: &str| routes.get(name, &policy).number;
        assert_eq!(["a", "b", "c", "a", "(other)"].map(number), [1, 2, 0, 1, 0]);
        let names: Vec<_> = routes.all().iter().map(|it| it.name.to_string()).collect();
        assert_eq!(names, ["(other)", "a", "b"]);
    }
}
