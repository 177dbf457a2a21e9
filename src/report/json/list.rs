//! Lists of calls and paths, each of which is turned into JSON and back by itself.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Parts of a report. Each is turned into JSON and back by itself, so that they are never all in memory
/// in both forms.
pub(super) enum List<'a, T> {
    Written(&'a [T]),
    Read(Vec<T>),
}

/// A part of a report as JSON.
pub(super) trait Part: Sized {
    type InJson<'a>: Serialize + Deserialize<'a>;
    fn to_json(&self) -> Self::InJson<'_>;
    fn from_json(in_json: Self::InJson<'_>) -> Self;
}

impl<T> List<'_, T> {
    pub(super) fn all(&self) -> &[T] {
        match self {
            Self::Written(all) => all,
            Self::Read(all) => all,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    pub(super) fn into_read(self) -> Vec<T> {
        match self {
            Self::Written(_) => Vec::new(),
            Self::Read(all) => all,
        }
    }
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self::Read(Vec::new())
    }
}

impl<T: Part> Serialize for List<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.all().iter().map(T::to_json))
    }
}

impl<'de, T: Part> Deserialize<'de> for List<'_, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ListVisitor(PhantomData);
        deserializer.deserialize_seq(visitor).map(Self::Read)
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Part> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(part) = sequence.next_element::<T::InJson<'de>>()? {
            all.push(T::from_json(part));
        }
        all.shrink_to_fit();
        Ok(all)
    }
}
