//! Which request it is.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock};

use http::HeaderValue;

use crate::recorder::bounded;

/// A request's id: that of its header, or one that was made. An extension of every request.
///
/// `Display` is the id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The client's, where it has one that can be read; 256 bytes of it at most.
    pub(super) fn of(header: Option<&HeaderValue>) -> Self {
        let given = header.and_then(|id| std::str::from_utf8(id.as_bytes()).ok());
        match given.filter(|id| !id.is_empty()) {
            Some(id) => Self(bounded(id).into()),
            None => Self::make(),
        }
    }

    /// Sixteen hexadecimal digits, as good as unique.
    fn make() -> Self {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = KEYS.hash_one(MADE.fetch_add(1, Relaxed));
        Self(format!("{number:016x}").into())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
