//! Responses on their way to the client. They are made inside of `exclude`, but a server drops them outside of it.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::body::{Body, to_bytes};
use axum::http::HeaderValue;
use axum::http::response::Parts;
use axum::response::Response;
use bytes::Bytes;

use crate::primitives::excluded::Own;

/// A response whose memory is the tracer's own.
pub(super) struct Excluded(Own<(Parts, Text)>);

/// The text of a page, which is dropped inside of `exclude`.
struct Text(Own<Bytes>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Excluded {
    /// Takes a response whose body is there as a whole. To be called inside of [`alloc_counter::exclude`].
    pub(super) fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let mut context = Context::from_waker(Waker::noop());
        let text = match pin!(to_bytes(body, usize::MAX)).poll(&mut context) {
            Poll::Ready(Ok(text)) => text,
            // No page is a stream.
            Poll::Ready(Err(_)) | Poll::Pending => Bytes::new(),
        };
        Self(Own::new((parts, Text(Own::new(text)))))
    }

    /// Returns the response for a server: its head is copied into the program's memory, its text is given back to the
    /// tracer's when it has been sent.
    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        let Excluded(mut own) = self;
        let (parts, text) = &mut *own;
        *response.status_mut() = parts.status;
        for (name, value) in &parts.headers {
            // A value of one that is valid.
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                response.headers_mut().append(name.clone(), value);
            }
        }
        let text = std::mem::replace(text, Text(Own::new(Bytes::new())));
        *response.body_mut() = Body::from(Bytes::from_owner(text));
        response
    }
}
