//! Spans entered and left in any order, and held as long as anyone likes.

use tracer::{Trace, call, traced};
use tracing::subscriber::with_default;
use tracing::{info_span, instrument};

use crate::{allocate, recorded, subscriber, tree};

#[test]
fn entered_again_while_entered() {
    let report = recorded(|| {
        let span = info_span!("span");
        let first = span.enter();
        let second = span.enter();
        drop(allocate(1));
        drop(first);
        drop(allocate(1));
        drop(second);
        drop(allocate(1));
    });
    assert_eq!(tree(&report), "span 2\n");
}

#[test]
fn left_out_of_order() {
    let report = recorded(|| {
        let (outer, inner) = (info_span!("outer"), info_span!("inner"));
        let first = outer.enter();
        drop(allocate(1));
        let second = inner.enter();
        drop(allocate(1));
        drop(first);
        drop(allocate(1));
        drop(second);
    });
    println!("{report:#}");
    let shown = tree(&report);
    assert!(shown.contains("outer 2"), "{shown}");
    assert!(shown.contains("inner 2"), "{shown}");
}

#[test]
fn a_span_that_is_never_entered_is_no_call() {
    let report = recorded(|| drop(info_span!("span")));
    assert_eq!(tree(&report), "");
}

#[test]
fn entered_twice_it_is_one_call_without_what_is_between() {
    let report = recorded(|| {
        let span = info_span!("span");
        span.in_scope(|| drop(allocate(1)));
        drop(allocate(1));
        span.in_scope(|| drop(allocate(1)));
    });
    assert_eq!(tree(&report), "span 2\n");
}

#[test]
fn a_clone_that_lives_on_does_not_keep_it_running() {
    let trace = Trace::new();
    with_default(subscriber(), || {
        let scope = trace.inject();
        let span = info_span!("span");
        span.in_scope(|| drop(allocate(1)));
        drop(scope);
        assert_eq!(tree(&trace.report()), "span 1\n");
        drop(span);
        assert_eq!(tree(&trace.report()), "span 1\n");
    });
}

#[test]
fn in_flight_it_is_running_between_entries() {
    let trace = Trace::new();
    with_default(subscriber(), || {
        let _scope = trace.inject();
        let span = info_span!("span");
        span.in_scope(|| drop(allocate(1)));
        assert_eq!(tree(&trace.report()), "span 1 running\n");
    });
}

#[test]
fn spans_outlive_their_trace() {
    with_default(subscriber(), || {
        let trace = Trace::new();
        let scope = trace.inject();
        let span = info_span!("span");
        let entered = span.enter();
        drop(scope);
        drop(trace);
        drop(entered);
        let other = Trace::new();
        let scope = other.inject();
        span.in_scope(|| drop(allocate(1)));
        drop(scope);
        assert_eq!(tree(&other.report()), "span 1\n");
    });
}

#[test]
fn a_span_made_outside_is_a_call_in_each_trace() {
    with_default(subscriber(), || {
        let span = info_span!("span");
        for _ in 0..2 {
            let trace = Trace::new();
            let scope = trace.inject();
            span.in_scope(|| drop(allocate(1)));
            span.in_scope(|| drop(allocate(1)));
            drop(scope);
            assert_eq!(tree(&trace.report()), "span 1\nspan 1\n");
        }
    });
}

#[instrument]
fn span() {
    call();
}

#[traced]
fn call() {
    let _call = call!("guard");
    inner();
}

#[instrument]
fn inner() {
    drop(allocate(1));
}

#[test]
fn spans_and_calls_nest() {
    let report = recorded(|| {
        let _outer = call!("outer");
        span();
    });
    let names: Vec<_> = report
        .calls
        .iter()
        .map(|call| (&*call.name, call.parent))
        .collect();
    assert_eq!(
        names[1..].iter().map(|call| call.1).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(2), Some(3)]
    );
    assert_eq!(
        (names[1].0, names[2].0, names[4].0),
        ("span", "call", "inner")
    );
}
