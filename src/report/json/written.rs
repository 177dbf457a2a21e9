//! The parser of lines in the form in which this crate writes them.
//!
//! Reports are mostly read from files that a recorder wrote: without spaces, and with the fields in the order of the
//! schema. There it suffices to compare with the next expected field, which takes a third of the time that a parser
//! of any JSON takes. At anything else this parser gives up, and [`serde_json`] reads the line from its beginning: it
//! alone decides what is a report, and says what is wrong with others.

use std::borrow::Cow;

use serde::Deserialize;

/// What of a line has not been read.
///
/// Its methods return `None` if the line goes on in another way. What they have read then is undefined.
pub(super) struct Written<'a> {
    rest: &'a str,
}

/// A text as one that serde borrows: it makes a bare `Cow` an owned one.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A byte in each byte of a word.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Returns the number of bytes before the first one that ends the plain part of a string: a quote, a backslash, or
/// one that JSON does not allow in a string.
#[inline]
fn plain(text: &[u8]) -> usize {
    let mut at = 0;
    let (words, _) = text.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        // In each of them, the lowest bit that is set belongs to the first byte that is looked for.
        let zeros = |word: u64| word.wrapping_sub(each(1)) & !word;
        let below_space = word.wrapping_sub(each(b' ')) & !word;
        let found = zeros(word ^ each(b'"')) | zeros(word ^ each(b'\\')) | below_space;
        let found = found & each(0x80);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    at + { text[at..].iter() }
        .position(ends)
        .unwrap_or(text.len() - at)
}

impl<'a> Written<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line }
    }

    /// Passes over this text if it is next. Returns whether it was.
    #[inline]
    pub(super) fn has(&mut self, next: &str) -> bool {
        match self.rest.strip_prefix(next) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Passes over this text.
    #[inline]
    pub(super) fn pass(&mut self, next: &str) -> Option<()> {
        self.has(next).then_some(())
    }

    /// Reads a field: `name` is all that is before its value.
    #[inline]
    pub(super) fn field<T>(
        &mut self,
        name: &str,
        value: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        self.pass(name)?;
        value(self)
    }

    /// Reads a field that may be missing: `Some(None)` if it is.
    #[inline]
    #[expect(clippy::option_option, reason = "so that `?` gives the line up")]
    pub(super) fn if_there<T>(
        &mut self,
        name: &str,
        value: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        if !self.has(name) {
            return Some(None);
        }
        value(self).map(Some)
    }

    /// Reads a list.
    #[inline]
    pub(super) fn list<T>(
        &mut self,
        mut value: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.pass("[")?;
        let mut all = Vec::new();
        if self.has("]") {
            return Some(all);
        }
        loop {
            all.push(value(self)?);
            if self.has("]") {
                return Some(all);
            }
            self.pass(",")?;
        }
    }

    /// Reads a string.
    #[inline]
    pub(super) fn text(&mut self) -> Option<Cow<'a, str>> {
        let inside = self.rest.strip_prefix('"')?;
        let (text, rest) = inside.split_at_checked(plain(inside.as_bytes()))?;
        match rest.strip_prefix('"') {
            Some(rest) => {
                self.rest = rest;
                Some(Cow::Borrowed(text))
            }
            None => self.value().map(|Text(text)| text),
        }
    }

    /// Reads a whole number that is written without a sign.
    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        let bytes = self.rest.as_bytes();
        let mut number = 0_u64;
        let mut digits = 0;
        while let Some(byte @ b'0'..=b'9') = bytes.get(digits) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            digits += 1;
        }
        // One of 20 digits may be too large. JSON has no leading zeros.
        if digits == 0 || digits > 19 || (digits > 1 && bytes[0] == b'0') {
            return None;
        }
        self.rest = &self.rest[digits..];
        Some(number)
    }

    /// Reads a number that is left out if it is 0.
    pub(super) fn number_or_zero(&mut self, name: &str) -> Option<u64> {
        self.if_there(name, Self::number)
            .map(Option::unwrap_or_default)
    }

    #[inline]
    pub(super) fn small_number<N: TryFrom<u64>>(&mut self) -> Option<N> {
        N::try_from(self.number()?).ok()
    }

    /// Reads a whole number that may be negative. Serde reads `-0` as no whole number.
    #[inline]
    pub(super) fn signed(&mut self) -> Option<i64> {
        let is_negative = self.has("-");
        let number: i64 = self.small_number()?;
        (!is_negative)
            .then_some(number)
            .or_else(|| (number > 0).then(|| -number))
    }

    /// Reads a value that is rare or complex by serde.
    pub(super) fn value<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter();
        let value = values.next()?.ok()?;
        self.rest = self.rest.get(values.byte_offset()..)?;
        Some(value)
    }

    /// Returns how many bytes are left.
    #[cfg(feature = "hotspots")]
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Returns whether the line ends here.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.rest, "" | "\n" | "\r\n")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_is_that_of_serde_or_none(text in "[-0-9.e\"\\\\un a\u{1f}\u{7f}\u{e9}\u{1f600},]{0,24}") {
            fn same<'a, T: Deserialize<'a> + PartialEq + std::fmt::Debug>(text: &'a str, read: Option<T>) {
                if let Some(read) = read {
                    assert_eq!(serde_json::from_str::<T>(text).ok(), Some(read), "{text}");
                }
            }
            fn all<'a, T>(text: &'a str, read: fn(&mut Written<'a>) -> Option<T>) -> Option<T> {
                let mut line = Written::new(text);
                read(&mut line).filter(|_| line.is_over())
            }
            same(&text, all(&text, Written::number));
            same(&text, all(&text, Written::small_number::<u32>));
            same(&text, all(&text, Written::signed));
            same(&text, all(&text, Written::text));
            let string = serde_json::to_string(&text).unwrap();
            let read = all(&string, Written::text);
            prop_assert_eq!(read.as_deref(), Some(&*text));
            let unquoted = format!("\"{text}\"");
            same(&unquoted, all(&unquoted, Written::text));
        }
    }

    #[test]
    fn numbers_are_read_to_their_limits() {
        let signed = |text| Written::new(text).signed();
        let number = |text| Written::new(text).number();
        assert_eq!(signed("-9223372036854775807"), Some(-i64::MAX));
        assert_eq!(signed("9223372036854775807"), Some(i64::MAX));
        assert_eq!(signed("9223372036854775808"), None);
        assert_eq!(signed("-0"), None);
        assert_eq!(
            number("9999999999999999999"),
            Some(9_999_999_999_999_999_999)
        );
        for text in ["10000000000000000000", "01", "00", "", "-1", "+1"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
