//! JSON whose texts are safe to show: characters that JSON allows unescaped, but that a terminal, an
//! editor or a browser would interpret, are written as `\u202e`.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use crate::report::escape::is_dangerous;

/// Returns a value as JSON on one line.
pub(crate) fn to_vec(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::with_capacity(128);
    to_writer(&mut json, value)?;
    Ok(json)
}

/// Writes a value as JSON on one line, in small pieces.
pub(crate) fn to_writer(
    out: impl io::Write,
    value: &(impl Serialize + ?Sized),
) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Escaping))
}

/// A formatter like the default, compact one, except for strings.
struct Escaping;

impl Formatter for Escaping {
    /// Writes a part of a string in which JSON demands no escape.
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // True of most texts. ASCII has only one character that may need an escape, the last one.
        if fragment.bytes().all(|byte| byte < 0x7F) {
            return CompactFormatter.write_string_fragment(out, fragment);
        }
        let mut rest = fragment;
        while let Some((at, character)) = { rest.char_indices() }.find(|it| is_dangerous(it.1)) {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + character.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}
