//! The id of the request that a trace records.
//!
//! It is in the trace's state, so whatever has the trace can read it: the recorder, the list of requests in flight, and
//! code of the program that runs in the trace.

use std::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayString;

use crate::primitives::seqlock::Version;
use crate::primitives::sync::{AtomicU32, AtomicU64, array};

/// The most bytes of an id.
pub(crate) const MAX_ID_BYTES: usize = 256;
const WORD: usize = size_of::<u64>();
const WORDS: usize = if cfg!(loom) { 1 } else { MAX_ID_BYTES / WORD };

/// The length of an id that was not set.
const ABSENT: u32 = u32::MAX;

/// A text that one thread sets and any thread reads.
pub(crate) struct AtomicId {
    /// Of the words below.
    version: Version,
    /// In bytes.
    length: AtomicU32,
    words: [AtomicU64; WORDS],
}

impl AtomicId {
    pub(crate) fn new() -> Self {
        Self {
            version: Version::new(),
            length: AtomicU32::new(ABSENT),
            words: array![AtomicU64::new(0); WORDS],
        }
    }

    /// Removes the id. No other thread uses it any more.
    #[inline]
    pub(crate) fn clear(&self) {
        self.length.store(ABSENT, Relaxed);
    }

    /// Sets the id, of at most [`MAX_ID_BYTES`]. No other thread sets it meanwhile.
    pub(crate) fn set(&self, id: &str) {
        let (whole, rest) = id.as_bytes().as_chunks::<WORD>();
        self.version.change(|| {
            self.length
                .store(u32::try_from(id.len()).unwrap_or(ABSENT), Relaxed);
            let mut words = self.words.iter();
            for (bytes, word) in whole.iter().zip(&mut words) {
                word.store(u64::from_le_bytes(*bytes), Relaxed);
            }
            if let (false, Some(word)) = (rest.is_empty(), words.next()) {
                let last = rest.iter().rev();
                word.store(
                    last.fold(0, |word, byte| word << 8 | u64::from(*byte)),
                    Relaxed,
                );
            }
        });
    }

    /// Returns the id, if it was set.
    pub(crate) fn get(&self) -> Option<ArrayString<MAX_ID_BYTES>> {
        let read = self.version.read(|_| {
            let length = self.length.load(Relaxed);
            let words = (length as usize).div_ceil(WORD);
            let mut bytes = [[0; WORD]; WORDS];
            if length != ABSENT {
                for (bytes, word) in bytes.iter_mut().zip(&self.words).take(words) {
                    *bytes = word.load(Relaxed).to_le_bytes();
                }
            }
            (length, bytes)
        });
        // Otherwise it is set without a pause, or a fork came in the middle of that.
        let ((length, bytes), _) = read.ok()?;
        let bytes = bytes.as_flattened().get(..length as usize)?;
        ArrayString::from(str::from_utf8(bytes).ok()?).ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_until_it_is_cleared() {
        let id = AtomicId::new();
        assert_eq!(id.get(), None);
        let long: String = ('!'..='~').cycle().take(MAX_ID_BYTES).collect();
        for length in [256, 0, 1, 7, 8, 9, 36, 255] {
            id.set(&long[..length]);
            assert_eq!(id.get().as_deref(), Some(&long[..length]));
        }
        id.set("zażółć gęślą");
        assert_eq!(id.get().as_deref(), Some("zażółć gęślą"));
        id.clear();
        assert_eq!(id.get(), None);
    }

    #[test]
    fn a_reader_sees_one_of_the_ids() {
        let id = AtomicId::new();
        let ids = ["0".repeat(100), "1".repeat(50)];
        id.set(&ids[0]);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..20_000).for_each(|turn| id.set(&ids[turn % 2])));
            for _ in 0..20_000 {
                let seen = id.get();
                assert!(
                    seen.is_none_or(|seen| ids.iter().any(|it| **it == *seen)),
                    "{seen:?}"
                );
            }
        });
    }
}
