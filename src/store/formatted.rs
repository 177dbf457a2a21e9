//! A text that is formatted into the form that it has in a record, so that it is copied once.

use std::fmt::{self, Write};

use crate::primitives::text::{CUT, Text, mark_of};
use crate::store::short_text::ShortText;

/// A text that is being formatted: in the form of a record as long as it fits there, then as a [`Text`].
pub(crate) struct Formatted {
    /// A byte for the length, and the text.
    short: [u8; ShortText::SIZE],
    /// How many bytes still fit; 0 once the text is a long one.
    room: usize,
    /// The whole text, if it is a long one.
    long: Option<Text>,
    is_cut: bool,
}

impl Formatted {
    pub(crate) const fn new() -> Self {
        Self {
            short: [0; ShortText::SIZE],
            room: ShortText::MAX_BYTES,
            long: None,
            is_cut: false,
        }
    }

    /// Formats the text, with the bounds and marks of [`Text::of`].
    #[inline]
    pub(crate) fn format(&mut self, text: fmt::Arguments<'_>) {
        let mark = match text.as_str() {
            // The program's own words: nothing runs that could fail or panic.
            Some(literal) => self.write_str(literal).err().map(|_| CUT),
            None => mark_of(|| self.write_fmt(text)),
        };
        if mark.is_some() || self.is_cut {
            let mark = mark.filter(|_| !self.is_cut).unwrap_or(CUT);
            self.long().end_with(mark);
        }
    }

    /// Returns the text in the form of a record, unless it is a long one.
    #[inline]
    pub(crate) fn short(&mut self) -> Option<ShortText> {
        let length = ShortText::MAX_BYTES - self.room;
        self.short[0] = u8::try_from(length).unwrap_or(0);
        self.long
            .is_none()
            .then(|| ShortText::from_bytes(self.short))
    }

    /// Returns the text, which is a long one from now on.
    #[cold]
    pub(crate) fn long(&mut self) -> &mut Text {
        let length = ShortText::MAX_BYTES - self.room;
        self.room = 0;
        self.long.get_or_insert_with(|| {
            let mut long = Text::default();
            // It fits.
            long.push(&self.short[1..=length]);
            long
        })
    }

    #[cold]
    #[inline(never)]
    fn write_long(&mut self, part: &str) -> fmt::Result {
        let written = self.long().write_str(part);
        self.is_cut |= written.is_err();
        written
    }
}

impl Write for Formatted {
    #[inline]
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if part.len() > self.room {
            return self.write_long(part);
        }
        let start = ShortText::SIZE - self.room;
        self.short[start..start + part.len()].copy_from_slice(part.as_bytes());
        self.room -= part.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;

    use super::*;
    use crate::primitives::text::MAX_BYTES;

    /// Returns the text as a record has it, and checks that it is that of [`Text::of`].
    fn formatted(value: &dyn Display) -> (String, bool) {
        let mut formatted = Formatted::new();
        formatted.format(format_args!("{value}"));
        let short = formatted.short();
        let bytes = match &short {
            Some(short) => short.read(<[u8]>::to_vec),
            None => formatted.long().as_bytes().to_vec(),
        };
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, Text::of(value).as_str());
        (text, short.is_some())
    }

    struct Parts(&'static [&'static str], Result<fmt::Result, ()>);

    impl Display for Parts {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for part in self.0 {
                f.write_str(part)?;
            }
            self.1.expect("a panic in formatting")
        }
    }

    /// Goes on after an error.
    struct Deaf;

    impl Display for Deaf {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let _ = f.write_str(&"é".repeat(MAX_BYTES));
            Ok(())
        }
    }

    #[test]
    fn a_text_is_short_up_to_the_last_byte() {
        let longest = "x".repeat(ShortText::MAX_BYTES);
        for (text, is_short) in [
            ("", true),
            ("ca7a87c4-58d0-4fdf-857c-ef49fc3bf271", true),
            (&longest, true),
            (&format!("{longest}é"), false),
        ] {
            assert_eq!(formatted(&text), (text.to_owned(), is_short));
        }
        let parts = Parts(
            &["twenty bytes of text", "", "and twenty more of it", "."],
            Ok(Ok(())),
        );
        assert_eq!(formatted(&parts).0.len(), 42);
    }

    #[test]
    fn a_text_that_is_too_long_is_cut() {
        let long = "é".repeat(MAX_BYTES);
        assert!(formatted(&long).0.ends_with(CUT));
        assert!(formatted(&Deaf).0.ends_with(CUT));
    }

    #[test]
    fn formatting_that_fails_or_panics_is_told() {
        let fails = Parts(&["half"], Ok(Err(fmt::Error)));
        assert_eq!(formatted(&fails).0, "half(formatting failed)");
        let panics = Parts(&["half"], Err(()));
        assert_eq!(formatted(&panics).0, "half(formatting panicked)");
    }

    #[test]
    fn a_literal_is_copied() {
        let mut formatted = Formatted::new();
        formatted.format(format_args!("left"));
        let short = formatted.short().unwrap();
        assert_eq!(short.read(<[u8]>::to_vec), b"left");
        let mut formatted = Formatted::new();
        let long = "a literal that is longer than the text that fits into a record";
        formatted.format(format_args!(
            "a literal that is longer than the text that fits into a record"
        ));
        assert!(formatted.short().is_none());
        assert_eq!(formatted.long().as_str(), long);
    }
}
