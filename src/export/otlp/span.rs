//! A span of OpenTelemetry, which borrows from the report. Building one copies no text.

use std::borrow::Cow;

use crate::store::ids::{SpanId, TraceId};

/// One span.
#[derive(Debug)]
pub(crate) struct Span<'a> {
    pub(super) trace_id: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) tracestate: &'a str,
    pub(super) flags: u32,
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) attributes: Vec<Attribute<'a>>,
    pub(super) events: Vec<Event<'a>>,
    /// The message of an error.
    pub(super) error: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
}

/// The flags say whether the parent belongs to another process.
pub(super) const PARENT_IS_KNOWN: u32 = 0x100;
pub(super) const PARENT_IS_REMOTE: u32 = 0x200;

/// The code of a status that is an error.
pub(super) const ERROR: u32 = 2;

/// A moment of a span.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub(super) time_ns: u64,
    pub(super) name: &'a str,
    pub(super) attributes: Vec<Attribute<'a>>,
}

pub(super) type Attribute<'a> = (&'a str, Value<'a>);

/// The value of an attribute.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Text(&'a str),
    /// A function in its module: `module::function`.
    Path(&'a str, &'a str),
    Texts(Cow<'a, [String]>),
    /// Beyond the range of the protocol, the greatest that it has.
    Integer(u64),
    /// It may be below 0.
    Difference(i64),
    Flag(bool),
}

/// Returns the number, or the greatest that the protocol has.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
