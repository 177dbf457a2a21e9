//! Counters of several groups, read as a consistent cut.
//!
//! Each group of counters has a lock, under which it is changed. A reader that locks one group after the
//! other sees them at different times: a unit that is moved between groups meanwhile is seen twice, or
//! not at all. So a reader first begins a new moment. Each writer looks up the moment under its lock,
//! and the first change of a counter in a moment saves the counter's earlier value. The reader takes the
//! value that each counter had before its moment.
//!
//! This state is a consistent cut: if a change is seen, so is every change that happened before it. A
//! change is not seen only if its writer knew of the moment, by its own load or because it took the lock
//! after the reader. Every later change happens after that, so its writer knows of the moment too: an
//! atomic is never seen older by a later reader, with any ordering.
//!
//! Only one reader may run at a time, since a counter saves one earlier value.

use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::sync::{AtomicU64, const_fn};

/// The number of the present moment.
pub(crate) struct Moments(AtomicU64);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Moments {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self(AtomicU64::new(0))
        }
    }

    /// Begins a new moment, before which the reader takes the counters.
    pub(crate) fn begin(&self) -> Moment {
        Moment(self.0.fetch_add(1, Relaxed) + 1)
    }

    /// Returns the present moment. Call it under the lock under which the counter is changed.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        Moment(self.0.load(Relaxed))
    }
}

/// A counter, with its value before the last moment in which it was changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counter<T> {
    value: T,
    before: T,
    changed: Moment,
}

impl<T: Copy> Counter<T> {
    /// Returns the counter's value, to be changed in this moment.
    #[inline]
    pub(crate) fn change(&mut self, now: Moment) -> &mut T {
        if self.changed != now {
            self.before = self.value;
            self.changed = now;
        }
        &mut self.value
    }

    /// Returns the value that the counter had when this moment began. It must be the last moment.
    pub(crate) fn at(&self, moment: Moment) -> T {
        if self.changed == moment {
            self.before
        } else {
            self.value
        }
    }
}
