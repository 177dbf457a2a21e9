//! The response to come.

use std::fmt::{self, Write};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrayvec::ArrayString;
use http::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::trace::Trace;

use super::body::RecordedBody;
use super::exchange::Exchange;

pin_project! {
    /// The future of a [`RecorderService`](super::RecorderService)'s response.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        future: Option<F>,
        // There until the response is.
        exchange: Option<Box<Exchange>>,
        has_server_timing: bool,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(exchange) = this.exchange {
                exchange.cancel(|| this.future.set(None));
            }
        }
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(future: F, exchange: Box<Exchange>, has_server_timing: bool) -> Self {
        Self {
            future: Some(future),
            exchange: Some(exchange),
            has_server_timing,
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
        let this = self.project();
        // There until it is ready.
        let (Some(exchange), Some(future)) = (&mut *this.exchange, this.future.as_pin_mut()) else {
            return Poll::Pending;
        };
        let answer = ready!(exchange.run(|| future.poll(context)));
        let Some(mut exchange) = this.exchange.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match answer {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                exchange.answer(parts.status, &parts.headers);
                if *this.has_server_timing {
                    tell_timing(exchange.trace(), &mut parts.headers);
                }
                Ok(Response::from_parts(
                    parts,
                    RecordedBody::new(body, exchange),
                ))
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
    // It has room for the longest.
    let _ = write!(
        value,
        "total;dur={}.{:03}",
        age.as_millis(),
        age.subsec_micros() % 1000
    );
    if let Some(total) = trace.total() {
        let _ = write!(value, ", heap;desc=\"{} allocations\"", total.allocates());
    }
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.append(HeaderName::from_static("server-timing"), value);
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
