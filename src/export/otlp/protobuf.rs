//! The encoding as [protobuf]; the field numbers are the format.
//!
//! The messages are written straight from borrowed texts. Types that prost derives own all of their texts, which
//! would be copied first: some forty allocations for a call.
//!
//! [protobuf]: https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto

use prost::encoding::{WireType, encode_varint, encoded_len_varint};

use super::resource::{Resource, SCOPE};
use super::span::{Attribute, ERROR, Event, Span, Value, integer};

/// Appends a span, as a field of the spans of one scope.
pub(crate) fn encode_span(span: &Span<'_>, out: &mut Vec<u8>) {
    message::<2>(out, 2, |out| {
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
            message::<2>(out, 11, |out| encode_event(event, out));
        }
        if let Some(why) = span.error {
            message::<1>(out, 15, |out| {
                text(out, 2, why);
                number(out, 3, u64::from(ERROR));
            });
        }
        key(out, 16, WireType::ThirtyTwoBit);
        out.extend(span.flags.to_le_bytes());
    });
}

/// Returns what comes before spans of so many bytes in a request to a collector.
pub(crate) fn encode_envelope(resource: &Resource, spans_bytes: usize) -> Vec<u8> {
    let (mut of_resource, mut of_scope) = (Vec::new(), Vec::new());
    message::<2>(&mut of_resource, 1, |out| {
        for (key, value) in &resource.attributes {
            attribute(out, 1, key, &Value::Text(value));
        }
    });
    message::<1>(&mut of_scope, 1, |out| {
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
        attribute(out, tag, key, value);
    }
}

/// Appends an attribute. There are some thirty in a span, so its lengths are computed first, and nothing is moved.
fn attribute(out: &mut Vec<u8>, tag: u32, key: &str, value: &Value<'_>) {
    let value_bytes = value_bytes(value);
    head(out, tag, field_bytes(key.len()) + field_bytes(value_bytes));
    bytes(out, 1, key.as_bytes());
    head(out, 2, value_bytes);
    encode_value(value, out);
}

/// Returns how many bytes a field with a length takes, whose tag is below 16.
fn field_bytes(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

/// Returns how many bytes [`encode_value`] writes.
fn value_bytes(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => field_bytes(text.len()),
        Value::Path(module, name) => field_bytes(path_bytes(module, name)),
        Value::Flag(_) => 2,
        Value::Integer(value) => 1 + encoded_len_varint(integer(*value).cast_unsigned()),
        Value::Difference(value) => 1 + encoded_len_varint(value.cast_unsigned()),
        Value::Texts(texts) => field_bytes(texts_bytes(texts)),
    }
}

fn path_bytes(module: &str, name: &str) -> usize {
    module.len() + "::".len() + name.len()
}

fn texts_bytes(texts: &[String]) -> usize {
    let values = texts.iter().map(|text| field_bytes(text.len()));
    values.map(field_bytes).sum()
}

/// A value is one of several fields, so it is written even if it is empty.
fn encode_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => bytes(out, 1, text.as_bytes()),
        Value::Path(module, name) => {
            head(out, 1, path_bytes(module, name));
            for part in [module, "::", name] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        Value::Flag(is_set) => number(out, 2, u64::from(*is_set)),
        Value::Integer(value) => number(out, 3, integer(*value).cast_unsigned()),
        Value::Difference(value) => number(out, 3, value.cast_unsigned()),
        Value::Texts(texts) => {
            head(out, 5, texts_bytes(texts));
            for text in texts.iter() {
                head(out, 1, field_bytes(text.len()));
                bytes(out, 1, text.as_bytes());
            }
        }
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
    key(out, tag, WireType::LengthDelimited);
    varint(out, length as u64);
}

fn number(out: &mut Vec<u8>, tag: u32, number: u64) {
    key(out, tag, WireType::Varint);
    varint(out, number);
}

#[inline]
fn key(out: &mut Vec<u8>, tag: u32, wire: WireType) {
    varint(out, u64::from(tag << 3 | wire as u32));
}

/// Most tags and lengths, and many numbers, take one byte.
#[inline]
fn varint(out: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(byte @ 0..128) => out.push(byte),
        _ => encode_varint(number, out),
    }
}

fn fixed64(out: &mut Vec<u8>, tag: u32, number: u64) {
    key(out, tag, WireType::SixtyFourBit);
    out.extend(number.to_le_bytes());
}

/// Appends a message. Its length comes before it, and is known after it: room is left for `N` bytes of it, which most
/// of these messages need; others are moved.
fn message<const N: usize>(out: &mut Vec<u8>, tag: u32, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, tag, WireType::LengthDelimited);
    let at = out.len();
    let behind = at + N;
    out.extend_from_slice(&[0; N]);
    write(out);
    let length = (out.len() - behind) as u64;
    // A number of 64 bits has no more.
    let mut digits = [0; 10];
    encode_varint(length, &mut &mut digits[..]);
    let digits = &digits[..encoded_len_varint(length)];
    if digits.len() == N {
        out[at..behind].copy_from_slice(digits);
    } else {
        out.splice(at..behind, digits.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
    use prost::Message;

    use crate::store::ids::{SpanId, TraceId};

    use super::super::span::Kind;
    use super::*;

    fn theirs(value: any_value::Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    /// Where a length takes a byte more, in each of the messages around each other.
    #[test]
    fn any_length_is_read_by_others() {
        for length in { 0..300 }.chain(16_100..16_400).chain([100_000]) {
            let long = "x".repeat(length);
            let several = [long.clone(), String::new(), long.clone()];
            let attributes = || {
                vec![
                    ("text", Value::Text(&long)),
                    ("path", Value::Path(&long, "f")),
                    ("texts", Value::Texts(Cow::Borrowed(&several))),
                    ("integer", Value::Integer(length as u64)),
                    ("difference", Value::Difference(-integer(length as u64))),
                    ("flag", Value::Flag(true)),
                    (&*long, Value::Integer(u64::MAX)),
                ]
            };
            let span = Span {
                trace_id: TraceId::MIN,
                id: SpanId::MIN,
                parent: None,
                tracestate: "",
                flags: 0x300,
                name: &long,
                kind: Kind::Client,
                start_ns: 1,
                end_ns: u64::MAX,
                attributes: attributes(),
                events: vec![Event {
                    time_ns: 2,
                    name: &long,
                    attributes: attributes(),
                }],
                error: Some(&long),
            };
            let mut encoded = Vec::new();
            encode_span(&span, &mut encoded);
            let [read] = <[_; 1]>::try_from(ScopeSpans::decode(&*encoded).unwrap().spans).unwrap();
            let text = |text: &str| any_value::Value::StringValue(text.to_owned());
            let texts = several.iter().map(|it| theirs(text(it)));
            let texts = ArrayValue {
                values: texts.collect(),
            };
            let expected = [
                ("text", text(&long)),
                ("path", text(&format!("{long}::f"))),
                ("texts", any_value::Value::ArrayValue(texts)),
                (
                    "integer",
                    any_value::Value::IntValue(length.try_into().unwrap()),
                ),
                (
                    "difference",
                    any_value::Value::IntValue(-i64::try_from(length).unwrap()),
                ),
                ("flag", any_value::Value::BoolValue(true)),
                (&*long, any_value::Value::IntValue(i64::MAX)),
            ];
            let expected = expected.map(|(key, value)| KeyValue {
                key: key.to_owned(),
                value: Some(theirs(value)),
                ..KeyValue::default()
            });
            assert_eq!(read.attributes, expected);
            assert_eq!(read.events[0].attributes, expected);
            assert_eq!((&read.name, &read.events[0].name), (&long, &long));
            assert_eq!(read.status.unwrap().message, long);
            assert_eq!(
                (read.end_time_unix_nano, read.flags, read.kind),
                (u64::MAX, 0x300, 3)
            );
        }
    }
}
