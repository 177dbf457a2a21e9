//! The encoding as JSON: [names in camel case][json], ids in hexadecimal digits, whole numbers of 64 bits as texts.
//!
//! [json]: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::resource::{Resource, SCOPE};
use super::span::{Attribute, ERROR, Event, Span, Value, integer};

/// A request to a collector, with all that is around the spans.
pub(crate) struct Enclosed<'a, S> {
    pub(crate) resource: &'a Resource,
    pub(crate) spans: &'a [S],
}

/// Appends a span.
#[cfg(feature = "otlp")]
pub(crate) fn write_span(span: &Span<'_>, out: &mut Vec<u8>) {
    // Neither a span nor a vector can fail.
    let _ = serde_json::to_writer(out, span);
}

impl<S: Serialize> Serialize for Enclosed<'_, S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        one(serializer, "resourceSpans", &[OfResource(self)])
    }
}

fn one<T: Serializer>(
    serializer: T,
    key: &'static str,
    value: &impl Serialize,
) -> Result<T::Ok, T::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

struct OfResource<'a, S>(&'a Enclosed<'a, S>);
struct OfScope<'a, S>(&'a Enclosed<'a, S>);
struct Scope;
struct Texts<'a>(&'a [(String, String)]);
struct Attributes<'a>(&'a [Attribute<'a>]);
struct Status<'a>(&'a str);
struct Shown<V>(V);

impl<S: Serialize> Serialize for OfResource<'_, S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("resource", self.0.resource)?;
        map.serialize_entry("scopeSpans", &[OfScope(self.0)])?;
        map.end()
    }
}

impl Serialize for Resource {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        one(serializer, "attributes", &Texts(&self.attributes))
    }
}

impl<S: Serialize> Serialize for OfScope<'_, S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("scope", &Scope)?;
        map.serialize_entry("spans", self.0.spans)?;
        map.end()
    }
}

impl Serialize for Scope {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("name", SCOPE.0)?;
        map.serialize_entry("version", SCOPE.1)?;
        map.end()
    }
}

impl Serialize for Texts<'_> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let all = self.0.iter();
        serializer.collect_seq(all.map(|(key, value)| Pair(key, Value::Text(value))))
    }
}

struct Pair<'a>(&'a str, Value<'a>);

impl Serialize for Pair<'_> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        pair(serializer, self.0, &self.1)
    }
}

fn pair<T: Serializer>(serializer: T, key: &str, value: &Value<'_>) -> Result<T::Ok, T::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("key", key)?;
    map.serialize_entry("value", value)?;
    map.end()
}

impl Serialize for Span<'_> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("traceId", &self.trace_id)?;
        map.serialize_entry("spanId", &self.id)?;
        if !self.tracestate.is_empty() {
            map.serialize_entry("traceState", self.tracestate)?;
        }
        if let Some(parent) = &self.parent {
            map.serialize_entry("parentSpanId", parent)?;
        }
        map.serialize_entry("flags", &self.flags)?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("kind", &(self.kind as u32))?;
        map.serialize_entry("startTimeUnixNano", &Shown(self.start_ns))?;
        map.serialize_entry("endTimeUnixNano", &Shown(self.end_ns))?;
        map.serialize_entry("attributes", &Attributes(&self.attributes))?;
        if !self.events.is_empty() {
            map.serialize_entry("events", &self.events)?;
        }
        if let Some(message) = self.error {
            map.serialize_entry("status", &Status(message))?;
        }
        map.end()
    }
}

impl Serialize for Event<'_> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("timeUnixNano", &Shown(self.time_ns))?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("attributes", &Attributes(&self.attributes))?;
        map.end()
    }
}

impl Serialize for Attributes<'_> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let mut all = serializer.serialize_seq(Some(self.0.len()))?;
        for (key, value) in self.0 {
            all.serialize_element(&AttributeInJson(key, value))?;
        }
        all.end()
    }
}

struct AttributeInJson<'a>(&'a str, &'a Value<'a>);

impl Serialize for AttributeInJson<'_> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        pair(serializer, self.0, self.1)
    }
}

impl Serialize for Value<'_> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        match self {
            Self::Text(text) => one(serializer, "stringValue", text),
            Self::Path(module, name) => {
                let path = Shown(format_args!("{module}::{name}"));
                one(serializer, "stringValue", &path)
            }
            Self::Texts(texts) => one(serializer, "arrayValue", &Values(texts)),
            Self::Integer(number) => one(serializer, "intValue", &Shown(integer(*number))),
            Self::Difference(number) => one(serializer, "intValue", &Shown(number)),
            Self::Flag(is_set) => one(serializer, "boolValue", is_set),
        }
    }
}

struct Values<'a>(&'a [String]);
struct Elements<'a>(&'a [String]);

impl Serialize for Values<'_> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        one(serializer, "values", &Elements(self.0))
    }
}

impl Serialize for Elements<'_> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        serializer.collect_seq(self.0.iter().map(|text| Value::Text(text)))
    }
}

impl Serialize for Status<'_> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("message", self.0)?;
        map.serialize_entry("code", &ERROR)?;
        map.end()
    }
}

impl<V: std::fmt::Display> Serialize for Shown<V> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        serializer.collect_str(&self.0)
    }
}
