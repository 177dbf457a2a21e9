//! Which request it is.

use std::fmt;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayString;
use http::HeaderValue;

use crate::recorder::Id;

/// A request's id: that of its header, or one that was made. An extension of every request.
///
/// `Display` is the id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Id);

impl RequestId {
    /// The client's, where it has one that can be read; 256 bytes of it at most.
    pub(super) fn of(header: Option<&HeaderValue>) -> Self {
        let given = header.and_then(|id| std::str::from_utf8(id.as_bytes()).ok());
        match given.filter(|id| !id.is_empty()) {
            Some(id) => Self(Id::new(id)),
            None => Self::make(),
        }
    }

    /// Sixteen hexadecimal digits, as good as unique.
    fn make() -> Self {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = KEYS.hash_one(MADE.fetch_add(1, Relaxed));
        let mut id = ArrayString::<16>::new();
        // It has room for all digits.
        let _ = write!(id, "{number:016x}");
        Self(Id::new(&id))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Another one, of whoever asks.
    pub(super) fn again(&self) -> Self {
        Self(self.copy())
    }

    /// Another one, for the recorder.
    pub(super) fn copy(&self) -> Id {
        Id::new(&self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
