//! Escapes text from outside for a terminal or a line of a log.

use std::fmt::{self, Display, Write};

/// Displays a text on one line: control characters, bidirectional controls and invisible characters are
/// escaped as in Rust (`\n`, `\u{1b}`); everything else is unchanged.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl Escaped<'_> {
    /// Appends the text.
    #[inline]
    pub(crate) fn push_to(self, text: &mut String) {
        if self.is_unchanged() {
            text.push_str(self.0);
        } else {
            // Writing to a string can't fail.
            let _ = self.write_escaped(text);
        }
    }

    /// Returns whether nothing is escaped. Most texts are visible ASCII, of which only bytes are looked at.
    fn is_unchanged(self) -> bool {
        let is_visible = |byte: u8| matches!(byte, b' '..=b'~');
        self.0.bytes().all(is_visible) || !self.0.chars().any(is_dangerous)
    }

    #[cold]
    fn write_escaped(self, out: &mut impl Write) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() {
                write!(out, "{}", character.escape_debug())?;
            } else if is_dangerous(character) {
                write!(out, "{}", character.escape_unicode())?;
            } else {
                out.write_char(character)?;
            }
        }
        Ok(())
    }
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unchanged() {
            return f.write_str(self.0);
        }
        self.write_escaped(f)
    }
}

/// Returns whether a character is invisible or has an effect when a text is shown: controls, line ends,
/// noncharacters, and Unicode's `Default_Ignorable_Code_Point`, which includes the bidirectional controls of its
/// annex 9. Variation selectors are not, as many emoji have them.
pub(crate) fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
        || is_no_character(character)
}

/// Returns whether Unicode has promised that this will never be a character. XML refuses two of these.
fn is_no_character(character: char) -> bool {
    let code = u32::from(character);
    code & 0xfffe == 0xfffe || matches!(code, 0xfdd0..=0xfdef)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_shown() {
        let invisible = "ad\u{200b}min\u{ad} \u{feff}a\u{200d}b\u{2060}\u{3164}\u{e0041}";
        assert_eq!(
            Escaped(invisible).to_string(),
            "ad\\u{200b}min\\u{ad} \\u{feff}a\\u{200d}b\\u{2060}\\u{3164}\\u{e0041}"
        );
        assert_eq!(
            Escaped("a\u{fffe}b\u{ffff}c\u{10fffe}d\u{fdd0}e\u{fffd}").to_string(),
            "a\\u{fffe}b\\u{ffff}c\\u{10fffe}d\\u{fdd0}e\u{fffd}"
        );
        // Visible characters are unchanged, also with combining marks and variation selectors.
        let visible = "e\u{301} \u{2764}\u{fe0f} مرحبا 漢字 �";
        assert_eq!(Escaped(visible).to_string(), visible);
    }

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_text() {
        let hostile = "a\n\t\u{1b}[31mé\u{202e}x\u{2028}\u{7f}\u{9b}\0😀\\";
        assert_eq!(
            Escaped(hostile).to_string(),
            "a\\n\\t\\u{1b}[31mé\\u{202e}x\\u{2028}\\u{7f}\\u{9b}\\0😀\\"
        );
    }
}
