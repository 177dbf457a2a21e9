//! A future that ends its request when it ends.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::report::Outcome;
use crate::write::future::Instrumented;

use super::Recording;

pin_project! {
    /// Future that ends its request when it ends: see [`Recording::instrument`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Recorded<F> {
        // Dropped first, since what it does in its drop belongs to the request.
        #[pin]
        future: Instrumented<F>,
        recording: Option<Recording>,
        is_polled: bool,
    }

    impl<F> PinnedDrop for Recorded<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(recording) = this.recording {
                let outcome = if *this.is_polled {
                    Outcome::Panicked
                } else {
                    Outcome::Cancelled
                };
                recording.outcome.get_or_insert(outcome);
            }
        }
    }
}

impl<F: Future> Recorded<F> {
    pub(super) fn new(recording: Recording, future: F) -> Self {
        Self {
            future: recording.trace.instrument(future),
            recording: Some(recording),
            is_polled: false,
        }
    }
}

impl<F: Future> Future for Recorded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        *this.is_polled = true;
        let polled = this.future.poll(context);
        *this.is_polled = false;
        if polled.is_ready() {
            drop(this.recording.take());
        }
        polled
    }
}

impl<F> fmt::Debug for Recorded<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("recording", &self.recording)
            .finish_non_exhaustive()
    }
}
