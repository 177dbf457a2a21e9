//! Reports as spans of OpenTelemetry: what becomes of what, and the two encodings.
//!
//! The request becomes a span of the kind `SERVER`, and each recorded call one of the kind `INTERNAL`, with the
//! ids that other services know. Calls of a path that was folded have no times of their own, so they become an
//! event of the span around them, and never an invented span.

mod attributes;
mod ids;
mod json;
#[cfg(feature = "otlp")]
mod protobuf;
mod request;
mod resource;
mod span;
mod spans;
#[cfg(all(test, not(loom)))]
mod tests;

use std::io;

use crate::report::Report;

pub(crate) use json::Enclosed;
#[cfg(feature = "otlp")]
pub(crate) use json::write_span as write_json;
#[cfg(feature = "otlp")]
pub(crate) use protobuf::{encode_envelope, encode_span};
pub(crate) use resource::Resource;
#[cfg(feature = "otlp")]
pub(crate) use spans::spans;

/// Writes a report as a request to a collector, on a line.
pub(super) fn write_line(report: &Report, mut out: impl io::Write) -> io::Result<()> {
    let spans: Vec<_> = spans::spans(report).collect();
    let enclosed = Enclosed {
        resource: &Resource::unknown(),
        spans: &spans,
    };
    serde_json::to_writer(&mut out, &enclosed)?;
    out.write_all(b"\n")
}
