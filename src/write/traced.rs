//! The expansion of `#[traced]`: the code around a function's body or its future.

use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::write::call::Call;
use crate::write::future::Held;

/// For `#[traced(err)]` on a function that is not async: marks the call as failed if the body returns an
/// error.
#[doc(hidden)]
pub fn run_err<T, E: Display>(call: Call, body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let result = body();
    if let Err(error) = &result {
        call.fail(error);
    }
    drop(call);
    result
}

/// For `#[traced(err(Debug))]` on a function that is not async.
#[doc(hidden)]
pub fn run_err_debug<T, E: Debug>(call: Call, body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let result = body();
    if let Err(error) = &result {
        call.fail(&format_args!("{error:?}"));
    }
    drop(call);
    result
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

/// A look at a future's output, which may mark its call as failed.
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

/// For `#[traced]`: polls a future in its call.
#[doc(hidden)]
pub fn traced<F: Future + Unpin>(held: &mut Held, future: F) -> Traced<'_, F, AtNothing> {
    poll_in(held, future)
}

/// For `#[traced(err)]`: also looks at the output.
#[doc(hidden)]
pub fn traced_err<F, T, E>(held: &mut Held, future: F) -> Traced<'_, F, AtError>
where
    F: Future<Output = Result<T, E>> + Unpin,
    E: Display,
{
    poll_in(held, future)
}

/// For `#[traced(err(Debug))]`: also looks at the output.
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
