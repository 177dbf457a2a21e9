//! Text from outside on a line of the screen, and how the line looks.

use ratatui::style::Style;
use ratatui::text::Span;
use tracer::__command::Escaped;

/// How a line stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Look {
    #[default]
    Plain,
    Bad,
    Heavy,
    Faint,
    Typed,
}

/// Longer texts are cut before they are measured.
const MOST_BYTES: usize = 4096;

/// Returns a text on one line, without characters that move the cursor or are not seen.
pub(crate) fn escaped(text: &str) -> String {
    let mut end = text.len().min(MOST_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Escaped(&text[..end]).to_string()
}

/// Returns the width of a text that has no control characters, in columns.
pub(crate) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// Returns the part of a text from this column on that is at most so wide, with `…` if it goes on.
pub(crate) fn cut(text: &str, from: usize, most: usize) -> String {
    let is_cut = width(text) > from.saturating_add(most);
    if !is_cut || most == 0 {
        return part(text, from, most);
    }
    part(text, from, most - 1) + "…"
}

/// Returns the part of a text from this column on that is at most so wide. Of a wide character that begins before,
/// there is a space.
pub(crate) fn part(text: &str, from: usize, most: usize) -> String {
    let mut part = String::new();
    let (mut column, mut taken) = (0, 0);
    for grapheme in Span::raw(text).styled_graphemes(Style::default()) {
        let (begin, wide) = (column, width(grapheme.symbol));
        column += wide;
        if begin < from {
            let rest = column.saturating_sub(from).min(most);
            part.extend(std::iter::repeat_n(' ', rest));
            taken += rest;
            continue;
        }
        if taken + wide > most {
            break;
        }
        taken += wide;
        part.push_str(grapheme.symbol);
    }
    part
}

/// Returns a text on so many lines, broken anywhere; the last one is cut.
pub(crate) fn wrapped(text: &str, columns: usize, lines: usize) -> impl Iterator<Item = String> {
    (1..=lines).map(move |line| {
        let from = (line - 1) * columns;
        if line == lines {
            cut(text, from, columns)
        } else {
            part(text, from, columns)
        }
    })
}

/// Returns how long ago something was, in two characters and the unit: `3 s`, `12 min`.
pub(crate) fn ago(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_columns() {
        assert_eq!(cut("order", 0, 5), "order");
        assert_eq!(cut("orders", 0, 5), "orde…");
        assert_eq!(cut("orders", 1, 5), "rders");
        assert_eq!(cut("漢字漢字", 0, 5), "漢字…");
        assert_eq!(cut("漢字漢字", 1, 8), " 字漢字");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", 0, 2), "e\u{301}…");
        for most in [0, 1] {
            assert_eq!(width(&cut("漢字", 0, most)), most);
        }
        assert_eq!(cut("a", 5, 5), "");
    }

    #[test]
    fn texts_from_outside_are_escaped_and_bounded() {
        assert_eq!(escaped("a\u{1b}[2J\nb\u{202e}"), "a\\u{1b}[2J\\nb\\u{202e}");
        assert_eq!(escaped(&"é".repeat(5000)).len(), MOST_BYTES);
    }

    #[test]
    fn times_ago_are_in_the_largest_unit() {
        let shown = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(ago);
        assert_eq!(
            shown,
            ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]
        );
    }
}
