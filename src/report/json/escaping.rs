//! JSON whose texts can be shown anywhere: what JSON lets stand as it is, and a terminal, an editor
//! or a browser takes for more than a character, is written as `\u202e`.

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

/// As compact as the default; what is not listed here is as there.
struct Escaping;

impl Formatter for Escaping {
    /// `fragment`: a part of a string in which JSON demands no escape.
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Most texts, and no character of these is in question but the last.
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
