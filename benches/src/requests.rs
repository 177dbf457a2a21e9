//! A request in each of the libraries: what is opened around the calls.

use std::time::Duration;

use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalParentGuard;
use tracer::{Call, Scope, Trace, call};
use tracing::span::EnteredSpan;

use crate::repeat::within;

/// `fastrace` has room for 10,240 commands of a thread, and a root span is three of them.
const PART: u64 = 3_000;

/// Lets `tracing` and `fastrace` record from now on, as little as they can: a bare `Registry` keeps
/// which spans are open, and a reporter drops everything.
///
/// What is to be measured without a subscriber comes before: a callsite that was ever wanted by one
/// takes a longer way.
pub fn record_elsewhere() {
    let registry = tracing_subscriber::registry();
    let first = tracing::subscriber::set_global_default(registry);
    assert!(first.is_ok(), "only one subscriber can be set");
    fastrace::set_reporter(Dropping, Config::default());
}

/// Takes what `fastrace` reports, and drops it.
struct Dropping;

impl Reporter for Dropping {
    fn report(&mut self, _: Vec<SpanRecord>) {}
}

/// In `tracer`; the scope holds the trace.
pub fn traced() -> Scope {
    Trace::new().inject()
}

/// In `tracer`, with a call that is open.
pub fn traced_call() -> (Call, Scope) {
    let scope = traced();
    (call!(), scope)
}

/// In `tracing`.
pub fn in_span() -> EnteredSpan {
    tracing::info_span!("request").entered()
}

/// In `fastrace`.
pub fn in_fastrace() -> (LocalParentGuard, fastrace::Span) {
    let root = fastrace::Span::root("request", SpanContext::random());
    (root.set_local_parent(), root)
}

/// Runs [within] requests of `fastrace`, [collected].
pub fn within_fastrace<R>(times: u64, size: u64, mut run: impl FnMut() -> R) -> Duration {
    collected(times, |times| within(times, size, in_fastrace, |_| run()))
}

/// Runs in parts such that the queue of `fastrace` has room for what they hand to its collector;
/// beyond that it would grow, and cost more. The collector has done its work when this ends, so
/// that it does not disturb the next rival; that is not timed.
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
