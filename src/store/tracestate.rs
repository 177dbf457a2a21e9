//! The header `tracestate` of a trace's caller, to be sent on.

use std::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayVec;

use crate::primitives::sync::{AtomicU32, AtomicU64, OnceLock};

/// The most bytes that are kept.
pub(crate) const MAX_BYTES: usize = 512;
const WORD: usize = size_of::<u64>();

/// A text that is set before the trace is shared, at most once.
///
/// Most traces have none, so its memory is requested with the first one that a trace's state has, and then
/// stays with it.
pub(crate) struct Tracestate {
    words: OnceLock<Box<[AtomicU64]>>,
    len: AtomicU32,
}

/// A copy of the text.
pub(crate) type Copied = ArrayVec<u8, MAX_BYTES>;

impl Tracestate {
    pub(crate) fn new() -> Self {
        Self {
            words: OnceLock::new(),
            len: AtomicU32::new(0),
        }
    }

    pub(crate) fn reset(&self) {
        self.len.store(0, Relaxed);
    }

    /// Sets the text, of which only what fits is kept; nothing if there is no memory. The caller publishes it.
    pub(crate) fn set(&self, text: &[u8]) {
        let text = &text[..text.len().min(MAX_BYTES)];
        let Some(words) = self.words() else { return };
        for (word, bytes) in words.iter().zip(text.chunks(WORD)) {
            let mut padded = [0; WORD];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        // It fits.
        self.len
            .store(u32::try_from(text.len()).unwrap_or(0), Relaxed);
    }

    fn words(&self) -> Option<&[AtomicU64]> {
        if self.words.get().is_none() {
            let words = alloc_counter::exclude(|| {
                let mut words = Vec::new();
                words.try_reserve_exact(MAX_BYTES / WORD).ok()?;
                words.resize_with(MAX_BYTES / WORD, || AtomicU64::new(0));
                Some(words.into_boxed_slice())
            })?;
            // Only one thread sets the text.
            let _ = self.words.set(words);
        }
        self.words.get().map(|words| &**words)
    }

    /// Returns the text.
    pub(crate) fn get(&self) -> Copied {
        let mut text = Copied::new();
        let len = self.len.load(Relaxed) as usize;
        if let (Some(words), true) = (self.words.get(), len > 0) {
            for word in &words[..len.div_ceil(WORD).min(words.len())] {
                text.extend(word.load(Relaxed).to_le_bytes());
            }
            text.truncate(len);
        }
        text
    }

    /// Returns the bytes that it holds until the process ends.
    pub(crate) fn held_bytes(&self) -> u64 {
        let words = self.words.get();
        words.map_or(0, |words| size_of_val::<[_]>(words)) as u64
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_until_it_is_reset() {
        let kept = Tracestate::new();
        assert_eq!((kept.get().len(), kept.held_bytes()), (0, 0));
        let long: Vec<u8> = (0..=255).cycle().take(600).collect();
        for len in [1, 7, 8, 9, 100, 511, 512, 600] {
            kept.set(&long[..len]);
            assert_eq!(*kept.get(), long[..len.min(512)]);
        }
        kept.reset();
        assert_eq!((kept.get().len(), kept.held_bytes()), (0, 512));
    }
}
