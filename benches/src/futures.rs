//! Futures, polled by hand with a waker that does nothing. A runtime would add the same to all rivals.

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// A future that is ready at the second poll.
#[derive(Debug, Default)]
#[must_use = "futures do nothing unless polled"]
pub struct PendingOnce(bool);

impl Future for PendingOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Polls until the future is ready, and returns the number of polls.
pub fn run(future: impl Future<Output = ()>) -> u32 {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let mut polls = 1;
    while black_box(&mut future)
        .as_mut()
        .poll(&mut context)
        .is_pending()
    {
        polls += 1;
    }
    polls
}

/// Puts a future into a span of `tracing`. The imported method would hide that of `Trace`.
pub fn in_tracing<F>(future: F, span: tracing::Span) -> tracing::instrument::Instrumented<F> {
    tracing::Instrument::instrument(future, span)
}
