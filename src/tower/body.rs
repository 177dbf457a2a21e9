//! The response's body, until it has ended.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::exchange::Exchange;

pin_project! {
    /// The body of a [`RecorderService`](super::RecorderService)'s response: with it the request is
    /// over. What it does while it is polled is of the request.
    pub struct RecordedBody<B> {
        #[pin]
        body: Option<B>,
        // There until the request is over.
        exchange: Option<Box<Exchange>>,
        // How many bytes there are, where that is known.
        length: Option<u64>,
    }

    impl<B> PinnedDrop for RecordedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(exchange) = this.exchange {
                exchange.cancel(|| this.body.set(None));
            }
        }
    }
}

impl<B: Body> RecordedBody<B> {
    pub(super) fn new(body: B, mut exchange: Box<Exchange>) -> Self {
        let is_over = exchange.ends_with_head() || body.is_end_stream();
        if is_over {
            exchange.end();
        }
        Self {
            length: body.size_hint().exact(),
            exchange: (!is_over).then_some(exchange),
            body: Some(body),
        }
    }
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
        // There until the drop.
        let Some(mut body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let Some(exchange) = this.exchange.as_mut() else {
            return body.poll_frame(context);
        };
        let frame = ready!(exchange.run(|| body.as_mut().poll_frame(context)));
        let is_over = match &frame {
            None => true,
            Some(Err(error)) => {
                exchange.fail(error);
                true
            }
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    exchange.sent(data.remaining());
                }
                if let Some(trailers) = frame.trailers_ref() {
                    exchange.grpc_status(trailers);
                }
                let is_whole = this.length.is_some_and(|it| exchange.sent_bytes() >= it);
                // Trailers are the last.
                body.is_end_stream() || is_whole || frame.is_trailers()
            }
        };
        if is_over {
            exchange.end();
            *this.exchange = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> fmt::Debug for RecordedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedBody").finish_non_exhaustive()
    }
}
