//! The header `traceparent`: <https://www.w3.org/TR/trace-context-2/#traceparent-header>.

use std::fmt;

use crate::store::caller::{Caller, RANDOM, SAMPLED};
use crate::store::ids::{ParseIdError, SpanId, TraceId};

/// The characters of version 00: `00-` trace id `-` span id `-` flags.
pub(super) const LENGTH: usize = 55;
const TRACE_ID: std::ops::Range<usize> = 3..35;
const SPAN_ID: std::ops::Range<usize> = 36..52;
const FLAGS: usize = 53;

/// Reads a `traceparent`; `None` if it must be ignored.
#[inline]
pub(super) fn parse(value: &[u8]) -> Option<Caller> {
    let (head, rest) = trimmed(value).split_first_chunk::<LENGTH>()?;
    let is_version_00 = head.starts_with(b"00-") && rest.is_empty();
    let are_dashes = head[35] == b'-' && head[52] == b'-';
    if !are_dashes || !(is_version_00 || is_later_version(head, rest)) {
        return None;
    }
    Some(Caller {
        trace_id: TraceId::from_digits(head[TRACE_ID].try_into().ok()?)?,
        parent: SpanId::from_digits(head[SPAN_ID].try_into().ok()?)?,
        // The others are reserved, and sent as zeros.
        flags: byte(head[FLAGS], head[FLAGS + 1])? & (SAMPLED | RANDOM),
    })
}

/// Returns whether these are the fields of a later version, which may have more of them.
#[cold]
fn is_later_version(head: &[u8; LENGTH], rest: &[u8]) -> bool {
    let version = byte(head[0], head[1]);
    let ends_well = matches!(rest, [] | [b'-', ..]);
    matches!(version, Some(1..=0xfe)) && head[2] == b'-' && ends_well
}

/// Writes a `traceparent`.
#[inline]
pub(super) fn write(trace_id: TraceId, span_id: SpanId, flags: u8) -> [u8; LENGTH] {
    let mut value = *b"00-................................-................-00";
    value[TRACE_ID].copy_from_slice(&trace_id.to_digits());
    value[SPAN_ID].copy_from_slice(&span_id.to_digits());
    // Two bits.
    value[FLAGS + 1] = b'0' + (flags & (SAMPLED | RANDOM));
    value
}

/// Returns the value without the spaces around it, which most servers remove.
fn trimmed(value: &[u8]) -> &[u8] {
    if value.len() == LENGTH {
        return value;
    }
    without_space(value)
}

/// Returns a text without spaces and tabs around it.
pub(super) fn without_space(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Returns the value of two digits.
const fn byte(upper: u8, lower: u8) -> Option<u8> {
    match (digit(upper), digit(lower)) {
        (Some(upper), Some(lower)) => Some(upper << 4 | lower),
        _ => None,
    }
}

const fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Why a text is no `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context-2/): see the
/// message, which names the place and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceparentError(Problem);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Length(usize),
    Version,
    /// The place, from 1.
    Dash(usize),
    Id(ParseIdError),
    Flags,
    More,
}

impl TraceparentError {
    /// Explains why [`parse`] returned nothing.
    pub(super) fn of(text: &str) -> Self {
        let value = without_space(text.as_bytes());
        let Some((head, _)) = value.split_first_chunk::<LENGTH>() else {
            return Self(Problem::Length(value.len()));
        };
        let part =
            |range: std::ops::Range<usize>| String::from_utf8_lossy(&head[range]).into_owned();
        if byte(head[0], head[1]).is_none_or(|version| version == 0xff) {
            return Self(Problem::Version);
        }
        if let Some(place) = [2, 35, 52].into_iter().find(|place| head[*place] != b'-') {
            return Self(Problem::Dash(place + 1));
        }
        if let Err(why) = part(TRACE_ID).parse::<TraceId>() {
            return Self(Problem::Id(why));
        }
        if let Err(why) = part(SPAN_ID).parse::<SpanId>() {
            return Self(Problem::Id(why));
        }
        if byte(head[FLAGS], head[FLAGS + 1]).is_none() {
            return Self(Problem::Flags);
        }
        Self(Problem::More)
    }
}

impl fmt::Display for TraceparentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the traceparent ")?;
        match &self.0 {
            Problem::Length(length) => write!(f, "has {length} bytes: expected {LENGTH}"),
            Problem::Version => f.write_str(
                "has no version: expected two lower-case hexadecimal digits other than ff",
            ),
            Problem::Dash(place) => write!(
                f,
                "has no dash as character {place}: expected 00-TRACE_ID-SPAN_ID-FLAGS"
            ),
            Problem::Id(why) => write!(f, "is malformed: {why}"),
            Problem::Flags => f.write_str(
                "has no flags: expected two lower-case hexadecimal digits as characters 54 and 55",
            ),
            Problem::More => write!(
                f,
                "goes on after character {LENGTH}: expected its end, or a dash in a later version"
            ),
        }
    }
}

impl std::error::Error for TraceparentError {}
