//! Boxes that are used again, so that those of most requests are neither allocated nor freed.

use std::sync::{Mutex, MutexGuard, TryLockError};

use crossbeam_utils::CachePadded;

use super::fallible::Boxed;
use super::place::place_of_thread;

/// Threads share a part if there are more of them.
const PARTS: usize = 8;
/// The most boxes that a part keeps.
const MOST: usize = 32;

/// Boxes that nobody uses at this moment, with the values that they had. A bounded number is kept.
///
/// It never waits: a thread that finds its part taken goes on without a spare.
pub(crate) struct Spares<T>([CachePadded<Mutex<Vec<Boxed<T>>>>; PARTS]);

impl<T> Spares<T> {
    pub(crate) const fn new() -> Self {
        Self([const { CachePadded::new(Mutex::new(Vec::new())) }; PARTS])
    }

    fn part(&self) -> Option<MutexGuard<'_, Vec<Boxed<T>>>> {
        match self.0[place_of_thread() % PARTS].try_lock() {
            Ok(part) => Some(part),
            // Nothing is left half done.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Returns a box that was [given](Self::give), or else a new one with this value; `None` if there is no memory.
    pub(crate) fn take_or_make(&self, make: impl FnOnce() -> T) -> Option<Boxed<T>> {
        let spare = self.part().and_then(|mut part| part.pop());
        spare.or_else(|| Boxed::new(make()).ok())
    }

    /// Keeps a box for the next one, or frees it.
    pub(crate) fn give(&self, spare: Boxed<T>) {
        if let Some(mut part) = self.part()
            && part.len() < MOST
            && part.try_reserve(1).is_ok()
        {
            part.push(spare);
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
        let expected: Vec<_> = (0..MOST).rev().chain([1000]).collect();
        assert_eq!(again, expected);
    }

    #[test]
    fn a_part_that_is_taken_is_not_waited_for() {
        let spares = Spares::new();
        let all: Vec<_> = { spares.0.iter() }
            .map(|part| part.lock().unwrap())
            .collect();
        spares.give(spares.take_or_make(|| 1).unwrap());
        drop(all);
        assert_eq!(*spares.take_or_make(|| 2).unwrap(), 2);
    }
}
