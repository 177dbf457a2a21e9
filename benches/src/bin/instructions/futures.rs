//! A call of an async function, from making the future to its end.

use fastrace::Span;
use fastrace::future::FutureExt;
use tracer::traced;
use tracer_benches::futures::{PendingOnce, in_tracing, run};
use tracer_benches::requests::{self, in_fastrace, in_span, record_elsewhere};

use crate::within;

/// Futures in one trace.
const FUTURES: u64 = 28;

#[traced]
async fn traced_ready() {}

#[traced]
async fn traced_pending() {
    PendingOnce::default().await;
}

#[expect(clippy::unused_async, reason = "the shortest future there is")]
async fn ready() {}

async fn pending() {
    PendingOnce::default().await;
}

pub(crate) fn ready_at_once() -> u64 {
    within(FUTURES, requests::traced, |_| run(traced_ready()))
}

pub(crate) fn pending_once() -> u64 {
    within(FUTURES, requests::traced, |_| run(traced_pending()))
}

pub(crate) fn ready_at_once_in_tracing() -> u64 {
    spans(|| run(in_tracing(ready(), tracing::info_span!("ready"))))
}

pub(crate) fn pending_once_in_tracing() -> u64 {
    spans(|| run(in_tracing(pending(), tracing::info_span!("pending"))))
}

pub(crate) fn ready_at_once_in_fastrace() -> u64 {
    fastrace_spans(|| run(ready().in_span(Span::enter_with_local_parent("ready"))))
}

pub(crate) fn pending_once_in_fastrace() -> u64 {
    fastrace_spans(|| run(pending().in_span(Span::enter_with_local_parent("pending"))))
}

fn spans(mut run: impl FnMut() -> u32) -> u64 {
    record_elsewhere();
    within(FUTURES, in_span, |_| run())
}

fn fastrace_spans(mut run: impl FnMut() -> u32) -> u64 {
    record_elsewhere();
    within(FUTURES, in_fastrace, |_| run())
}
