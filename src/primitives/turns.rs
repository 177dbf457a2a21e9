//! Turns: something that is begun may be done a number of times, and few such things are begun at once.

use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::sync::AtomicU32;

/// A number of places, each of which one has at a time.
#[derive(Debug)]
pub(crate) struct Places(AtomicU32);

impl Places {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Takes one of so many places; `false` if they are taken.
    pub(crate) fn take(&self, most: u32) -> bool {
        let one_more = |taken: u32| (taken < most).then(|| taken + 1);
        self.0.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    /// Gives a place back that was taken.
    pub(crate) fn give_back(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// Returns whether any is taken.
    #[inline]
    pub(crate) fn are_taken(&self) -> bool {
        self.0.load(Relaxed) > 0
    }
}

/// How many turns are left of something that has a place while there are any.
///
/// A place is taken before the turns begin, and given back by the thread that takes the last turn or ends
/// them. So there are never more with turns left than places, whatever the order of the threads.
#[derive(Debug)]
pub(crate) struct Turns(AtomicU32);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    #[inline]
    pub(crate) fn left(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Begins so many turns, if none are left. The caller has taken a place. Returns `false`, and gives the
    /// place back, if another thread has begun meanwhile.
    pub(crate) fn begin(&self, turns: u32, places: &Places) -> bool {
        let has_begun = { &self.0 }
            .compare_exchange(0, turns, Relaxed, Relaxed)
            .is_ok();
        if !has_begun {
            places.give_back();
        }
        has_begun
    }

    /// Begins again with so many turns, if any are left; `false` if there are none.
    pub(crate) fn begin_again(&self, turns: u32) -> bool {
        let again = |left: u32| (left > 0).then_some(turns);
        self.0.fetch_update(Relaxed, Relaxed, again).is_ok()
    }

    /// Takes a turn; `false` if none is left.
    pub(crate) fn take(&self, places: &Places) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        let before = self.0.fetch_update(Relaxed, Relaxed, one_less);
        if before == Ok(1) {
            places.give_back();
        }
        before.is_ok()
    }

    /// Ends the turns if so many are left as the caller has seen, which is more than 0.
    pub(crate) fn end(&self, left: u32, places: &Places) {
        let ended = { &self.0 }.compare_exchange(left, 0, Relaxed, Relaxed);
        if ended.is_ok() {
            places.give_back();
        }
    }
}
