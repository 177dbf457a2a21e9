//! Takes the current trace along to other threads and tasks.

use crate::write::current::fetch;
use crate::write::future::Instrumented;

/// Wraps a closure, which will run in the trace that is current now, below the call that is open now:
/// on another thread, on a pool, or later on this one.
///
/// Each run is a [scope](crate::Trace::inject) of its own. What the closure owns is dropped in it. If
/// no trace is current, the closure runs as it is. Use [`each_in_current_trace`] for closures that run
/// more than once or take an argument, and [`.in_current_trace()`](InCurrentTrace::in_current_trace) for
/// futures.
///
/// Cost: that of [`fetch`](crate::fetch) now, and that of [`inject`](crate::Trace::inject) in the run.
///
/// ```
/// use tracer::{Trace, call, in_current_trace};
///
/// let trace = Trace::new();
/// let scope = trace.inject();
/// let resize = call!("resize");
/// let thread = std::thread::spawn(in_current_trace(|| {
///     let _call = call!("decode");
///     42
/// }));
/// assert_eq!(thread.join().unwrap(), 42);
/// drop(resize);
/// drop(scope);
/// let decode = &trace.report().calls[1];
/// assert_eq!((decode.id.as_deref(), decode.parent), (Some("decode"), Some(0)));
/// ```
#[doc(alias = "in_current_span")]
pub fn in_current_trace<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let trace = fetch();
    move || {
        let _scope = trace.inject();
        work()
    }
}

/// Wraps a closure that takes an argument and may run more than once, on several threads at once: each
/// run will be in the trace that is current now, below the call that is open now.
///
/// Each run is a [scope](crate::Trace::inject) of its own, of which a trace records 1,000 one by one by
/// [default](crate::Limits::strands). So for many small items wrap the work on a chunk of them. A
/// closure without an argument takes `|()|`. The compiler needs the type of a borrowed argument, as in the example.
///
/// Cost: that of [`fetch`](crate::fetch) now, and that of [`inject`](crate::Trace::inject) in each run.
///
/// ```
/// use rayon::prelude::*;
/// use tracer::{Trace, call, each_in_current_trace};
///
/// let trace = Trace::new();
/// let scope = trace.inject();
/// let sum = call!("sum");
/// let chunks = [1, 2, 3, 4, 5, 6];
/// let chunks = chunks.par_chunks(2).map(each_in_current_trace(|chunk: &[i32]| {
///     let _call = call!("chunk");
///     chunk.iter().sum::<i32>()
/// }));
/// assert_eq!(chunks.sum::<i32>(), 21);
/// drop(sum);
/// drop(scope);
/// assert!(trace.report().calls[1..].iter().all(|chunk| chunk.parent == Some(0)));
/// ```
pub fn each_in_current_trace<A, T>(work: impl Fn(A) -> T) -> impl Fn(A) -> T {
    let trace = fetch();
    move |argument| {
        let _scope = trace.inject();
        work(argument)
    }
}

/// Futures that take the current trace along: for any executor, as it needs none.
#[doc(alias = "in_current_span")]
pub trait InCurrentTrace: Future + Sized {
    /// Wraps the future, which will be polled in the trace that is current now, below the call that is
    /// open now: see [`Trace::instrument`](crate::Trace::instrument). If no trace is current, it is polled
    /// as it is.
    ///
    /// ```
    /// use tracer::{InCurrentTrace, Trace, call};
    ///
    /// async fn resize() {
    ///     let _call = call!();
    ///     tokio::task::yield_now().await;
    /// }
    ///
    /// async fn handle() {
    ///     let _call = call!();
    ///     tokio::spawn(resize().in_current_trace()).await.unwrap();
    /// }
    ///
    /// let trace = Trace::new();
    /// tokio::runtime::Runtime::new()?.block_on(trace.instrument(handle()));
    /// assert_eq!(trace.report().calls[1].parent, Some(0));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn in_current_trace(self) -> Instrumented<Self> {
        fetch().instrument(self)
    }
}

impl<F: Future> InCurrentTrace for F {}
