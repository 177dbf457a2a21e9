//! The name of a checkpoint.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use crate::store::short_text::ShortText;

/// Name of a checkpoint: a text that takes no memory of its own if it has at most 22 bytes.
///
/// It derefs to `str`, and is made from any text:
///
/// ```
/// use tracer::report::CheckpointName;
///
/// let mut name = CheckpointName::from("connected");
/// assert!(name == "connected" && name.starts_with("con"));
/// name = format!("{name} again").into();
/// assert_eq!(name.to_string(), "connected again");
/// ```
#[derive(Clone)]
pub struct CheckpointName(Form);

#[derive(Clone)]
enum Form {
    /// The first `length` bytes are UTF-8.
    Here {
        length: u8,
        bytes: [u8; MAX_HERE],
    },
    Elsewhere(Box<str>),
}

const MAX_HERE: usize = 22;

const _: () = assert!(size_of::<CheckpointName>() == size_of::<String>());

impl CheckpointName {
    /// Returns the name that was recorded, which is UTF-8 unless it is a part of one.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        String::from_utf8_lossy(bytes).into()
    }

    /// Returns the name in a record.
    #[inline]
    pub(crate) fn of_short(name: &ShortText) -> Self {
        let (length, bytes) = name.to_bytes();
        match bytes.first_chunk() {
            Some(here) if length <= MAX_HERE && here.is_ascii() => Self(Form::Here {
                length: u8::try_from(length).unwrap_or(0),
                bytes: *here,
            }),
            _ => Self::of_bytes(&bytes[..length]),
        }
    }

    /// Returns the text.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // They are UTF-8.
            Form::Here { .. } => str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Form::Elsewhere(name) => name,
        }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Here { length, bytes } => &bytes[..MAX_HERE.min((*length).into())],
            Form::Elsewhere(name) => name.as_bytes(),
        }
    }

    /// Returns the bytes of memory that the name has of its own.
    #[cfg(feature = "recorder")]
    pub(crate) fn memory_bytes(&self) -> usize {
        match &self.0 {
            Form::Here { .. } => 0,
            Form::Elsewhere(name) => name.len(),
        }
    }
}

impl From<&str> for CheckpointName {
    fn from(name: &str) -> Self {
        let mut bytes = [0; MAX_HERE];
        let Some(here) = bytes.get_mut(..name.len()) else {
            return Self(Form::Elsewhere(name.into()));
        };
        here.copy_from_slice(name.as_bytes());
        Self(Form::Here {
            length: u8::try_from(name.len()).unwrap_or(0),
            bytes,
        })
    }
}

impl From<String> for CheckpointName {
    fn from(name: String) -> Self {
        if name.len() <= MAX_HERE {
            name.as_str().into()
        } else {
            Self(Form::Elsewhere(name.into()))
        }
    }
}

impl From<Cow<'_, str>> for CheckpointName {
    fn from(name: Cow<'_, str>) -> Self {
        match name {
            Cow::Borrowed(name) => name.into(),
            Cow::Owned(name) => name.into(),
        }
    }
}

impl From<CheckpointName> for String {
    fn from(name: CheckpointName) -> Self {
        match name.0 {
            Form::Here { .. } => name.as_str().to_owned(),
            Form::Elsewhere(name) => name.into(),
        }
    }
}

impl Deref for CheckpointName {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for CheckpointName {
    fn as_ref(&self) -> &str {
        self
    }
}

impl fmt::Display for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl PartialEq for CheckpointName {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for CheckpointName {}

impl Hash for CheckpointName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialEq<str> for CheckpointName {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for CheckpointName {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq<String> for CheckpointName {
    fn eq(&self, other: &String) -> bool {
        self == other.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_text_wherever_that_is() {
        for length in [
            0,
            1,
            MAX_HERE - 1,
            MAX_HERE,
            MAX_HERE + 1,
            ShortText::MAX_BYTES,
        ] {
            for text in ["x".repeat(length), "é".repeat(length / 2)] {
                let recorded = ShortText::of(text.as_bytes()).unwrap();
                let names = [
                    CheckpointName::from(text.as_str()),
                    CheckpointName::from(text.clone()),
                    CheckpointName::of_bytes(text.as_bytes()),
                    CheckpointName::of_short(&recorded),
                ];
                for name in &names {
                    assert_eq!(name.as_str(), text);
                    assert_eq!(*name, text);
                    assert_eq!(name, &names[0]);
                    assert_ne!(*name, text.clone() + "x");
                    assert_eq!(String::from(name.clone()), text);
                    assert_eq!(format!("{name} {name:?}"), format!("{text} {text:?}"));
                    let is_here = matches!(name.0, Form::Here { .. });
                    assert_eq!(is_here, text.len() <= MAX_HERE);
                }
            }
        }
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        let bytes = b"caf\xc3";
        let recorded = ShortText::of(bytes).unwrap();
        assert_eq!(CheckpointName::of_short(&recorded), "caf\u{fffd}");
        assert_eq!(CheckpointName::of_bytes(bytes), "caf\u{fffd}");
    }
}
