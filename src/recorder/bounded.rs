//! Texts from outside, cut to a bounded length.

use std::ops::Deref;

use arrayvec::ArrayString;

use crate::primitives::text;
use crate::store::request_id::MAX_ID_BYTES;

/// The most bytes of a name, an id, and a label's name and value.
pub(super) const MAX_TEXT_BYTES: usize = 256;
const _: () = assert!(MAX_TEXT_BYTES <= MAX_ID_BYTES);

/// A text as it is kept: whole or cut.
#[expect(
    clippy::large_enum_variant,
    reason = "on the stack, to allocate nothing"
)]
pub(crate) enum Bounded<'a> {
    Whole(&'a str),
    Cut(ArrayString<MAX_TEXT_BYTES>),
}

/// Returns as much of a text as is kept. A cut text ends with an ellipsis.
#[inline]
pub(crate) fn bounded(text: &str) -> Bounded<'_> {
    if text.len() <= MAX_TEXT_BYTES {
        Bounded::Whole(text)
    } else {
        Bounded::Cut(cut(text))
    }
}

#[cold]
fn cut(text: &str) -> ArrayString<MAX_TEXT_BYTES> {
    let end = text::character_boundary(text.as_bytes(), MAX_TEXT_BYTES - text::CUT.len());
    let mut cut = ArrayString::new();
    cut.push_str(&text[..end]);
    cut.push_str(text::CUT);
    cut
}

impl Deref for Bounded<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Whole(text) => text,
            Self::Cut(text) => text,
        }
    }
}
