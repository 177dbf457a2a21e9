//! The id of a request: a bounded text, mostly without memory of its own.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use arrayvec::ArrayString;

use crate::primitives::text;
use crate::primitives::text::copied;

use super::bounded::{MAX_TEXT_BYTES, bounded};

/// An id. A UUID has 36 bytes, and a W3C trace's id 32.
#[derive(Clone, Debug)]
pub(crate) enum Id {
    Short(ArrayString<SHORT>),
    Long(String),
}

const SHORT: usize = 48;

impl Id {
    /// Keeps a bounded part of the text; less if there is no memory.
    pub(crate) fn new(text: &str) -> Self {
        let text = bounded(text);
        if let Ok(short) = ArrayString::from(&text) {
            return Self::Short(short);
        }
        copied(&text).map_or_else(|| Self::cut(&text), Self::Long)
    }

    fn cut(text: &str) -> Self {
        let mut cut = ArrayString::new();
        cut.push_str(&text[..text::character_boundary(text.as_bytes(), SHORT - text::CUT.len())]);
        cut.push_str(text::CUT);
        Self::Short(cut)
    }

    /// Returns how many bytes it takes besides itself.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Short(_) => 0,
            Self::Long(text) => text.capacity(),
        }
    }
}

impl Deref for Id {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Short(text) => text,
            Self::Long(text) => text,
        }
    }
}

/// The text of an id as it comes, whose bytes are known to be UTF-8. To look at them is a third of what it takes to
/// have them as a `str`.
#[derive(Clone, Copy)]
pub(crate) struct IdText<'a>(&'a [u8]);

impl<'a> IdText<'a> {
    pub(crate) const fn of(text: &'a str) -> Self {
        Self(text.as_bytes())
    }

    /// Returns these bytes, if they are a text that is not empty.
    #[cfg(feature = "tower")]
    #[inline]
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let is_text = bytes.is_ascii() || str::from_utf8(bytes).is_ok();
        (is_text && !bytes.is_empty()).then_some(Self(bytes))
    }

    /// Returns the bytes, if so many are kept.
    #[inline]
    pub(super) fn whole(self) -> Option<&'a [u8]> {
        (self.0.len() <= MAX_TEXT_BYTES).then_some(self.0)
    }

    pub(super) fn as_str(self) -> &'a str {
        str::from_utf8(self.0).unwrap_or_default()
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_take_no_memory_and_long_ones_are_cut() {
        for (length, bytes, kept) in [(48, 0, 48), (49, 49, 49), (300, 256, 256)] {
            let id = Id::new(&"x".repeat(length));
            assert_eq!((id.bytes(), id.len()), (bytes, kept));
        }
        let cut = Id::cut(&"é".repeat(100));
        assert_eq!(&*cut, "é".repeat(22) + text::CUT);
    }
}
