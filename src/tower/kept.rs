//! Telling the caller that its request is kept, in the head of the response or in its trailers.

use http::header::{self, HeaderMap, HeaderValue};

use crate::primitives::fallible::is_some_left;
use crate::propagation::{TRACER_KEPT, YES};

/// Where the caller of a request can be told that the request is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// Nowhere: it is not wanted, or the caller knows already.
    Nowhere,
    Head,
    HeadOrTrailers,
}

impl Tells {
    pub(super) fn of(is_wanted: bool, request: &HeaderMap) -> Self {
        if !is_wanted {
            Self::Nowhere
        } else if takes_trailers(request) {
            Self::HeadOrTrailers
        } else {
            Self::Head
        }
    }
}

/// <https://www.rfc-editor.org/rfc/rfc9110#field.te>
fn takes_trailers(request: &HeaderMap) -> bool {
    let values = request.get_all(header::TE).iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Says that the request is kept, in place of what the service itself may have said: one that passes the headers of
/// another service on.
pub(super) fn tell(headers: &mut HeaderMap) {
    add(|| drop(headers.try_insert(&TRACER_KEPT, HeaderValue::from_static(YES))));
}

/// Announces the trailer, without which an HTTP/1.1 server sends none.
pub(super) fn announce(headers: &mut HeaderMap) {
    let name = HeaderValue::from_static("tracer-kept");
    add(|| drop(headers.try_append(header::TRAILER, name)));
}

/// Adds a header; not if there is no memory or no room for another one.
fn add(add: impl FnOnce()) {
    if is_some_left() {
        alloc_counter::exclude(add);
    }
}
