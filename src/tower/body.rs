//! The response's body, recorded until it has ended.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use http::Response;
use http::header::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::exchange::Shared;
use super::kept;

pin_project! {
    /// Body of a [`RecorderService`](super::RecorderService)'s response: the request is over when it
    /// ends. Its polls run in the request's trace.
    pub struct RecordedBody<B> {
        #[pin]
        body: Option<B>,
        // `None` once the request is over, or if it is not recorded.
        exchange: Option<Shared>,
        // Trailers of our own are still to come.
        tells_kept: bool,
    }

    impl<B> PinnedDrop for RecordedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(exchange) = this.exchange {
                exchange.drop_with(|| this.body.set(None));
            }
        }
    }
}

impl<B: Body> RecordedBody<B> {
    /// Puts the body of a response into one that is recorded.
    pub(super) fn in_response(mut response: Response<B>, mut exchange: Shared) -> Response<Self> {
        exchange.expects(|| response.body().size_hint().exact());
        let has_no_body = exchange.ends_with_head();
        let is_over = has_no_body || response.body().is_end_stream();
        if is_over && !has_no_body {
            exchange.body_ends();
        }
        if is_over {
            exchange.end_with_head(response.headers_mut());
        } else {
            exchange.tell_in_head(response.headers_mut());
        }
        response.map(|body| Self {
            exchange: (!is_over).then_some(exchange),
            body: Some(body),
            tells_kept: false,
        })
    }
}

impl<B> RecordedBody<B> {
    /// Wraps the body of a request that is not recorded.
    pub(super) fn unrecorded(body: B) -> Self {
        Self {
            body: Some(body),
            exchange: None,
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
        let Some(exchange) = this.exchange.as_mut() else {
            let body = this.body.as_mut().as_pin_mut();
            return body.map_or(Poll::Ready(None), |body| body.poll_frame(context));
        };
        exchange.body_begins();
        let (mut frame, is_over) = ready!(exchange.run(|| {
            let Some(mut body) = this.body.as_mut().as_pin_mut() else {
                return Poll::Ready((None, true));
            };
            let frame = ready!(body.as_mut().poll_frame(context));
            let is_over = match &frame {
                None | Some(Err(_)) => true,
                // No frame follows the trailers.
                Some(Ok(frame)) => frame.is_trailers() || body.is_end_stream(),
            };
            if is_over {
                // Dropped here, so that its drop belongs to the request, too.
                this.body.set(None);
            }
            Poll::Ready((frame, is_over))
        }));
        match &frame {
            None => {}
            Some(Err(error)) => exchange.fail(error),
            Some(Ok(frame)) => {
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
            let tells_kept = exchange.end_with_body();
            *this.exchange = None;
            match &mut frame {
                _ if !tells_kept => {}
                None => frame = Some(Ok(Frame::trailers(trailers()))),
                Some(Ok(frame)) => match frame.trailers_mut() {
                    Some(trailers) => kept::tell(trailers),
                    None => *this.tells_kept = true,
                },
                Some(Err(_)) => {}
            }
        }
        Poll::Ready(frame)
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
            exchange: None,
            tells_kept: false,
        }
    }
}

impl<B> fmt::Debug for RecordedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedBody").finish_non_exhaustive()
    }
}
