//! A text that fits into its record.

use crate::primitives::text::{CUT, character_boundary};

pub(crate) const WORD_BYTES: usize = size_of::<u64>();

/// A text, after a byte with its length.
pub(crate) struct ShortText([u64; Self::WORDS]);

impl ShortText {
    /// The words of a record that are left for it.
    pub(crate) const WORDS: usize = 5;
    /// The bytes of these words.
    pub(crate) const SIZE: usize = Self::WORDS * WORD_BYTES;
    /// The longest text that fits.
    pub(crate) const MAX_BYTES: usize = Self::SIZE - 1;

    /// Returns `None` if the text is too long. For a literal, the compiler knows the result.
    #[inline]
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        if text.len() > Self::MAX_BYTES {
            return None;
        }
        let mut bytes = [0; Self::SIZE];
        bytes[0] = u8::try_from(text.len()).unwrap_or(0);
        bytes[1..=text.len()].copy_from_slice(text);
        Some(Self::from_bytes(bytes))
    }

    /// Returns the text of these bytes, the first of which is its length.
    #[inline]
    pub(crate) fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let (words, _) = bytes.as_chunks();
        let mut parts = words.iter().copied().map(u64::from_le_bytes);
        Self(std::array::from_fn(|_| parts.next().unwrap_or(0)))
    }

    /// Cuts a text to the part that fits, with a mark at its end.
    pub(crate) fn cut(text: &[u8]) -> Self {
        let keep = character_boundary(text, Self::MAX_BYTES - CUT.len());
        let mut cut = [0; Self::MAX_BYTES];
        let length = keep + CUT.len();
        cut[..keep].copy_from_slice(&text[..keep]);
        cut[keep..length].copy_from_slice(CUT.as_bytes());
        Self::of(&cut[..length]).unwrap_or(Self([0; Self::WORDS]))
    }

    pub(crate) const fn from_words(words: [u64; Self::WORDS]) -> Self {
        Self(words)
    }

    #[inline]
    pub(crate) const fn words(&self) -> [u64; Self::WORDS] {
        self.0
    }

    /// Calls `read` with the text.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        let (length, bytes) = self.to_bytes();
        read(&bytes[..length])
    }

    /// Returns the length of the text, and the bytes that begin with it.
    #[inline]
    pub(crate) fn to_bytes(&self) -> (usize, [u8; Self::MAX_BYTES]) {
        let mut bytes = [0; Self::SIZE];
        let (parts, _) = bytes.as_chunks_mut();
        for (part, word) in parts.iter_mut().zip(self.0) {
            *part = word.to_le_bytes();
        }
        let [length, text @ ..] = bytes;
        (usize::from(length).min(Self::MAX_BYTES), text)
    }
}
