//! The header `tracestate` of a trace's caller, to be sent on.

use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::pool::{AtomicNumber, Member, Number, Pool};
use crate::primitives::sync::{AtomicU64, array, shared_static};

/// The most bytes that are kept.
pub(crate) const MAX_BYTES: usize = 512;
const WORD: usize = size_of::<u64>();
const WORDS: usize = MAX_BYTES / WORD;

type Words = [AtomicU64; WORDS];

shared_static! {
    static TEXTS: Pool<Words> = Pool::new();
}

/// A text, whose length its owner knows. Most traces have none, so its memory is in a pool.
pub(crate) struct Tracestate {
    words: AtomicNumber,
}

impl Tracestate {
    pub(crate) fn new() -> Self {
        Self {
            words: AtomicNumber::none(),
        }
    }

    /// Sets the text, which was not set since the last [`clear`](Self::clear). Returns how many of its bytes are
    /// kept: those that fit, or none if there is no memory. No other thread sets it meanwhile, and the caller
    /// publishes it.
    pub(crate) fn set(&self, text: &[u8]) -> usize {
        let text = &text[..text.len().min(MAX_BYTES)];
        let Some(words) = TEXTS.take(|| array![AtomicU64::new(0); WORDS]) else {
            return 0;
        };
        for (word, bytes) in words.iter().zip(text.chunks(WORD)) {
            let mut padded = [0; WORD];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        self.words.store(words.number(), Relaxed);
        text.len()
    }

    /// Gives the text's memory back. No other thread uses it any more.
    pub(crate) fn clear(&self) {
        if let Some(words) = self.words() {
            self.words.store(Number::NONE, Relaxed);
            TEXTS.give(words);
        }
    }

    fn words(&self) -> Option<&'static Member<Words>> {
        TEXTS.get(self.words.load(Relaxed))
    }

    /// Returns this many bytes of the text.
    #[inline]
    pub(crate) fn bytes(&self, len: usize) -> impl Iterator<Item = u8> + use<> {
        let words = self.words().into_iter().flat_map(|words| words.iter());
        words
            .flat_map(|it| it.load(Relaxed).to_le_bytes())
            .take(len)
    }

    /// Returns the bytes that all texts hold until the process ends.
    pub(crate) fn held_bytes() -> u64 {
        TEXTS.held_bytes()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_until_it_is_cleared() {
        let kept = Tracestate::new();
        assert_eq!(kept.bytes(8).count(), 0);
        let long: Vec<u8> = (0..=255).cycle().take(600).collect();
        for len in [0, 1, 7, 8, 9, 100, 511, 512, 600] {
            assert_eq!(kept.set(&long[..len]), len.min(512));
            let text: Vec<u8> = kept.bytes(len).collect();
            assert_eq!(text, long[..len.min(512)]);
            kept.clear();
            assert_eq!(kept.bytes(len).count(), 0);
        }
        // The others of this process are in the same pool.
        assert!(Tracestate::held_bytes() >= 512);
    }
}
