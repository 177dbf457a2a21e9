//! Texts from outside, of which only so much is kept.

use std::borrow::Cow;

use crate::text;

/// Names, ids, and the names and values of labels are cut at so many bytes.
pub(super) const MAX_TEXT_BYTES: usize = 256;

/// As much of a text as is kept; what was cut ends with an ellipsis.
pub(crate) fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT_BYTES {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(MAX_TEXT_BYTES - text::CUT.len());
    Cow::Owned(text[..end].to_owned() + text::CUT)
}
