//! The cost of tracing a future: an async function, ready at once or pending once, and a poll.
//!
//! The futures are polled by hand, with a waker that does nothing. A runtime would add the same to all
//! rivals. As in `call.rs`, requests are renewed outside of the timed part, and the floor of a timed
//! call is two clock reads. A traced future also reads the clock when it is suspended and resumed.

use std::future::pending;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Waker};

use fastrace::Span;
use fastrace::collector::SpanContext;
use fastrace::future::FutureExt;
use tracer::{Counting, Trace, traced};
use tracer_benches::futures::{PendingOnce, in_tracing, run};
use tracer_benches::requests::{self, collected, in_span, within_fastrace};
use tracer_benches::{Race, within};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// The number of futures in a request, and of polls of one future.
const FUTURES: u64 = 28;
const POLLS: u64 = 1_000;

fn main() {
    with_no_trace();
    requests::record_elsewhere();

    ready_at_once();
    pending_once();
    a_poll();
}

#[expect(
    clippy::unused_async,
    reason = "the shortest one there is, to be compared with"
)]
async fn bare_ready() {}

#[traced]
async fn traced_ready() {}

async fn bare_pending_once() {
    PendingOnce::default().await;
}

#[traced]
async fn traced_pending_once() {
    PendingOnce::default().await;
}

#[traced]
async fn traced_pending() {
    pending::<()>().await;
}

/// The cost of disabled instrumentation, beside the same future without any.
fn with_no_trace() {
    Race::new("an async fn that is ready at once, with no trace")
        .rival("bare", || run(bare_ready()))
        .rival("traced", || run(traced_ready()))
        .rival("tracing span, no subscriber", || {
            run(in_tracing(bare_ready(), tracing::info_span!("ready")))
        })
        .rival("fastrace span, no parent", || {
            run(bare_ready().in_span(Span::enter_with_local_parent("ready")))
        })
        .run();
    Race::new("an async fn that is pending once, with no trace")
        .rival("bare", || run(bare_pending_once()))
        .rival("traced", || run(traced_pending_once()))
        .rival("tracing span, no subscriber", || {
            run(in_tracing(
                bare_pending_once(),
                tracing::info_span!("pending"),
            ))
        })
        .rival("fastrace span, no parent", || {
            run(bare_pending_once().in_span(Span::enter_with_local_parent("pending")))
        })
        .run();
    Race::new("a poll, with no trace")
        .within("bare", POLLS, || Box::pin(pending::<()>()), poll)
        .within(
            "instrumented with an empty trace",
            POLLS,
            || Box::pin(Trace::empty().instrument(pending::<()>())),
            poll,
        )
        .within("traced", POLLS, || Box::pin(traced_pending()), poll)
        .within(
            "tracing span, no subscriber",
            POLLS,
            || Box::pin(in_tracing(pending::<()>(), tracing::info_span!("pending"))),
            poll,
        )
        .within(
            "fastrace span, no parent",
            POLLS,
            || Box::pin(pending::<()>().in_span(Span::noop())),
            poll,
        )
        .run();
}

/// One poll.
fn ready_at_once() {
    let clock = quanta::Clock::new();
    Race::new("an async fn that is ready at once")
        .within(
            "two bare clock reads",
            FUTURES,
            || (),
            |()| {
                black_box(clock.raw());
                run(bare_ready());
                clock.raw()
            },
        )
        .within("traced", FUTURES, requests::traced, |_| run(traced_ready()))
        .within("tracing span, bare Registry", FUTURES, in_span, |_| {
            run(in_tracing(bare_ready(), tracing::info_span!("ready")))
        })
        .timed("fastrace span", |times| {
            within_fastrace(times, FUTURES, || {
                run(bare_ready().in_span(Span::enter_with_local_parent("ready")))
            })
        })
        .run();
}

/// Two polls: four clock reads, if the time between them is separated as `tracer` does. `fastrace` has
/// a child span for each poll.
fn pending_once() {
    let clock = quanta::Clock::new();
    Race::new("an async fn that is pending once")
        .within(
            "four bare clock reads",
            FUTURES,
            || (),
            |()| {
                for _ in 0..4 {
                    black_box(clock.raw());
                }
                run(bare_pending_once());
            },
        )
        .within("traced", FUTURES, requests::traced, |_| {
            run(traced_pending_once())
        })
        .within("tracing span, bare Registry", FUTURES, in_span, |_| {
            run(in_tracing(
                bare_pending_once(),
                tracing::info_span!("pending"),
            ))
        })
        .timed("fastrace span", |times| {
            within_fastrace(times, FUTURES, || {
                run(bare_pending_once().in_span(Span::enter_with_local_parent("pending")))
            })
        })
        .run();
}

/// A poll that does nothing, which is the cost of each wake-up of a long request. The future is renewed
/// every thousand polls, outside of the timed part.
fn a_poll() {
    let clock = quanta::Clock::new();
    Race::new("a poll that stays pending")
        .within(
            "two bare clock reads",
            POLLS,
            || Box::pin(pending::<()>()),
            |future| {
                black_box(clock.raw());
                poll(future);
                clock.raw()
            },
        )
        .within(
            "instrumented with a trace",
            POLLS,
            || Box::pin(Trace::new().instrument(pending::<()>())),
            poll,
        )
        .within(
            "the same with a traced async fn inside",
            POLLS,
            || Box::pin(Trace::new().instrument(traced_pending())),
            poll,
        )
        .within(
            "tracing span, bare Registry",
            POLLS,
            || Box::pin(in_tracing(pending::<()>(), tracing::info_span!("request"))),
            poll,
        )
        .timed("fastrace span", |times| {
            let open =
                || Box::pin(pending::<()>().in_span(Span::root("request", SpanContext::random())));
            collected(times, |times| within(times, POLLS, open, poll))
        })
        .run();
}

fn poll(future: &mut Pin<Box<impl Future<Output = ()>>>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    black_box(future).as_mut().poll(&mut context).is_pending()
}
