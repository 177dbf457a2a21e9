//! Counters of several groups, read as they were together.
//!
//! Each group of counters has a lock, under which it is changed. Who reads one group after the other
//! sees them at different times: what is taken from one and put into another meanwhile is seen twice, or
//! not at all. So a reader first begins a new moment. Whoever changes a counter looks, under the lock,
//! which moment it is, and the first change of a moment leaves what the counter was before.
//! The reader takes what each counter was before its moment.
//!
//! That is a state that there may have been: if a change is seen, so is every change that happened before
//! it. For if a change is not seen, whoever made it knew of the moment, either by its own look or by the
//! lock that the reader had. Then so does whoever comes after it, as an atomic is never
//! seen older by who comes later, with whatever ordering.
//!
//! One reader at a time: a counter has one earlier figure.

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

    /// Begins another one, of which the reader takes the counters.
    pub(crate) fn begin(&self) -> Moment {
        Moment(self.0.fetch_add(1, Relaxed) + 1)
    }

    /// To be asked for under the lock under which a counter is changed.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        Moment(self.0.load(Relaxed))
    }
}

/// A counter, and what it was before the last moment in which it was changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counter<T> {
    value: T,
    before: T,
    changed: Moment,
}

impl<T: Copy> Counter<T> {
    /// The counter, which is about to be changed.
    #[inline]
    pub(crate) fn change(&mut self, now: Moment) -> &mut T {
        if self.changed != now {
            self.before = self.value;
            self.changed = now;
        }
        &mut self.value
    }

    /// What it was when the moment began, which is the last that did.
    pub(crate) fn at(&self, moment: Moment) -> T {
        if self.changed == moment {
            self.before
        } else {
            self.value
        }
    }
}
