//! A text that is looked for in others, in either case of its letters.

use memchr::{memchr, memchr2};

use crate::primitives::text::character_boundary;

/// A text that is looked for. Letters match in either case. An ASCII letter matches ASCII letters only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needle {
    text: String,
    folded: Vec<char>,
}

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            folded: text.chars().map(folded).collect(),
        }
    }

    /// Returns the text as it was given.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        let Some((first, rest)) = self.folded.split_first() else {
            return true;
        };
        if self.text.is_ascii() {
            return Ascii::new(self.text.as_bytes()).is_in(text.as_bytes());
        }
        let mut after = text.chars();
        while let Some(character) = after.next() {
            let mut following = after.clone();
            if folded(character) == *first && { rest.iter() }
                .all(|it| following.next().map(folded) == Some(*it))
            {
                return true;
            }
        }
        false
    }
}

/// Returns a letter in lower case, if that is one character, and ASCII as the letter is.
fn folded(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    let mut lower = character.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(lower), None) if !lower.is_ascii() => lower,
        _ => character,
    }
}

/// An ASCII text that is looked for in bytes, in either case of its letters.
#[derive(Clone, Debug)]
pub(super) struct Ascii<'a> {
    text: &'a [u8],
    /// The place of the byte that other texts have least often, in both cases.
    rare: usize,
    cases: (u8, u8),
}

impl<'a> Ascii<'a> {
    /// `text` is ASCII.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let rare = (0..text.len()).min_by_key(|at| frequency(text[*at]));
        let rare = rare.unwrap_or(0);
        let byte = text.get(rare).copied().unwrap_or_default();
        Self {
            text,
            rare,
            cases: (byte.to_ascii_lowercase(), byte.to_ascii_uppercase()),
        }
    }

    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        let Some(last) = bytes.len().checked_sub(self.text.len()) else {
            return false;
        };
        if self.text.is_empty() {
            return true;
        }
        // The rare byte of a match is at one of these places.
        let places = &bytes[self.rare..=last + self.rare];
        let mut start = 0;
        while let Some(at) = find_either(self.cases, &places[start..]) {
            let begin = start + at;
            if bytes[begin..begin + self.text.len()].eq_ignore_ascii_case(self.text) {
                return true;
            }
            start = begin + 1;
        }
        false
    }
}

fn find_either((lower, upper): (u8, u8), bytes: &[u8]) -> Option<usize> {
    if lower == upper {
        memchr(lower, bytes)
    } else {
        memchr2(lower, upper, bytes)
    }
}

/// Returns how frequent a byte is in reports, roughly.
fn frequency(byte: u8) -> u8 {
    const FROM_FREQUENT: &[u8] = b"\"0123456789,:_esnlaotrdicbkmhpufg/-.{}";
    let lower = byte.to_ascii_lowercase();
    let place = FROM_FREQUENT.iter().position(|it| *it == lower);
    let place = place.unwrap_or(FROM_FREQUENT.len());
    u8::MAX - u8::try_from(place).unwrap_or(u8::MAX)
}

/// Returns the start of a text, at most this many bytes.
pub(super) fn start(text: &str, bytes: usize) -> &str {
    &text[..character_boundary(text.as_bytes(), bytes)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn letters_match_in_either_case() {
        for (needle, text, is_in) in [
            ("", "", true),
            ("a", "", false),
            ("Check", "a CHECK constraint", true),
            ("chéck", "a CHÉCK", true),
            ("É", "é", true),
            // Their lower case is ASCII, or two characters.
            ("k", "\u{212a}", false),
            ("\u{212a}", "\u{212a}", true),
            ("\u{130}", "i", false),
            ("aab", "aAaB", true),
            ("ünd", "Ü und ÜND", true),
        ] {
            assert_eq!(Needle::new(needle).is_in(text), is_in, "{needle} in {text}");
        }
    }

    fn naive(needle: &str, text: &str) -> bool {
        let folded = |it: &str| it.chars().map(super::folded).collect::<String>();
        folded(text).contains(&folded(needle))
    }

    proptest! {
        #[test]
        fn a_text_is_found_as_by_a_naive_search(
            text in "[abAB\"\\\\\u{e9}\u{c9}\u{212a}k\n]{0,40}",
            needle in "[abAB\"\\\\\u{e9}\u{c9}\u{212a}k\n]{0,4}",
        ) {
            let given = Needle::new(&needle);
            prop_assert_eq!(given.is_in(&text), naive(&needle, &text));
        }
    }
}
