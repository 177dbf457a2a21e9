//! The body of a callee's response, whose trailers may say that the callee has kept its request.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::store::trace::Trace;

use super::says_kept;

pin_project! {
    /// Body of a [`Propagated`](super::Propagated) client's response, unchanged.
    pub struct PropagatedBody<B> {
        #[pin]
        body: B,
        // `None` without a current trace, and once nothing more can be learnt.
        trace: Option<Trace>,
    }
}

impl<B> PropagatedBody<B> {
    pub(super) const fn new(body: B, trace: Option<Trace>) -> Self {
        Self { body, trace }
    }

    /// Returns the body of the client itself. What its trailers say is not noted then.
    pub fn into_inner(self) -> B {
        self.body
    }
}

impl<B: Body> Body for PropagatedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(context));
        let trailers = match &frame {
            Some(Ok(frame)) => frame.trailers_ref(),
            Some(Err(_)) | None => None,
        };
        if let Some(trailers) = trailers
            && let Some(trace) = this.trace.take_if(|_| says_kept(trailers))
        {
            trace.note_kept_downstream();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns an empty body, for layers above that answer requests themselves.
impl<B: Default> Default for PropagatedBody<B> {
    fn default() -> Self {
        Self::new(B::default(), None)
    }
}

impl<B> fmt::Debug for PropagatedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PropagatedBody").finish_non_exhaustive()
    }
}
