//! A sequence lock: words that one thread changes together, and that any thread reads together.
//! The writer never waits.
//!
//! Beside the words is one more with their version, which is odd while they change.
//!
//! | writer | reader |
//! |---|---|
//! | W1 stores the next version, an odd one | R1 loads the version, acquire |
//! | W2 release fence | R2 loads the words, relaxed |
//! | W3 stores the words, relaxed | R3 acquire fence |
//! | W4 stores the next version, an even one, release | R4 loads the version |
//!
//! - If R2 finds a word of W3, the fences W2 and R3 make W1 visible to R4. Then R4 finds another
//!   version than R1, or both find an odd one, and the reader tries again.
//! - If R1 finds the version of W4, R2 finds the words of W3 or newer ones.
//!
//! Both need the version to go on: one that came back while a reader is between R1 and R4 would hide
//! what changed in between. The writer upholds that by always counting up from the present version.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::primitives::sync::{AtomicU32, const_fn, fence};
use crate::primitives::wait::Patience;

/// The word with the version of some words. The version counts in steps of `STEP`, a power of two; the
/// bits below are the owner's.
pub(crate) struct SeqLock<const STEP: u32>(AtomicU32);

/// A word that has no bits beside the version.
pub(crate) type Version = SeqLock<1>;

impl<const STEP: u32> SeqLock<STEP> {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self(AtomicU32::new(0))
        }
    }

    /// Returns whether the words were being changed when this was the word beside them.
    pub(crate) const fn is_changing(word: u32) -> bool {
        word & STEP != 0
    }

    /// Returns the word as it is now.
    #[inline]
    pub(crate) fn word(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Returns the word as it is now, as R1 does. If the owner's bits say that the last change has ended, R2 finds the
    /// words of that one, and R3 and R4 are not needed.
    #[cfg(any(feature = "recorder", all(loom, test)))]
    #[inline]
    pub(crate) fn word_of_last(&self) -> u32 {
        self.0.load(Acquire)
    }

    /// Sets the word of a change that has begun, or that no other thread can read yet.
    #[inline]
    pub(crate) fn set(&self, word: u32) {
        self.0.store(word, Relaxed);
    }

    /// Sets the bits beside the present version. Release, since a reader that finds this word at R1
    /// instead of the one of W4 must still find the words of W3.
    pub(crate) fn mark(&self, word: u32) {
        self.0.store(word, Release);
    }

    /// Begins a change of the words. `word` is the present version with the bits that are to be beside
    /// it. Returns the word during the change. No other thread may be changing them.
    #[inline]
    pub(crate) fn begin(&self, word: u32) -> u32 {
        let changing = word.wrapping_add(STEP);
        self.0.store(changing, Relaxed);
        fence(Release);
        changing
    }

    /// Ends a change at whose end the word is `changing`.
    #[inline]
    pub(crate) fn end(&self, changing: u32) {
        self.0.store(changing.wrapping_add(STEP), Release);
    }

    /// Changes the words, and the bits beside their version to those of `word`, which has the present
    /// version. No other thread may be changing them.
    #[inline]
    pub(crate) fn change_to<T>(&self, word: u32, change: impl FnOnce() -> T) -> T {
        let changing = self.begin(word);
        let result = change();
        self.end(changing);
        result
    }

    /// Changes the words. No other thread may be changing them.
    #[inline]
    pub(crate) fn change<T>(&self, change: impl FnOnce() -> T) -> T {
        self.change_to(self.word(), change)
    }

    /// Reads a consistent state of the words, given the word beside them, and returns that word too.
    /// `Err` has what was read last, if the words change without a pause or a fork came in the middle of
    /// a change.
    #[inline]
    pub(crate) fn read<T>(&self, read: impl Fn(u32) -> T) -> Result<(T, u32), (T, u32)> {
        let mut patience = Patience::new();
        loop {
            let before = self.0.load(Acquire);
            let words = read(before);
            fence(Acquire);
            if !Self::is_changing(before) && self.word() == before {
                return Ok((words, before));
            }
            if !patience.again() {
                return Err((words, before));
            }
        }
    }

    /// Reads the words once, given the word beside them; `None` if `read` returns it, or if they change meanwhile.
    #[cfg(any(feature = "recorder", all(loom, test)))]
    #[inline]
    pub(crate) fn try_read<T>(&self, read: impl FnOnce(u32) -> Option<T>) -> Option<T> {
        let before = self.0.load(Acquire);
        let words = read(before)?;
        fence(Acquire);
        (!Self::is_changing(before) && self.word() == before).then_some(words)
    }

    /// Returns whether the words have not changed since this was the word beside them. If so, all that
    /// was read since, of these words and of others that change only after them, is consistent.
    pub(crate) fn is_still(&self, word: u32) -> bool {
        fence(Acquire);
        self.word() / STEP == word / STEP
    }
}
