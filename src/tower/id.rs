//! The id of an HTTP request.

use std::fmt;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayString;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::recorder::{Id, IdText};
use crate::write::current::caller_here;

/// Id of a request: that of its header, or one that was made.
///
/// An extractor for handlers, which fails with a status of 500 if no [`RecorderLayer`](super::RecorderLayer) is around
/// them. `Display` is the id.
///
/// ```
/// use axum::Router;
/// use axum::routing::get;
/// use tracer::recorder::Recorder;
/// use tracer::tower::{RecorderLayer, RequestId};
///
/// let recorder = Recorder::builder().start()?;
/// let app: Router = Router::new()
///     .route("/", get(async |id: RequestId| format!("this is request {id}")))
///     .layer(RecorderLayer::new(recorder));
/// # Ok::<(), tracer::recorder::StartError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Id);

impl RequestId {
    /// Returns the id of the request whose trace is current on this thread; `None` if there is none, or if it has no
    /// id.
    ///
    /// It is set from the call of the service inside the layer until the end of the response's body, in spawned work as
    /// far as the [trace is taken along](crate::InCurrentTrace).
    pub fn current() -> Option<Self> {
        let id = caller_here()?.request_id()?;
        Some(Self(Id::new(&id)))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the id that the client sent, if it is readable.
pub(super) fn readable(header: &HeaderValue) -> Option<IdText<'_>> {
    IdText::read(header.as_bytes())
}

/// Makes an id of sixteen hexadecimal digits, practically unique.
#[inline(never)]
pub(super) fn make() -> ArrayString<16> {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = KEYS.hash_one(MADE.fetch_add(1, Relaxed));
    let mut id = ArrayString::new();
    // All digits fit.
    let _ = write!(id, "{number:016x}");
    id
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::current().ok_or((
            StatusCode::INTERNAL_SERVER_ERROR,
            "no request id: no `RecorderLayer` is around this route",
        ))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(Self::current())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
