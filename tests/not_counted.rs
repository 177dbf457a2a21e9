//! A program without the `Counting` allocator: nothing is counted, and reports say so.

#[path = "common/boxes.rs"]
mod boxes;
mod common;
#[path = "common/lines.rs"]
mod lines;

use std::time::Duration;

use common::allocate;
use lines::calls;
use tracer::alloc::{Budget, measure};
use tracer::{Trace, call};
use tracing_subscriber::layer::SubscriberExt;

#[test]
fn no_route_is_armed() {
    let recorder = tracer::recorder::Recorder::builder().start().unwrap();
    assert!(!recorder.arm("job"));
    recorder.record("job", || allocate(1));
    assert_eq!(recorder.routes()[0].armed, None);
}

#[test]
fn metrics_have_no_allocations() {
    let recorder = tracer::recorder::Recorder::builder().start().unwrap();
    recorder.record("job", || allocate(1));
    let text = tracer::metrics::encode(&recorder);
    assert!(text.contains("tracer_request_duration_seconds_count{route=\"job\"} 1\n"));
    for absent in ["_allocat", "_live_", "_freed_"] {
        assert!(!text.contains(absent), "{text}");
    }
}

#[test]
fn figures_that_are_not_counted_are_none() {
    let trace = Trace::new();
    let scope = trace.inject();
    let outer = call!("outer");
    allocate(1);
    outer.checkpoint("checkpoint");
    let measured = measure(|| {
        let _inner = call!("inner");
        allocate(1);
    });
    outer.stop();
    drop(scope);
    assert_eq!((measured.counts, measured.peak_bytes), (None, None));
    assert_eq!(
        calls(&trace),
        [
            "outer in -: not counted, not counted, Ok",
            "inner in outer: not counted, not counted, Ok",
        ]
    );
    let mut report = trace.report();
    assert_eq!(report.total, None);
    report.trace = 7;
    report.elapsed = Duration::from_micros(3);
    for call in &mut report.calls {
        assert_eq!(
            (call.total, call.self_counts, call.peak_bytes),
            (None, None, None)
        );
        (call.wall, call.busy) = (Duration::from_micros(2), Duration::from_micros(1));
        call.name = "f".into();
        call.thread.number = 1;
        call.thread.name = None;
        for point in &mut call.checkpoints {
            assert_eq!(point.counts, None);
            (point.at, point.wall) = (Duration::ZERO, Duration::from_micros(1));
        }
    }
    assert_eq!(
        report.to_string(),
        "\
allocates at call stack: 0, detailed call stack:
\tcall f [outer]: 2µs, allocates: n/a
\t\tcheckpoint [checkpoint]: 1µs
\tcall f [inner]: 2µs, allocates: n/a"
    );
    assert_eq!(
        format!("{report:#}"),
        "\
trace 7: 3.00 µs, allocates n/a (n/a bytes)
   wall     busy  allocates  self-allocs  bytes  self-bytes  peak  call
2.00 µs  1.00 µs        n/a          n/a    n/a         n/a   n/a  f [outer] @ thread #1
1.00 µs                 n/a                 n/a                    ├─ · checkpoint
2.00 µs  1.00 µs        n/a          n/a    n/a         n/a   n/a  └─ f [inner]
calls recorded: 2, memory: 4,096 bytes"
    );
}

#[cfg(feature = "macros")]
#[test]
fn a_budget_that_can_not_be_checked_fails_a_test_but_no_service() {
    use tracer::budget::{OnExceeded, exceeded, on_exceeded};

    #[tracer::budget(allocations <= 1)]
    fn limited() -> u8 {
        allocate(2);
        7
    }
    on_exceeded(OnExceeded::Mark);
    assert_eq!((limited(), exceeded()), (7, 0));
    on_exceeded(OnExceeded::Panic);
    let refused = std::panic::catch_unwind(limited).unwrap_err();
    let message = refused.downcast_ref::<String>().unwrap();
    assert!(
        message.starts_with("limited: allocation budget at tests/not_counted.rs:"),
        "{message}"
    );
    assert!(
        message.contains("can't be checked: nothing is counted on this thread"),
        "{message}"
    );
}

#[test]
fn an_assertion_that_can_not_be_checked_fails() {
    let failure = Budget::new().check(|| allocate(2)).unwrap_err();
    assert_eq!((failure.counts(), failure.peak_bytes()), (None, None));
    let text = failure.to_string();
    let end = "can't be checked: nothing is counted on this thread \
        (is `#[global_allocator] static A: Counting = Counting::system();` there?)";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn the_memory_of_a_wrapped_subscriber_is_none() {
    let registry = tracing_subscriber::registry();
    let subscriber = registry.with(tracer::tracing::layer());
    let trace = Trace::new();
    let scope = trace.inject();
    tracing::subscriber::with_default(tracer::tracing::subscriber(subscriber), || {
        tracing::info_span!("span").in_scope(|| allocate(1));
    });
    drop(scope);
    let report = trace.report();
    assert_eq!(report.subscriber, None);
    assert_eq!(calls(&trace), ["span in -: not counted, not counted, Ok"]);
}

#[test]
fn spans_in_any_order_are_not_partial() {
    let subscriber = tracing_subscriber::registry().with(tracer::tracing::layer());
    let trace = Trace::new();
    tracing::subscriber::with_default(subscriber, || {
        let scope = trace.inject();
        let outer = tracing::info_span!("outer");
        let entered = outer.enter();
        let inner = tracing::info_span!("inner").entered();
        drop(entered);
        drop(inner);
        outer.in_scope(|| allocate(1));
        let span = tracing::info_span!("apart");
        drop((outer, scope));
        span.in_scope(|| allocate(1));
        span.in_scope(|| tracing::info!("event"));
    });
    assert_eq!(
        calls(&trace),
        [
            "outer in -: not counted, not counted, Ok",
            "inner in outer: not counted, not counted, Ok",
            "apart in -: not counted, not counted, Ok",
        ]
    );
}

#[test]
fn sites_that_are_not_recorded_are_none() {
    let trace = Trace::builder()
        .sites(tracer::alloc::Sites::exact())
        .build();
    let scope = trace.inject();
    let call = call!();
    allocate(1);
    call.stop();
    drop(scope);
    let report = trace.report().resolved();
    assert_eq!(report.calls[0].sites, None);
    assert_eq!((report.sites, report.sites_not_recorded), (None, None));
}
