//! The common part of messages that differ from request to request, by which failures are grouped.

use crate::primitives::text::{CUT, MAX_BYTES, character_boundary};

/// The fewest letters of a word that may be a hexadecimal id without digits.
const HEX_ID: usize = 8;

/// Returns a message without what differs from request to request: numbers, ids and quoted texts. Words that have a
/// digit, hexadecimal ids, and numbers joined by `.`, `:` or `,` become `#`; quoted texts become `…` within their
/// quotes. A status at the beginning stays. At most 1,024 bytes.
pub(crate) fn common(message: &str) -> String {
    let message = &message[..character_boundary(message.as_bytes(), MAX_BYTES)];
    let mut common = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let end = if let Some(end) = quoted(common.chars().next_back(), rest) {
            let quotes = first.len_utf8();
            common.push(first);
            common.push_str(CUT);
            common.push_str(&rest[end - closing(first).map_or(quotes, char::len_utf8)..end]);
            end
        } else {
            let end = rest.find(|it| !is_part(it)).unwrap_or(rest.len());
            let end = end.max(first.len_utf8());
            let word = &rest[..end];
            let stays = common.is_empty() && is_status(word);
            if word == "#" || !stays && is_different(word) {
                push_number(&mut common);
            } else {
                common.push_str(word);
            }
            end
        };
        rest = &rest[end..];
    }
    common.truncate(character_boundary(common.as_bytes(), MAX_BYTES));
    common
}

fn is_part(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

/// Returns whether a quote beside this character is an apostrophe. `#` stands for a number.
fn is_in_word(character: char) -> bool {
    is_part(character) || character == '#'
}

/// Returns whether a word is a status of HTTP.
fn is_status(word: &str) -> bool {
    word.len() == 3 && word.bytes().all(|it| it.is_ascii_digit())
}

/// Returns whether a word differs from request to request.
fn is_different(word: &str) -> bool {
    let is_hex = |it: u8| matches!(it, b'a'..=b'f' | b'A'..=b'F');
    word.bytes().any(|it| it.is_ascii_digit()) || word.len() >= HEX_ID && word.bytes().all(is_hex)
}

/// Appends a `#`, which also stands for a number before it to which it is joined, as in `10.0.0.1:5432`.
fn push_number(common: &mut String) {
    let joined = common.trim_end_matches(['.', ':', ',']);
    if joined.len() < common.len() && joined.ends_with('#') {
        common.truncate(joined.len());
    } else {
        common.push('#');
    }
}

fn closing(opening: char) -> Option<char> {
    match opening {
        '"' | '\'' | '`' => Some(opening),
        '“' => Some('”'),
        '‘' => Some('’'),
        '«' => Some('»'),
        _ => None,
    }
}

/// Returns the end of the quoted text that begins here, after this character; `None` if none does. An apostrophe within
/// a word is no quote.
fn quoted(before: Option<char>, text: &str) -> Option<usize> {
    let opening = text.chars().next()?;
    let closing = closing(opening)?;
    if before.is_some_and(is_in_word) {
        return None;
    }
    let start = opening.len_utf8();
    let ends = text[start..].match_indices(closing);
    let ends = ends.map(|(at, _)| start + at + closing.len_utf8());
    let is_end = |end: &usize| !text[*end..].chars().next().is_some_and(is_in_word);
    let end = { ends }.find(is_end)?;
    (end > start + closing.len_utf8()).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::common;

    #[test]
    fn what_differs_from_request_to_request_is_left_out() {
        for (message, expected) in [
            ("500 Internal Server Error", "500 Internal Server Error"),
            ("order 42 of ca7a87c4-11: no", "order # of #: no"),
            (
                "connect to 10.0.0.1:5432 timed out after 1.5s",
                "connect to # timed out after #",
            ),
            ("connect to [fe80::1]:80", "connect to [#]:#"),
            (
                "no order 0f1e2d3c-aaaa-bbbb-cccc-0123456789ab",
                "no order #",
            ),
            ("deadbeef and Deadbeef, not decade", "# and #, not decade"),
            (
                "column \"age 7\" isn't the user's 'x', or `y z`",
                "column \"…\" isn't the user's '…', or `…`",
            ),
            ("“a” ‘b’ «c»", "“…” ‘…’ «…»"),
            ("'don't' '' 'x", "'…' '' 'x"),
            ("4711", "#"),
            ("12, 13 and 14", "#, # and #"),
            ("1,2,3", "#"),
            ("ü7 \u{1b}[2J\n", "# \u{1b}[#\n"),
            ("", ""),
        ] {
            assert_eq!(common(message), expected, "{message}");
            assert_eq!(common(expected), expected);
        }
    }

    #[test]
    fn long_messages_are_cut() {
        let long = common(&"é'a'".repeat(1000));
        assert!(long.len() <= 1024, "{}", long.len());
    }

    #[cfg(feature = "search")]
    proptest::proptest! {
        #[test]
        fn nothing_is_left_to_leave_out(message in "[a-f0-9 '\"“”#.:,-]{0,60}|\\PC{0,60}") {
            let once = common(&message);
            proptest::prop_assert_eq!(common(&once), once);
        }
    }
}
