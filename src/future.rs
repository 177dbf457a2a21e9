//! Futures that enter a trace, or a call, at every poll.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::call::Call;
use crate::chunk::CallRef;
use crate::context::Entered;
use crate::pool::Member;
use crate::rest;
use crate::strand::Strand;
use crate::trace::Trace;

pin_project! {
    /// A future whose every poll happens in a trace: see [`Trace::instrument`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Instrumented<F> {
        #[pin]
        future: Option<F>,
        strand: Option<&'static Member<Strand>>,
        ready: bool,
        trace: Trace,
    }

    impl<F> PinnedDrop for Instrumented<F> {
        fn drop(this: Pin<&mut Self>) {
            // The future's guards are dropped with it: where they belong.
            let mut this = this.project();
            let entered = this.strand.map(Entered::new);
            if let (Some(strand), false) = (*this.strand, *this.ready) {
                strand.cancelling.begin();
            }
            this.future.set(None);
            if let Some(entered) = entered {
                entered.finish(this.trace);
            }
        }
    }
}

impl Trace {
    /// A future that is polled in this trace: a strand of its own, whichever threads poll it.
    ///
    /// Time and allocations of other tasks between its polls are not in its calls, not even in
    /// those whose guards are held over an `.await`. Where it is dropped before it is ready, the
    /// calls open in it are [cancelled](crate::Outcome::Cancelled).
    ///
    /// Cost: what [`inject`](Self::inject) costs, and about two calls' at each poll.
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
            future: Some(future),
            strand: self.new_strand(),
            ready: false,
            trace: self.clone(),
        }
    }
}

impl<F> Instrumented<F> {
    /// The trace in which the future is polled.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let entered = this.strand.map(Entered::new);
        // There until the drop.
        let Some(future) = this.future.as_pin_mut() else {
            return Poll::Pending;
        };
        let polled = future.poll(context);
        *this.ready |= polled.is_ready();
        drop(entered);
        polled
    }
}

impl<F> std::fmt::Debug for Instrumented<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instrumented")
            .field("trace", &self.trace)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// A future that a call is around: see [`Call::instrument`].
    #[must_use = "futures do nothing unless polled"]
    pub struct InCall<F: Future> {
        #[pin]
        future: Option<F>,
        held: Held,
        // Looks at what the future has become, before the call stops.
        look: fn(&F::Output, &Call),
    }

    impl<F: Future> PinnedDrop for InCall<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.held.take_up();
            match this.held.call.take() {
                Some(call) => rest::cancel(call, || this.future.set(None)),
                None => this.future.set(None),
            }
        }
    }
}

/// A call that is open while its future is polled.
struct Held {
    call: Call,
    /// The innermost call open in the future when it was put aside, which may be this one; none
    /// while it is polled.
    aside: Option<CallRef>,
    /// The future was polled where the call's strand did not run.
    astray: bool,
}

impl Held {
    fn put_aside(&mut self) {
        if self.aside.is_none() {
            self.aside = self.call.recorded().and_then(rest::rest);
        }
    }

    /// Before the first poll: what is open within the call is not of the future.
    fn begin_aside(&mut self) {
        self.aside = self.call.recorded().and_then(rest::rest_alone);
    }

    fn take_up(&mut self) {
        if let (Some(call), Some(innermost)) = (self.call.recorded(), self.aside) {
            if !rest::resume(call, innermost) {
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

/// Puts the call aside in the end; where a panic comes through the poll, stops it.
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
        // There until the drop.
        let Some(future) = this.future.as_pin_mut() else {
            return Poll::Pending;
        };
        this.held.take_up();
        let mut polling = Polling {
            held: this.held,
            returned: false,
        };
        let polled = future.poll(context);
        polling.returned = true;
        if let Poll::Ready(output) = &polled {
            let call = std::mem::replace(&mut polling.held.call, Call::none());
            (this.look)(output, &call);
        }
        polled
    }
}

impl<F: Future> std::fmt::Debug for InCall<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InCall")
            .field("call", &self.held.call)
            .finish_non_exhaustive()
    }
}

impl Call {
    /// A future that this call is around: open while the future is polled, from now on until it is
    /// ready or dropped.
    ///
    /// What happens between its polls is not in the call, nor in those opened inside: so the
    /// branches of a `join!` are told apart. (A plain guard that is held over an `.await` in one
    /// branch includes what its siblings do in the meantime, where no call is around the branch.)
    /// The call's time is that from now to the end; its busy time is that of the polls.
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
        let mut in_call = around(self, future, |_, _| ());
        in_call.held.begin_aside();
        in_call
    }
}

/// The future is polled at once or the call put aside.
fn around<F: Future>(call: Call, future: F, look: fn(&F::Output, &Call)) -> InCall<F> {
    InCall {
        future: Some(future),
        held: Held {
            call,
            aside: None,
            astray: false,
        },
        look,
    }
}

/// For `#[traced]`: a future to be polled at once, so that its call need not be put aside.
#[doc(hidden)]
pub fn traced<F: Future>(call: Call, future: F) -> InCall<F> {
    around(call, future, |_, _| ())
}

/// For `#[traced(err)]`: the same; an error makes the call a failed one.
#[doc(hidden)]
pub fn traced_err<F, T, E>(call: Call, future: F) -> InCall<F>
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Display,
{
    around(call, future, |result, call| {
        if let Err(error) = result {
            call.fail(error);
        }
    })
}

/// For `#[traced(err(Debug))]` on a future.
#[doc(hidden)]
pub fn traced_err_debug<F, T, E>(call: Call, future: F) -> InCall<F>
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Debug,
{
    around(call, future, |result, call| {
        if let Err(error) = result {
            call.fail(&format_args!("{error:?}"));
        }
    })
}
