//! What the requests of one name share, and the bounded list of names.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arrayvec::ArrayVec;

use super::nanoseconds;
use super::policy::{Extremes, Policy};

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
    all: RwLock<HashMap<Arc<str>, Arc<Route>>>,
    other: Arc<Route>,
    most: usize,
}

impl Routes {
    pub(super) fn new(most: usize, policy: &Policy) -> Self {
        let other = Arc::new(Route::new(OTHER.into(), 0, policy));
        Self {
            all: RwLock::new(HashMap::from([(
                Arc::clone(&other.name),
                Arc::clone(&other),
            )])),
            other,
            most,
        }
    }

    /// The route of this name. Where there are as many as may be, the one of all others.
    pub(super) fn get(&self, name: &str, policy: &Policy) -> Arc<Route> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = all.get(name) {
            return Arc::clone(route);
        }
        if all.len() > self.most {
            return Arc::clone(&self.other);
        }
        drop(all);
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
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
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let mut routes: Vec<_> = all.values().cloned().collect();
        drop(all);
        routes.sort_by(|one, other| one.name.cmp(&other.name));
        routes
    }
}

const MOST: usize = 64;

/// The highest figures of a window of time.
pub(super) struct Top {
    count: usize,
    /// In nanoseconds.
    window: u64,
    /// A figure that is not above can't be among them. Only a hint to whoever does not hold the
    /// lock: who comes at the same time may have another.
    threshold: AtomicU64,
    /// When the window ends, by the clock's nanoseconds.
    end: AtomicU64,
    figures: Mutex<ArrayVec<u64, MOST>>,
}

impl Top {
    fn new(extremes: Extremes) -> Self {
        Self {
            count: extremes.count.min(MOST),
            window: nanoseconds(extremes.window.max(Duration::from_millis(1))),
            threshold: AtomicU64::new(0),
            end: AtomicU64::new(0),
            figures: Mutex::new(ArrayVec::new()),
        }
    }

    /// Whether the figure is among the highest of its window until now; then it counts as one.
    pub(super) fn admits(&self, figure: u64, now: u64) -> bool {
        if self.count == 0
            || (now < self.end.load(Relaxed) && figure <= self.threshold.load(Relaxed))
        {
            return false;
        }
        self.admit(figure, now)
    }

    #[cold]
    fn admit(&self, figure: u64, now: u64) -> bool {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= self.end.load(Relaxed) {
            figures.clear();
            self.threshold.store(0, Relaxed);
            self.end.store(now.saturating_add(self.window), Relaxed);
        }
        // In falling order.
        let place = figures.partition_point(|higher| *higher >= figure);
        if place >= self.count {
            return false;
        }
        figures.truncate(self.count - 1);
        figures.insert(place, figure);
        if figures.len() == self.count {
            self.threshold.store(figures[self.count - 1], Relaxed);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_of_a_window() {
        let mut top = Top::new(Extremes {
            count: 2,
            window: Duration::ZERO,
        });
        top.window = 100;
        let figures = [5, 3, 3, 4, 5, 5, 9, 5];
        let admitted = figures.map(|figure| top.admits(figure, 1000));
        assert_eq!(
            admitted,
            [true, true, false, true, true, false, true, false]
        );
        assert!(top.admits(8, 1099));
        assert!(top.admits(1, 1100), "another window");
        let none = Top::new(Extremes {
            count: 0,
            window: Duration::ZERO,
        });
        assert!(!none.admits(u64::MAX, 1));
    }

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
