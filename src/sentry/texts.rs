//! Texts within Sentry's bounds.

use crate::primitives::text::{CUT, MAX_BYTES, character_boundary};

/// The most characters of a tag's value.
const MAX_TAG: usize = 200;

/// Copies a text, of which the first 1,024 bytes are kept.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= MAX_BYTES {
        return text.to_owned();
    }
    let end = character_boundary(text.as_bytes(), MAX_BYTES - CUT.len());
    format!("{}{CUT}", &text[..end])
}

/// Makes the value of a tag. Sentry refuses longer values, and those with line ends.
pub(super) fn tag(text: &str) -> String {
    let shown = |it: char| if it.is_control() { ' ' } else { it };
    text.chars().take(MAX_TAG).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_hostile_texts_are_bounded() {
        assert_eq!(cut("ü"), "ü");
        let long = cut(&"ü".repeat(1000));
        assert!(long.len() <= MAX_BYTES && long.ends_with("ü…"), "{long}");
        let value = tag(&"a\nü\u{1b}".repeat(1000));
        assert_eq!((value.chars().count(), &value[..5]), (200, "a ü "));
    }
}
