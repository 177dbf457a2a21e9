//! A version: words that change together, written by one thread and read by any.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::primitives::sync::{AtomicU32, fence};
use crate::primitives::wait::Patience;

/// The version of some words; odd while they change.
pub(crate) struct Version(AtomicU32);

impl Version {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Changes the words, which no other thread does.
    #[inline]
    pub(crate) fn change(&self, change: impl FnOnce()) {
        let version = self.number().wrapping_add(1);
        self.0.store(version, Relaxed);
        // A reader that sees a new word must also see that the words are changing.
        fence(Release);
        change();
        self.0.store(version.wrapping_add(1), Release);
    }

    /// Reads the words as they are together, and which version that is; none where they change
    /// without a pause, or a fork came in the middle.
    pub(crate) fn read<T>(&self, read: impl Fn() -> T) -> Option<(T, u32)> {
        let mut patience = Patience::new();
        loop {
            let before = self.0.load(Acquire);
            let words = read();
            fence(Acquire);
            if before.is_multiple_of(2) && self.number() == before {
                return Some((words, before));
            }
            if !patience.again() {
                return None;
            }
        }
    }

    /// The version now.
    #[inline]
    pub(crate) fn number(&self) -> u32 {
        self.0.load(Relaxed)
    }
}
