//! Futures that enter a trace, or a call, at every poll.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::store::chunk::CallRef;
use crate::store::trace::Trace;
use crate::write::call::Call;
use crate::write::context::Entered;
use crate::write::execution::Execution;
use crate::write::suspend::{self, Cancel};

pin_project! {
    /// A future whose every poll happens in a trace: see [`Trace::instrument`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Instrumented<F> {
        // Dropped first, while `within` is in the strand. An `Option` to be emptied would add a layer of
        // types around each future.
        #[pin]
        future: F,
        within: Within,
    }

    impl<F> PinnedDrop for Instrumented<F> {
        fn drop(this: Pin<&mut Self>) {
            this.project().within.begin_drop();
        }
    }
}

/// The execution in which a future is polled.
struct Within {
    /// While the future is being dropped.
    // Dropped first: see `Execution`.
    entered: Option<Entered>,
    execution: Execution,
    is_ready: bool,
}

impl Within {
    fn begin_drop(&mut self) {
        self.entered = self.execution.enter_to_drop(!self.is_ready);
    }
}

impl Trace {
    /// Wraps a future, which will be polled in this trace: it is a strand of its own, whichever threads
    /// poll it.
    ///
    /// Its calls have nothing of other tasks that run between its polls, even if a guard is held over an
    /// `.await`. If the future is dropped before it is ready, the calls open in it are
    /// [cancelled](crate::Outcome::Cancelled).
    ///
    /// Cost: that of [`inject`](Self::inject), and about that of two calls at each poll.
    ///
    /// ```
    /// use tracer::{Trace, call};
    ///
    /// let trace = Trace::new();
    /// let answer = trace.instrument(async {
    ///     let _call = call!();
    ///     tokio::task::yield_now().await;
    ///     42
    /// });
    /// let runtime = tokio::runtime::Runtime::new()?;
    /// assert_eq!(runtime.block_on(answer), 42);
    /// assert_eq!(trace.report().calls.len(), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn instrument<F: Future>(&self, future: F) -> Instrumented<F> {
        Instrumented {
            future,
            within: Within {
                entered: None,
                execution: Execution::begin(self),
                is_ready: false,
            },
        }
    }
}

impl<F> Instrumented<F> {
    /// Returns the trace in which the future is polled.
    pub fn trace(&self) -> &Trace {
        self.within.execution.trace()
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let within = this.within;
        let polled = within.execution.run(|| this.future.poll(context));
        within.is_ready |= polled.is_ready();
        polled
    }
}

impl<F> std::fmt::Debug for Instrumented<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instrumented")
            .field("trace", self.trace())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// A future with a call around it: see [`Call::instrument`].
    #[must_use = "futures do nothing unless polled"]
    pub struct InCall<F> {
        // Dropped first, while the call is open. `held` stops the call.
        #[pin]
        future: F,
        held: Held,
    }

    impl<F> PinnedDrop for InCall<F> {
        fn drop(this: Pin<&mut Self>) {
            this.project().held.begin_cancel();
        }
    }
}

/// A call that is open while its future is polled, and suspended in between.
#[doc(hidden)]
pub struct Held {
    call: Call,
    /// The innermost call open in the future when it was suspended, which may be this one. `None` while
    /// the future is polled.
    aside: Option<CallRef>,
    /// The future was polled on a thread that did not run the call's strand.
    astray: bool,
    /// While the future is being dropped before it is ready.
    cancel: Option<Cancel>,
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take()
            && let Some(call) = self.call.take()
        {
            cancel.finish(call);
        }
    }
}

impl Held {
    /// The caller polls the future at once, or suspends the call.
    pub(crate) const fn new(call: Call) -> Self {
        Self {
            call,
            aside: None,
            astray: false,
            cancel: None,
        }
    }

    /// Polls the future. If it is ready, calls `look` with its output before the call stops.
    #[inline]
    pub(crate) fn poll<T>(
        &mut self,
        poll: impl FnOnce() -> Poll<T>,
        look: impl FnOnce(&T, &Call),
    ) -> Poll<T> {
        self.take_up();
        let mut polling = Polling {
            held: self,
            returned: false,
        };
        let polled = poll();
        polling.returned = true;
        if let Poll::Ready(output) = &polled {
            let call = std::mem::replace(&mut polling.held.call, Call::none());
            look(output, &call);
        }
        polled
    }

    fn put_aside(&mut self) {
        if self.aside.is_none() {
            self.aside = self.call.recorded().and_then(suspend::rest);
        }
    }

    /// Cancels the call, unless it has been stopped.
    #[inline]
    pub(crate) fn begin_cancel(&mut self) {
        if let Some(call) = self.call.recorded() {
            self.take_up();
            self.cancel = Some(Cancel::begin(call));
        }
    }

    /// Suspends the call before the first poll: calls that are open within it are not the future's.
    pub(crate) fn begin_aside(&mut self) {
        self.aside = self.call.recorded().and_then(suspend::rest_alone);
    }

    #[inline]
    fn take_up(&mut self) {
        if let Some(innermost) = self.aside {
            self.resume(innermost);
        }
    }

    #[inline(never)]
    fn resume(&mut self, innermost: CallRef) {
        if let Some(call) = self.call.recorded() {
            if !suspend::resume(call, innermost) {
                self.astray = true;
                return;
            }
            self.aside = None;
            if self.astray {
                call.record.set_partial();
            }
        }
    }
}

/// Suspends the call when the poll has returned. If the poll panics, stops the call.
struct Polling<'a> {
    held: &'a mut Held,
    returned: bool,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        if self.returned {
            self.held.put_aside();
        } else {
            drop(std::mem::replace(&mut self.held.call, Call::none()));
        }
    }
}

impl<F: Future> Future for InCall<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.held.poll(|| this.future.poll(context), |_, _| ())
    }
}

impl<F> std::fmt::Debug for InCall<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InCall")
            .field("call", &self.held.call)
            .finish_non_exhaustive()
    }
}

impl Call {
    /// Wraps a future in this call: the call is open while the future is polled, from now until the
    /// future is ready or dropped.
    ///
    /// Work between the polls is neither in the call nor in the calls opened inside, so the branches of
    /// a `join!` have separate figures. Without a call around a branch, a plain guard that the branch
    /// holds over an `.await` includes the work of its siblings meanwhile. The call's time is that from
    /// now to the end; its busy time is that of the polls.
    ///
    /// [`#[traced]`](crate::traced) does this for an `async fn`.
    ///
    /// ```
    /// use tracer::{Trace, call};
    ///
    /// let trace = Trace::new();
    /// let both = trace.instrument(async {
    ///     let left = call!("left").instrument(async { tokio::task::yield_now().await });
    ///     let right = call!("right").instrument(async { tokio::task::yield_now().await });
    ///     tokio::join!(left, right)
    /// });
    /// let runtime = tokio::runtime::Runtime::new()?;
    /// runtime.block_on(both);
    /// assert!(trace.report().calls.iter().all(|call| call.parent.is_none()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn instrument<F: Future>(self, future: F) -> InCall<F> {
        let mut held = Held::new(self);
        held.begin_aside();
        InCall { future, held }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.call.fmt(f)
    }
}
