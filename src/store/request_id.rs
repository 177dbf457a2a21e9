//! The id of the request that a trace records.
//!
//! It is with the trace, so whatever has the trace can read it: the recorder, the list of requests in flight, and code
//! of the program that runs in the trace.

use std::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayString;

use crate::primitives::pool::{AtomicNumber, Member, Pool};
use crate::primitives::seqlock::Version;
use crate::primitives::sync::{AtomicU32, AtomicU64, array, shared_static};

/// The most bytes of an id.
pub(crate) const MAX_ID_BYTES: usize = 256;
const WORD: usize = size_of::<u64>();
const WORDS: usize = if cfg!(loom) { 1 } else { MAX_ID_BYTES / WORD };

shared_static! {
    static TEXTS: Pool<Text> = Pool::new();
}

/// An id that one thread sets and any thread reads. Most traces have none, so its memory comes from a pool. It stays
/// here for the next trace, since most of those that follow a request's are requests', too.
pub(crate) struct RequestId {
    text: AtomicNumber,
}

struct Text {
    /// Of the words below.
    version: Version,
    /// In bytes.
    length: AtomicU32,
    /// The number of the trace whose id it is.
    trace: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Text {
    fn new() -> Self {
        Self {
            version: Version::new(),
            length: AtomicU32::new(0),
            // No trace's number.
            trace: AtomicU64::new(0),
            words: array![AtomicU64::new(0); WORDS],
        }
    }
}

impl RequestId {
    pub(crate) fn new() -> Self {
        Self {
            text: AtomicNumber::none(),
        }
    }

    fn text(&self) -> Option<&'static Member<Text>> {
        TEXTS.get(self.text.load(Relaxed))
    }

    /// Sets the id of the trace with this number, the bytes of a text, at most [`MAX_ID_BYTES`] of it. Returns `false` if
    /// there is no memory. No other thread sets it meanwhile.
    pub(crate) fn set(&self, trace: u64, id: &[u8]) -> bool {
        let Some(text) = self.text().or_else(|| self.take()) else {
            return false;
        };
        let (whole, rest) = id.as_chunks::<WORD>();
        text.version.change(|| {
            text.trace.store(trace, Relaxed);
            text.length
                .store(u32::try_from(id.len()).unwrap_or(0), Relaxed);
            let mut words = text.words.iter();
            for (bytes, word) in whole.iter().zip(&mut words) {
                word.store(u64::from_le_bytes(*bytes), Relaxed);
            }
            if let (false, Some(word)) = (rest.is_empty(), words.next()) {
                word.store(last_word(id, rest), Relaxed);
            }
        });
        true
    }

    #[cold]
    fn take(&self) -> Option<&'static Member<Text>> {
        let text = TEXTS.take(Text::new)?;
        self.text.store(text.number(), Relaxed);
        Some(text)
    }

    /// Returns the id of the trace with this number, if it was set.
    pub(crate) fn get(&self, trace: u64) -> Option<ArrayString<MAX_ID_BYTES>> {
        let text = self.text()?;
        let read = text.version.read(|_| {
            let length = text.length.load(Relaxed) as usize;
            let mut bytes = [[0; WORD]; WORDS];
            for (bytes, word) in bytes
                .iter_mut()
                .zip(&text.words)
                .take(length.div_ceil(WORD))
            {
                *bytes = word.load(Relaxed).to_le_bytes();
            }
            (text.trace.load(Relaxed), length, bytes)
        });
        // Otherwise it is set without a pause, or a fork came in the middle of that.
        let ((of, length, bytes), _) = read.ok()?;
        let bytes = bytes.as_flattened().get(..length).filter(|_| of == trace)?;
        ArrayString::from(str::from_utf8(bytes).ok()?).ok()
    }

    /// Returns the bytes that all ids hold until the process ends.
    pub(crate) fn held_bytes() -> u64 {
        TEXTS.held_bytes()
    }
}

/// Returns the last bytes, fewer than a word, as a word.
fn last_word(all: &[u8], last: &[u8]) -> u64 {
    match all.last_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk) >> (8 * (WORD - last.len())),
        None => { last.iter().rev() }.fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_for_its_trace_only() {
        let id = RequestId::new();
        assert_eq!(id.get(1), None);
        let long: String = ('!'..='~').cycle().take(MAX_ID_BYTES).collect();
        for length in [256, 0, 1, 7, 8, 9, 36, 255] {
            assert!(id.set(1, &long.as_bytes()[..length]));
            assert_eq!(id.get(1).as_deref(), Some(&long[..length]));
            assert_eq!(id.get(2), None);
        }
        assert!(id.set(2, "zażółć gęślą".as_bytes()));
        assert_eq!(
            (id.get(1), id.get(2).as_deref()),
            (None, Some("zażółć gęślą"))
        );
        // The others of this process are in the same pool.
        assert!(RequestId::held_bytes() >= 256);
    }

    #[test]
    fn a_reader_sees_one_of_the_ids() {
        let id = RequestId::new();
        let texts = ["0".repeat(100), "1".repeat(50)];
        id.set(1, texts[0].as_bytes());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..20_000).for_each(|turn| assert!(id.set(1, texts[turn % 2].as_bytes())));
            });
            for _ in 0..20_000 {
                let seen = id.get(1);
                assert!(
                    seen.is_none_or(|seen| texts.iter().any(|it| **it == *seen)),
                    "{seen:?}"
                );
            }
        });
    }
}
