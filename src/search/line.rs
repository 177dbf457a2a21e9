//! Lines of JSON that a query can't find, told without reading them as reports.

use memchr::memmem;

use super::needle::{Ascii, Needle, start};
use super::query::{MOST_ID_BYTES, Query};

/// What a line must contain so that a query may find its request.
pub(super) struct LineFilter<'a> {
    parts: Vec<InJson<'a>>,
    trace_id: Option<String>,
}

impl<'a> LineFilter<'a> {
    pub(super) fn of(query: &'a Query) -> Self {
        // A longer id was cut when it was kept.
        let id = { query.id.as_deref() }.map(|it| start(it, MOST_ID_BYTES - 6));
        let exact = id.into_iter().chain(query.route.as_deref());
        let parts = { exact.filter_map(InJson::exactly) }
            .chain(query.text.as_ref().and_then(InJson::in_any_case));
        Self {
            parts: parts.collect(),
            trace_id: query.trace_id.map(|it| it.to_string()),
        }
    }

    pub(super) fn may_find(&self, line: &[u8]) -> bool {
        let has = |digits: &String| memmem::find(line, digits.as_bytes()).is_some();
        self.trace_id.as_ref().is_none_or(has) && self.parts.iter().all(|it| it.is_in(line))
    }
}

/// What a line of JSON must contain if one of its strings contains a text: a part of the text that
/// JSON writes in one way.
#[derive(Clone, Debug)]
pub(super) enum InJson<'a> {
    /// In this case of the letters.
    Exactly(Box<memmem::Finder<'a>>),
    InAnyCase(Ascii<'a>),
}

impl<'a> InJson<'a> {
    /// Returns what a line must contain of a text in this case of the letters; `None` if every line may have it.
    pub(super) fn exactly(text: &'a str) -> Option<Self> {
        plain(text).map(|it| Self::Exactly(Box::new(memmem::Finder::new(it))))
    }

    pub(super) fn in_any_case(needle: &'a Needle) -> Option<Self> {
        plain(needle.as_str()).map(|it| Self::InAnyCase(Ascii::new(it.as_bytes())))
    }

    pub(super) fn is_in(&self, line: &[u8]) -> bool {
        let is_there = match self {
            Self::Exactly(finder) => finder.find(line).is_some(),
            Self::InAnyCase(text) => text.is_in(line),
        };
        is_there || escapes_plain(line)
    }
}

/// Returns the longest part of a text that consists of characters that this crate's JSON never escapes.
fn plain(text: &str) -> Option<&str> {
    let is_plain = |it: char| it.is_ascii() && !it.is_ascii_control() && !"\"\\/".contains(it);
    let parts = text.split(|it| !is_plain(it));
    parts.max_by_key(|it| it.len()).filter(|it| !it.is_empty())
}

/// Returns whether a line has an escaped character that need not be escaped, as other writers of JSON may write
/// `\u0041` for `A`.
fn escapes_plain(line: &[u8]) -> bool {
    let escapes = memmem::find_iter(line, b"\\u00");
    { escapes }.any(|at| matches!(line.get(at + 4), Some(b'2'..=b'7')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_that_escapes_ascii_may_have_any_text() {
        let needle = Needle::new("abc\"");
        let part = InJson::in_any_case(&needle).unwrap();
        assert!(part.is_in(br#"{"id":"ABC\""}"#) && part.is_in(br#"{"id":"\u0061bc\""}"#));
        assert!(!part.is_in(br#"{"id":"\u001bbc\""}"#) && !part.is_in(b"ab"));
        assert!(InJson::exactly("\"\\/ü\n").is_none());
    }

    proptest! {
        #[test]
        fn a_string_of_json_has_the_part_of_each_text_in_it(
            text in "[abAB\"\\\\\u{e9}\u{c9}\u{212a}k\n]{0,40}",
            needle in "[abAB\"\\\\\u{e9}\u{c9}\u{212a}k\n]{0,4}",
        ) {
            let given = Needle::new(&needle);
            let line = serde_json::to_string(&text).unwrap();
            if given.is_in(&text) && let Some(part) = InJson::in_any_case(&given) {
                prop_assert!(part.is_in(line.as_bytes()));
            }
            if text.contains(&needle) && let Some(part) = InJson::exactly(&needle) {
                prop_assert!(part.is_in(line.as_bytes()));
            }
        }
    }
}
