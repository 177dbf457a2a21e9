//! Text from outside, made safe to show on a terminal or in a line of a log.

use std::fmt::{self, Display, Write as _};

/// Shows a text on one line: control characters, and characters that turn the direction of what
/// follows, are written as Rust writes them (`\n`, `\u{1b}`); everything else as it is.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.chars().any(is_dangerous) {
            return f.write_str(self.0);
        }
        for character in self.0.chars() {
            if is_dangerous(character) {
                write!(f, "{}", character.escape_debug())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// The bidirectional controls are those of Unicode's report 9, section 2; the others beside them
/// are line ends.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_text() {
        let hostile = "a\n\t\u{1b}[31mé\u{202e}x\u{2028}\u{7f}\u{9b}\0😀\\";
        assert_eq!(
            Escaped(hostile).to_string(),
            "a\\n\\t\\u{1b}[31mé\\u{202e}x\\u{2028}\\u{7f}\\u{9b}\\0😀\\"
        );
    }
}
