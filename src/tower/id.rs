//! The id of an HTTP request.

use std::fmt;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayString;
use http::HeaderValue;

use crate::recorder::Id;

/// Id of a request: that of its header, or one that was made. It is an extension of every request.
///
/// `Display` is the id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Id);

impl RequestId {
    /// Returns the id that the client sent, cut to 256 bytes, or makes one if there is none that is
    /// readable.
    pub(super) fn of(header: Option<&HeaderValue>) -> Self {
        let given = header.and_then(|id| std::str::from_utf8(id.as_bytes()).ok());
        match given.filter(|id| !id.is_empty()) {
            Some(id) => Self(Id::new(id)),
            None => Self::make(),
        }
    }

    /// Makes an id of sixteen hexadecimal digits, practically unique.
    fn make() -> Self {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = KEYS.hash_one(MADE.fetch_add(1, Relaxed));
        let mut id = ArrayString::<16>::new();
        // All digits fit.
        let _ = write!(id, "{number:016x}");
        Self(Id::new(&id))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Copies it; the memory is the caller's.
    pub(super) fn again(&self) -> Self {
        Self(self.copy())
    }

    /// Copies it for the recorder.
    pub(super) fn copy(&self) -> Id {
        Id::new(&self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
