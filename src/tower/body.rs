//! The response's body, recorded until it has ended.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf as _;
use http::header::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::kept::{self, Tells};
use super::shared::Shared;

pin_project! {
    /// Body of a [`RecorderService`](super::RecorderService)'s response: the request is over when it
    /// ends. Its polls run in the request's trace.
    pub struct RecordedBody<B> {
        #[pin]
        body: Option<B>,
        // Nothing once the request is over, or if it is not recorded.
        exchange: Shared,
        // Trailers of our own are still to come.
        tells_kept: bool,
    }

    impl<B> PinnedDrop for RecordedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(exchange) = this.exchange.get() {
                exchange.drop_with(|| this.body.set(None));
            }
        }
    }
}

impl<B> RecordedBody<B> {
    /// Wraps the body of a response.
    pub(super) fn new(body: B, exchange: Shared) -> Self {
        Self {
            body: Some(body),
            exchange,
            tells_kept: false,
        }
    }
}

/// Returns trailers that say that the request is kept.
fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    kept::tell(&mut trailers);
    trailers
}

/// Says in the trailers that the request is kept. Returns `false` if they are still to come.
#[cold]
fn try_tell<D, E>(polled: &mut Poll<Option<Result<Frame<D>, E>>>) -> bool {
    match polled {
        Poll::Ready(None) => *polled = Poll::Ready(Some(Ok(Frame::trailers(trailers())))),
        Poll::Ready(Some(Ok(frame))) => match frame.trailers_mut() {
            Some(trailers) => kept::tell(trailers),
            None => return false,
        },
        Poll::Ready(Some(Err(_))) | Poll::Pending => {}
    }
    true
}

impl<B> Body for RecordedBody<B>
where
    B: Body,
    B::Error: fmt::Display,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        if std::mem::take(this.tells_kept) {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers()))));
        }
        let Some(exchange) = this.exchange.get() else {
            let body = this.body.as_mut().as_pin_mut();
            return body.map_or(Poll::Ready(None), |body| body.poll_frame(context));
        };
        exchange.body_begins();
        let polling = exchange.begin_poll();
        let mut polled = Poll::Ready(None);
        let mut is_over = true;
        if let Some(mut body) = this.body.as_mut().as_pin_mut() {
            polled = body.as_mut().poll_frame(context);
            is_over = match &polled {
                Poll::Pending => false,
                Poll::Ready(None | Some(Err(_))) => true,
                // No frame follows the trailers.
                Poll::Ready(Some(Ok(frame))) => frame.is_trailers() || body.is_end_stream(),
            };
            if is_over {
                // Dropped here, so that its drop belongs to the request, too.
                this.body.set(None);
            }
        }
        exchange.end_poll(polling);
        match &polled {
            Poll::Pending | Poll::Ready(None) => {}
            Poll::Ready(Some(Err(error))) => exchange.fail(error),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    exchange.sent(data.remaining());
                }
                if let Some(trailers) = frame.trailers_ref() {
                    exchange.grpc_status(trailers);
                }
            }
        }
        if is_over {
            exchange.body_ends();
            if this.exchange.take().end() == Tells::HeadOrTrailers {
                *this.tells_kept = !try_tell(&mut polled);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        !self.tells_kept && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Returns an empty body, of which nothing is recorded, for layers above the recorder that answer
/// requests themselves.
///
/// [`CorsLayer`](https://docs.rs/tower-http/latest/tower_http/cors/struct.CorsLayer.html) and others
/// need it.
impl<B> Default for RecordedBody<B> {
    fn default() -> Self {
        Self {
            body: None,
            exchange: Shared::NONE,
            tells_kept: false,
        }
    }
}

impl<B> fmt::Debug for RecordedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedBody").finish_non_exhaustive()
    }
}
