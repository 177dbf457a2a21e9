//! The common parts of calls and requests as JSON: outcomes, labels, texts and times.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use alloc_counter::Counts;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::report::Outcome;

use super::written::Written;

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OutcomeInJson {
    Ok,
    Failed,
    Panicked,
    Cancelled,
    Running,
}

impl OutcomeInJson {
    /// Returns the outcome, and the message of a failed one.
    pub(super) fn of(outcome: &Outcome) -> (Self, Option<Cow<'_, str>>) {
        match outcome {
            Outcome::Ok => (Self::Ok, None),
            Outcome::Failed(message) => (Self::Failed, Some(borrowed(message))),
            Outcome::Panicked => (Self::Panicked, None),
            Outcome::Cancelled => (Self::Cancelled, None),
            Outcome::Running => (Self::Running, None),
        }
    }

    #[inline]
    pub(super) fn written(line: &mut Written<'_>) -> Option<Self> {
        let written = [
            (r#""ok""#, Self::Ok),
            (r#""failed""#, Self::Failed),
            (r#""panicked""#, Self::Panicked),
            (r#""cancelled""#, Self::Cancelled),
            (r#""running""#, Self::Running),
        ];
        { written.into_iter() }.find_map(|(text, outcome)| line.has(text).then_some(outcome))
    }

    #[cfg(feature = "hotspots")]
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Panicked)
    }

    pub(super) fn into_outcome(self, message: Option<Cow<'_, str>>) -> Outcome {
        match self {
            Self::Ok => Outcome::Ok,
            Self::Failed => Outcome::Failed(message.map(Cow::into_owned).unwrap_or_default()),
            Self::Panicked => Outcome::Panicked,
            Self::Cancelled => Outcome::Cancelled,
            Self::Running => Outcome::Running,
        }
    }
}

/// Labels as a JSON object. If a label was given twice, its name is there twice.
#[derive(Default)]
pub(super) struct Labels<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Labels<'a> {
    pub(super) fn of(labels: &'a [(Cow<'static, str>, String)]) -> Self {
        let labels = labels.iter();
        let labels = labels.map(|(name, value)| (borrowed(name), borrowed(value)));
        Self(labels.collect())
    }

    pub(super) fn written(line: &mut Written<'a>) -> Option<Self> {
        let mut labels = Vec::new();
        line.pass("{")?;
        loop {
            labels.push((line.text()?, line.field(":", Written::text)?));
            if line.has("}") {
                return Some(Self(labels));
            }
            line.pass(",")?;
        }
    }

    pub(super) fn into_labels(self) -> Vec<(Cow<'static, str>, String)> {
        let labels = self.0.into_iter();
        labels
            .map(|(name, value)| (owned(name), value.into_owned()))
            .collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LabelsVisitor)
    }
}

struct LabelsVisitor;

/// A text inside another value: a bare `Cow` is always owned when it is read.
#[derive(Deserialize)]
#[serde(transparent)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of labels, whose values are strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels<'de>, A::Error> {
        let mut labels = Vec::new();
        while let Some((Borrowed(name), Borrowed(value))) = map.next_entry()? {
            labels.push((name, value));
        }
        Ok(Labels(labels))
    }
}

/// Reads an id, which is a string of digits.
#[inline]
pub(super) fn written_id<T: FromStr>(line: &mut Written<'_>) -> Option<T> {
    line.text()?.parse().ok()
}

pub(super) fn borrowed(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

pub(super) fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde hands it")]
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Returns the bytes that are kept.
pub(super) fn net_bytes(total: Option<Counts>) -> Option<i64> {
    total.map(|total| total.net_bytes())
}

/// Whether there is nothing to write about the bytes that are kept.
#[expect(clippy::ref_option, reason = "as serde hands it")]
pub(super) fn is_no_net(net: &Option<i64>) -> bool {
    net.is_none_or(|net| net == 0)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde hands it")]
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}
