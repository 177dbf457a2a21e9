//! Boxes that are used again, so that those of most requests are neither allocated nor freed.

use std::sync::{Mutex, MutexGuard, TryLockError};

use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;

use super::fallible::Boxed;
use super::place::{PARTS, part_of_thread};

/// The most boxes that a part keeps.
const MOST: usize = 32;

struct Part<T> {
    /// The one that was given last, so that mostly no lock is taken.
    last: AtomicCell<Option<Boxed<T>>>,
    older: Mutex<Vec<Boxed<T>>>,
}

/// Boxes that nobody uses at this moment, with the values that they had. A bounded number is kept.
///
/// It never waits: a thread that finds its part taken goes on without a spare.
pub(crate) struct Spares<T>([CachePadded<Part<T>>; PARTS]);

impl<T> Spares<T> {
    pub(crate) const fn new() -> Self {
        Self([const { CachePadded::new(Part::new()) }; PARTS])
    }

    fn part(&self) -> &Part<T> {
        &self.0[part_of_thread()]
    }

    /// Returns a box that was [given](Self::give), or else a new one with this value; `None` if there is no memory.
    #[inline]
    pub(crate) fn take_or_make(&self, make: impl FnOnce() -> T) -> Option<Boxed<T>> {
        let part = self.part();
        let spare = part.last.take().or_else(|| part.take_older());
        spare.or_else(|| Boxed::new(make()).ok())
    }

    /// Keeps a box for the next one, or frees it.
    #[inline]
    pub(crate) fn give(&self, spare: Boxed<T>) {
        let part = self.part();
        if let Some(older) = part.last.swap(Some(spare)) {
            part.give_older(older);
        }
    }
}

impl<T> Part<T> {
    const fn new() -> Self {
        Self {
            last: AtomicCell::new(None),
            older: Mutex::new(Vec::new()),
        }
    }

    fn older(&self) -> Option<MutexGuard<'_, Vec<Boxed<T>>>> {
        match self.older.try_lock() {
            Ok(older) => Some(older),
            // Nothing is left half done.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    #[cold]
    fn take_older(&self) -> Option<Boxed<T>> {
        self.older()?.pop()
    }

    #[cold]
    fn give_older(&self, spare: Boxed<T>) {
        if let Some(mut older) = self.older()
            && older.len() < MOST - 1
            && older.try_reserve(1).is_ok()
        {
            older.push(spare);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_of_boxes_is_used_again() {
        let spares = Spares::new();
        let take = |value: usize| spares.take_or_make(|| value).unwrap();
        let all: Vec<_> = (0..2 * MOST).map(take).collect();
        for one in all {
            spares.give(one);
        }
        let again: Vec<_> = (0..=MOST).map(|_| *take(1000)).collect();
        // The last one, and the first ones.
        let kept = (0..MOST - 1).chain([2 * MOST - 1]);
        let expected: Vec<_> = kept.rev().chain([1000]).collect();
        assert_eq!(again, expected);
    }

    #[test]
    fn a_part_that_is_taken_is_not_waited_for() {
        let spares = Spares::new();
        let all: Vec<_> = { spares.0.iter() }
            .map(|part| part.older.lock().unwrap())
            .collect();
        for one in [1, 2].map(|value| spares.take_or_make(|| value).unwrap()) {
            spares.give(one);
        }
        drop(all);
        // The first one would be among the older ones.
        let again = [(); 2].map(|()| spares.take_or_make(|| 3).unwrap());
        assert_eq!(again.map(|one| *one), [2, 3]);
    }
}
