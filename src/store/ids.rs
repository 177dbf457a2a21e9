//! The ids by which other services know a trace and its calls.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

use crate::primitives::hex;

/// Id of a trace over all services that take part in it: 128 bits, never all zero.
///
/// `Display` and [`FromStr`] are 32 lower-case hexadecimal digits, as in the header `traceparent` of [W3C
/// Trace Context](https://www.w3.org/TR/trace-context-2/). See [`Trace::trace_id`](crate::Trace::trace_id).
///
/// ```
/// use tracer::TraceId;
///
/// let id: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse()?;
/// assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert_eq!(id.to_bytes()[..2], [0x4b, 0xf9]);
/// # Ok::<(), tracer::ParseIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(NonZeroU128);

/// Id of a call, or of a whole request, within a trace: 64 bits, never all zero. OpenTelemetry calls either a
/// span.
///
/// `Display` and [`FromStr`] are 16 lower-case hexadecimal digits.
///
/// ```
/// use tracer::SpanId;
///
/// let id: SpanId = "00f067aa0ba902b7".parse()?;
/// assert_eq!(id.to_string(), "00f067aa0ba902b7");
/// let error = "00F067AA0BA902B7".parse::<SpanId>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the span id has 'F' as character 3: expected 16 lower-case hexadecimal digits"
/// );
/// # Ok::<(), tracer::ParseIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(NonZeroU64);

impl TraceId {
    /// The least id.
    pub(crate) const MIN: Self = Self(NonZeroU128::MIN);
    const DIGITS: usize = 32;

    /// Returns the id with these bits; `None` if all are zero.
    pub const fn new(bits: u128) -> Option<Self> {
        match NonZeroU128::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// Returns the id with these bytes, the most significant first; `None` if all are zero.
    pub const fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        Self::new(u128::from_be_bytes(bytes))
    }

    /// Returns its bytes, the most significant first.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }

    /// Returns its bits.
    pub const fn to_bits(self) -> u128 {
        self.0.get()
    }

    /// Returns the id that these digits write.
    #[inline]
    pub(crate) fn from_digits(digits: &[u8; Self::DIGITS]) -> Option<Self> {
        let (upper, lower) = digits.split_first_chunk()?;
        let (upper, lower) = (hex::decode(*upper), hex::decode(*lower.first_chunk()?));
        if upper.1 | lower.1 != 0 {
            return None;
        }
        Self::new(u128::from(upper.0) << u64::BITS | u128::from(lower.0))
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    pub(crate) fn to_digits(self) -> [u8; Self::DIGITS] {
        let bits = self.0.get();
        let mut digits = [0; Self::DIGITS];
        digits[..16].copy_from_slice(&to_digits((bits >> u64::BITS) as u64));
        digits[16..].copy_from_slice(&to_digits(bits as u64));
        digits
    }
}

impl SpanId {
    /// The least id.
    pub(crate) const MIN: Self = Self(NonZeroU64::MIN);
    const DIGITS: usize = 16;

    /// Returns the id with these bits; `None` if all are zero.
    pub const fn new(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// Returns the id with these bytes, the most significant first; `None` if all are zero.
    pub const fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        Self::new(u64::from_be_bytes(bytes))
    }

    /// Returns its bytes, the most significant first.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }

    /// Returns its bits.
    pub const fn to_bits(self) -> u64 {
        self.0.get()
    }

    /// Returns the id that these digits write.
    #[inline]
    pub(crate) fn from_digits(digits: &[u8; Self::DIGITS]) -> Option<Self> {
        let (bits, wrong) = hex::decode(*digits);
        if wrong == 0 { Self::new(bits) } else { None }
    }

    #[inline]
    pub(crate) fn to_digits(self) -> [u8; Self::DIGITS] {
        to_digits(self.0.get())
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn to_digits(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    digits[..8].copy_from_slice(&hex::encode((number >> u32::BITS) as u32));
    digits[8..].copy_from_slice(&hex::encode(number as u32));
    digits
}

/// Why a text is no [`TraceId`] or [`SpanId`]: see the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseIdError {
    what: &'static str,
    digits: usize,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Length(usize),
    /// The place, from 1, and the character.
    Character(usize, char),
    Zero,
}

impl ParseIdError {
    fn of(what: &'static str, digits: usize, text: &str) -> Self {
        let length = text.chars().count();
        let is_digit = |it: char| matches!(it, '0'..='9' | 'a'..='f');
        let problem = match text.chars().position(|it| !is_digit(it)) {
            _ if length != digits => Problem::Length(length),
            Some(place) => Problem::Character(place + 1, text.chars().nth(place).unwrap_or(' ')),
            None => Problem::Zero,
        };
        Self {
            what,
            digits,
            problem,
        }
    }
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, digits, .. } = self;
        match self.problem {
            Problem::Length(length) => write!(f, "the {what} has {length} characters")?,
            Problem::Character(place, character) => {
                write!(f, "the {what} has {character:?} as character {place}")?;
            }
            Problem::Zero => {
                let expected = "expected another digit among the";
                return write!(f, "the {what} is all zeros: {expected} {digits}");
            }
        }
        write!(f, ": expected {digits} lower-case hexadecimal digits")
    }
}

impl std::error::Error for ParseIdError {}

impl FromStr for TraceId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let digits = text.as_bytes().try_into().ok();
        let id = digits.and_then(Self::from_digits);
        id.ok_or_else(|| ParseIdError::of("trace id", Self::DIGITS, text))
    }
}

impl FromStr for SpanId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let digits = text.as_bytes().try_into().ok();
        let id = digits.and_then(Self::from_digits);
        id.ok_or_else(|| ParseIdError::of("span id", Self::DIGITS, text))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(&self.to_digits(), f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(&self.to_digits(), f)
    }
}

/// Shows the digits, as a text that may be padded.
fn shown(digits: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.pad(std::str::from_utf8(digits).unwrap_or_default())
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}
