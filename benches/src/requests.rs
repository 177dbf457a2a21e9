//! A request in each of the libraries: the scope around its calls.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::http::Response;
use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalParentGuard;
use tower::Service;
use tracer::{Call, Scope, Trace, call};
use tracing::span::EnteredSpan;

use crate::repeat::within;

/// `fastrace` has room for 10,240 commands of a thread, and a root span takes three.
const PART: u64 = 3_000;

/// Makes `tracing` and `fastrace` record from now on, as little as possible: a bare `Registry` keeps
/// the open spans, and a reporter drops everything.
///
/// Measure rivals without a subscriber before this: a callsite that a subscriber was ever interested in
/// takes a longer path.
pub fn record_elsewhere() {
    let registry = tracing_subscriber::registry();
    let first = tracing::subscriber::set_global_default(registry);
    assert!(first.is_ok(), "only one subscriber can be set");
    fastrace::set_reporter(Dropping, Config::default());
}

/// A reporter for `fastrace` that drops everything.
struct Dropping;

impl Reporter for Dropping {
    fn report(&mut self, _: Vec<SpanRecord>) {}
}

/// A request in `tracer`. The scope holds the trace.
pub fn traced() -> Scope {
    Trace::new().inject()
}

/// A request in `tracer`, with an open call.
pub fn traced_call() -> (Call, Scope) {
    let scope = traced();
    (call!(), scope)
}

/// A request in `tracing`.
pub fn in_span() -> EnteredSpan {
    tracing::info_span!("request").entered()
}

/// A request in `fastrace`.
pub fn in_fastrace() -> (LocalParentGuard, fastrace::Span) {
    let root = fastrace::Span::root("request", SpanContext::random());
    (root.set_local_parent(), root)
}

/// Runs [within] requests of `fastrace`, [collected].
pub fn within_fastrace<R>(times: u64, size: u64, mut run: impl FnMut() -> R) -> Duration {
    collected(times, |times| within(times, size, in_fastrace, |_| run()))
}

/// Runs in parts that fit into the queue to `fastrace`'s collector. A queue that grows would cost more.
/// The collector has done its work when this returns, so that it does not disturb the next rival. Its
/// work is not timed.
pub fn collected(times: u64, mut run: impl FnMut(u64) -> Duration) -> Duration {
    let mut time = Duration::ZERO;
    let mut left = times;
    while left > 0 {
        let some = left.min(PART);
        time += run(some);
        fastrace::flush();
        left -= some;
    }
    time
}

/// Takes the whole response to a request, which waits for nothing. Returns the length of the body.
pub fn answer<S, R, B>(service: &mut S, request: R) -> usize
where
    S: Service<R, Response = Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes>,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut answer = pin!(service.call(request));
    let Poll::Ready(Ok(answer)) = answer.as_mut().poll(&mut context) else {
        unreachable!("it waits for nothing")
    };
    let mut body = pin!(answer.into_body());
    let mut length = 0;
    while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut context) {
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    length
}
