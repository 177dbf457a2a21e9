//! The future of a response.

use std::fmt::{self, Write};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrayvec::ArrayString;
use http::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::primitives::fallible::is_some_left;
use crate::store::trace::Trace;

use super::body::RecordedBody;
use super::exchange::Exchange;
use super::shared::Shared;

pin_project! {
    /// Future of a [`RecorderService`](super::RecorderService)'s response.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        pub(super) future: Option<F>,
        // Nothing once the response is ready, or if the request is not recorded.
        pub(super) exchange: Shared,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(exchange) = this.exchange.get() {
                exchange.drop_with(|| this.future.set(None));
            }
        }
    }
}

impl<F, Out, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Out>, E>>,
    Out: Body,
    Out::Error: fmt::Display,
    E: fmt::Display,
{
    type Output = Result<Response<RecordedBody<Out>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let polling = this.exchange.get().and_then(Exchange::begin_poll);
        let mut answer = future.poll(context);
        if answer.is_ready() {
            // Dropped here, so that its drop belongs to the request, too.
            this.future.set(None);
        }
        if let Some(exchange) = this.exchange.get() {
            exchange.end_poll(polling);
        }
        // The answer moves once, into its new place.
        let mut shared = match &answer {
            Poll::Ready(_) => this.exchange.take(),
            Poll::Pending => return Poll::Pending,
        };
        match (shared.get(), &mut answer) {
            (Some(exchange), Poll::Ready(Ok(response))) => {
                exchange.answer(response.status(), response.headers());
                if let Some(trace) = exchange.timing() {
                    tell_timing(trace, response.headers_mut());
                }
                shared = shared.go_on_with(response);
            }
            (Some(exchange), Poll::Ready(Err(error))) => {
                exchange.fail(error);
                shared.take().end();
            }
            _ => {}
        }
        answer.map_ok(|response| response.map(|body| RecordedBody::new(body, shared)))
    }
}

/// `total;dur=12.345, heap;desc="1234 allocations"`: milliseconds until now.
fn tell_timing(trace: &Trace, headers: &mut HeaderMap) {
    let mut value = ArrayString::<96>::new();
    let age = trace.age();
    // The longest value fits.
    let _ = write!(
        value,
        "total;dur={}.{:03}",
        age.as_millis(),
        age.subsec_micros() % 1000
    );
    if let Some(total) = trace.total() {
        let _ = write!(value, ", heap;desc=\"{} allocations\"", total.allocates());
    }
    if is_some_left()
        && let Ok(value) = HeaderValue::from_str(&value)
    {
        // Not added if there is no room for another header.
        let name = HeaderName::from_static("server-timing");
        let _ = alloc_counter::exclude(|| headers.try_append(name, value));
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
