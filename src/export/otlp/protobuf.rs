//! The encoding as [protobuf]; the field numbers are the format.
//!
//! The messages are written straight from borrowed texts. Types that prost derives own all of their texts, which
//! would be copied first: some forty allocations for a call.
//!
//! [protobuf]: https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::resource::{Resource, SCOPE};
use super::span::{Attribute, ERROR, Event, Span, Value, integer};

/// Appends a span, as a field of the spans of one scope.
pub(crate) fn encode_span(span: &Span<'_>, out: &mut Vec<u8>) {
    message(out, 2, |out| {
        bytes(out, 1, &span.trace_id.to_bytes());
        bytes(out, 2, &span.id.to_bytes());
        text(out, 3, span.tracestate);
        if let Some(parent) = span.parent {
            bytes(out, 4, &parent.to_bytes());
        }
        text(out, 5, span.name);
        number(out, 6, span.kind as u64);
        fixed64(out, 7, span.start_ns);
        fixed64(out, 8, span.end_ns);
        attributes(out, 9, &span.attributes);
        for event in &span.events {
            message(out, 11, |out| encode_event(event, out));
        }
        if let Some(why) = span.error {
            message(out, 15, |out| {
                text(out, 2, why);
                number(out, 3, u64::from(ERROR));
            });
        }
        encode_key(16, WireType::ThirtyTwoBit, out);
        out.extend(span.flags.to_le_bytes());
    });
}

/// Returns what comes before spans of so many bytes in a request to a collector.
pub(crate) fn encode_envelope(resource: &Resource, spans_bytes: usize) -> Vec<u8> {
    let (mut of_resource, mut of_scope) = (Vec::new(), Vec::new());
    message(&mut of_resource, 1, |out| {
        for (key, value) in &resource.attributes {
            message(out, 1, |out| {
                text(out, 1, key);
                message(out, 2, |out| bytes(out, 1, value.as_bytes()));
            });
        }
    });
    message(&mut of_scope, 1, |out| {
        text(out, 1, SCOPE.0);
        text(out, 2, SCOPE.1);
    });
    // The spans of one scope, and what belongs to the resource. Their lengths include what follows.
    let in_scope = of_scope.len() + spans_bytes;
    let mut of_scopes = Vec::new();
    head(&mut of_scopes, 2, in_scope);
    let in_resource = of_resource.len() + of_scopes.len() + in_scope;
    let mut all = Vec::new();
    head(&mut all, 1, in_resource);
    all.extend(of_resource);
    all.extend(of_scopes);
    all.extend(of_scope);
    all
}

fn encode_event(event: &Event<'_>, out: &mut Vec<u8>) {
    fixed64(out, 1, event.time_ns);
    text(out, 2, event.name);
    attributes(out, 3, &event.attributes);
}

fn attributes(out: &mut Vec<u8>, tag: u32, attributes: &[Attribute<'_>]) {
    for (key, value) in attributes {
        message(out, tag, |out| {
            text(out, 1, key);
            message(out, 2, |out| encode_value(value, out));
        });
    }
}

/// A value is one of several fields, so it is written even if it is empty.
fn encode_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => bytes(out, 1, text.as_bytes()),
        Value::Path(module, name) => {
            head(out, 1, module.len() + "::".len() + name.len());
            for part in [module, "::", name] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        Value::Flag(is_set) => number(out, 2, u64::from(*is_set)),
        Value::Integer(value) => number(out, 3, integer(*value).cast_unsigned()),
        Value::Texts(texts) => message(out, 5, |out| {
            for text in texts.iter() {
                message(out, 1, |out| bytes(out, 1, text.as_bytes()));
            }
        }),
    }
}

/// Appends a text, unless it is empty, which is what a missing one means.
fn text(out: &mut Vec<u8>, tag: u32, text: &str) {
    if !text.is_empty() {
        bytes(out, tag, text.as_bytes());
    }
}

fn bytes(out: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    head(out, tag, bytes.len());
    out.extend_from_slice(bytes);
}

fn head(out: &mut Vec<u8>, tag: u32, length: usize) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

fn number(out: &mut Vec<u8>, tag: u32, number: u64) {
    encode_key(tag, WireType::Varint, out);
    encode_varint(number, out);
}

fn fixed64(out: &mut Vec<u8>, tag: u32, number: u64) {
    encode_key(tag, WireType::SixtyFourBit, out);
    out.extend(number.to_le_bytes());
}

/// Appends a message. Its length comes before it, and is known after it: most fit in the byte that was left for
/// that, others are moved.
fn message(out: &mut Vec<u8>, tag: u32, write: impl FnOnce(&mut Vec<u8>)) {
    encode_key(tag, WireType::LengthDelimited, out);
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    let mut digits = Vec::new();
    if let Ok(length @ 0..128) = u8::try_from(length) {
        out[at] = length;
    } else {
        digits.reserve_exact(encoded_len_varint(length as u64));
        encode_varint(length as u64, &mut digits);
        out.splice(at..=at, digits);
    }
}
