//! Telling the caller that its request is kept, in the head of the response or in its trailers.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

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

/// Says that the request is kept.
pub(super) fn tell(headers: &mut HeaderMap) {
    add(headers, TRACER_KEPT.clone(), HeaderValue::from_static(YES));
}

/// Announces the trailer, without which an HTTP/1.1 server sends none.
pub(super) fn announce(headers: &mut HeaderMap) {
    let name = HeaderValue::from_static("tracer-kept");
    add(headers, header::TRAILER, name);
}

/// Not added if there is no memory or no room for another header.
fn add(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if is_some_left() {
        let _ = alloc_counter::exclude(|| headers.try_append(name, value));
    }
}
