//! The header `tracestate` of a trace's caller, to be sent on.

use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::sync::{AtomicU64, OnceLock};

/// The most bytes that are kept.
pub(crate) const MAX_BYTES: usize = 512;
const WORD: usize = size_of::<u64>();
const WORDS: usize = MAX_BYTES / WORD;

/// A text, whose length its owner knows.
///
/// Most traces have none, so its memory is requested with the first one that a trace's state has, and then
/// stays with it.
pub(crate) struct Tracestate {
    words: OnceLock<Box<[AtomicU64; WORDS]>>,
}

impl Tracestate {
    pub(crate) fn new() -> Self {
        Self {
            words: OnceLock::new(),
        }
    }

    /// Sets the text. Returns how many of its bytes are kept: those that fit, or none if there is no memory. No
    /// other thread sets it meanwhile, and the caller publishes it.
    pub(crate) fn set(&self, text: &[u8]) -> usize {
        let text = &text[..text.len().min(MAX_BYTES)];
        let Some(words) = self.words().filter(|_| !text.is_empty()) else {
            return 0;
        };
        for (word, bytes) in words.iter().zip(text.chunks(WORD)) {
            let mut padded = [0; WORD];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        text.len()
    }

    fn words(&self) -> Option<&[AtomicU64; WORDS]> {
        if self.words.get().is_none() {
            let words = alloc_counter::exclude(|| {
                let mut words = Vec::new();
                words.try_reserve_exact(WORDS).ok()?;
                words.resize_with(WORDS, || AtomicU64::new(0));
                words.into_boxed_slice().try_into().ok()
            })?;
            // Only one thread sets the text.
            let _ = self.words.set(words);
        }
        self.words.get().map(|words| &**words)
    }

    /// Returns this many bytes of the text.
    #[inline]
    pub(crate) fn bytes(&self, len: usize) -> impl Iterator<Item = u8> {
        let words = self.words.get().into_iter().flat_map(|words| words.iter());
        words
            .flat_map(|it| it.load(Relaxed).to_le_bytes())
            .take(len)
    }

    /// Returns the bytes that it holds until the process ends.
    pub(crate) fn held_bytes(&self) -> u64 {
        let words = self.words.get();
        words.map_or(0, |words| size_of_val(&**words)) as u64
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back() {
        let kept = Tracestate::new();
        assert_eq!((kept.bytes(0).count(), kept.held_bytes()), (0, 0));
        let long: Vec<u8> = (0..=255).cycle().take(600).collect();
        for len in [1, 7, 8, 9, 100, 511, 512, 600] {
            assert_eq!(kept.set(&long[..len]), len.min(512));
            let text: Vec<u8> = kept.bytes(len).collect();
            assert_eq!(text, long[..len.min(512)]);
        }
        assert_eq!((kept.set(b""), kept.held_bytes()), (0, 512));
    }
}
