//! The future of a response.

use std::fmt::{self, Write};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrayvec::ArrayString;
use http::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::primitives::fallible::is_some_left;
use crate::store::trace::Trace;

use super::body::RecordedBody;
use super::exchange::Shared;

pin_project! {
    /// Future of a [`RecorderService`](super::RecorderService)'s response.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        pub(super) future: Option<F>,
        // `None` once the response is ready, or if the request is not recorded.
        pub(super) exchange: Option<Shared>,
        pub(super) has_server_timing: bool,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(exchange) = this.exchange {
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
        // `Some` until the response is ready.
        let Some(exchange) = &mut *this.exchange else {
            // It is ready, or the request is not recorded.
            let Some(future) = this.future.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            let answer = ready!(future.poll(context));
            this.future.set(None);
            return Poll::Ready(answer.map(|it| it.map(RecordedBody::unrecorded)));
        };
        let answer = ready!(exchange.run(|| {
            let future = this.future.as_mut().as_pin_mut();
            let answer = future.map_or(Poll::Pending, |future| future.poll(context));
            if answer.is_ready() {
                // Dropped here, so that its drop belongs to the request, too.
                this.future.set(None);
            }
            answer
        }));
        let Some(mut exchange) = this.exchange.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match answer {
            Ok(response) => {
                let mut response = response;
                exchange.answer(response.status(), response.headers());
                if *this.has_server_timing {
                    tell_timing(exchange.trace(), response.headers_mut());
                }
                Ok(RecordedBody::in_response(response, exchange))
            }
            Err(error) => {
                exchange.fail(&error);
                Err(error)
            }
        })
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
