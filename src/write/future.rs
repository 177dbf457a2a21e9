//! Futures that enter a trace, or a call, at every poll.

use std::fmt::{Debug, Display};
use std::marker::PhantomData;
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
    const fn new(call: Call) -> Self {
        Self {
            call,
            aside: None,
            astray: false,
            cancel: None,
        }
    }

    /// Polls the future. If it is ready, calls `look` with its output before the call stops.
    #[inline]
    fn poll<T>(&mut self, poll: impl FnOnce() -> Poll<T>, look: impl FnOnce(&T, &Call)) -> Poll<T> {
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

    fn begin_cancel(&mut self) {
        self.take_up();
        self.cancel = self.call.recorded().map(Cancel::begin);
    }

    /// Suspends the call before the first poll: calls that are open within it are not the future's.
    fn begin_aside(&mut self) {
        self.aside = self.call.recorded().and_then(suspend::rest_alone);
    }

    fn take_up(&mut self) {
        if let (Some(call), Some(innermost)) = (self.call.recorded(), self.aside) {
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
    /// What happens between the polls is not in the call, and not in the calls opened inside, so the
    /// branches of a `join!` are told apart. Without a call around a branch, a plain guard that the branch
    /// holds over an `.await` includes what its siblings do meanwhile. The call's time is that from now
    /// to the end; its busy time is that of the polls.
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

/// For `#[traced]`: holds a call for a future that is polled at once, so that it need not be suspended.
///
/// The call and the future are variables of the function, the call the older one, so that it is dropped
/// last. If the future were a part of [`InCall`], the function's type would have one more layer. The
/// compiler descends through the layers to find out whether the function's future is `Send`, and stops
/// with an error at 128.
#[doc(hidden)]
pub const fn hold(call: Call) -> Held {
    Held::new(call)
}

/// For `#[traced]`: polls a future in its call.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Traced<'a, F, L> {
    future: F,
    held: &'a mut Held,
    look: PhantomData<L>,
}

/// What a future's output says about its call.
#[doc(hidden)]
pub trait Look<T> {
    fn look(output: &T, call: &Call);
}

#[doc(hidden)]
#[derive(Debug)]
pub struct AtNothing;

impl<T> Look<T> for AtNothing {
    #[inline]
    fn look(_: &T, _: &Call) {}
}

/// Marks the call as failed if the output is an error, with the error's `Display` as message.
#[doc(hidden)]
#[derive(Debug)]
pub struct AtError;

impl<T, E: Display> Look<Result<T, E>> for AtError {
    #[inline]
    fn look(result: &Result<T, E>, call: &Call) {
        if let Err(error) = result {
            call.fail(error);
        }
    }
}

/// Marks the call as failed if the output is an error, with the error's `Debug` as message.
#[doc(hidden)]
#[derive(Debug)]
pub struct AtErrorDebug;

impl<T, E: Debug> Look<Result<T, E>> for AtErrorDebug {
    #[inline]
    fn look(result: &Result<T, E>, call: &Call) {
        if let Err(error) = result {
            call.fail(&format_args!("{error:?}"));
        }
    }
}

const fn poll_in<F, L>(held: &mut Held, future: F) -> Traced<'_, F, L> {
    Traced {
        future,
        held,
        look: PhantomData,
    }
}

/// For `#[traced]`.
#[doc(hidden)]
pub fn traced<F: Future + Unpin>(held: &mut Held, future: F) -> Traced<'_, F, AtNothing> {
    poll_in(held, future)
}

/// For `#[traced(err)]`.
#[doc(hidden)]
pub fn traced_err<F, T, E>(held: &mut Held, future: F) -> Traced<'_, F, AtError>
where
    F: Future<Output = Result<T, E>> + Unpin,
    E: Display,
{
    poll_in(held, future)
}

/// For `#[traced(err(Debug))]`.
#[doc(hidden)]
pub fn traced_err_debug<F, T, E>(held: &mut Held, future: F) -> Traced<'_, F, AtErrorDebug>
where
    F: Future<Output = Result<T, E>> + Unpin,
    E: Debug,
{
    poll_in(held, future)
}

impl<F: Future + Unpin, L: Look<F::Output> + Unpin> Future for Traced<'_, F, L> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let future = Pin::new(&mut this.future);
        this.held.poll(|| future.poll(context), L::look)
    }
}

impl<F, L> Drop for Traced<'_, F, L> {
    /// Runs before the function's future is dropped.
    fn drop(&mut self) {
        self.held.begin_cancel();
    }
}
