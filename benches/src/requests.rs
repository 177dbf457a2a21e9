//! A request in each of the libraries: what is opened around the calls.

use std::time::Duration;

use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalParentGuard;
use tracer::{Call, Scope, Trace, call};
use tracing::span::EnteredSpan;

use crate::repeat::within;

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

/// Runs [within](crate::within) requests of `fastrace`. What they hand to its collector is done
/// when this ends, so that it does not disturb the next rival; it is not timed.
pub fn within_fastrace<R>(times: u64, size: u64, mut run: impl FnMut() -> R) -> Duration {
    let time = within(times, size, in_fastrace, |_| run());
    fastrace::flush();
    time
}
