//! Spans on several threads.

use rayon::prelude::*;
use tracer::Trace;
use tracing::{Span, info_span};

use crate::{allocate, recorded_by, subscriber, tree};

#[test]
fn a_plain_thread_is_below_the_parent_span() {
    let dispatch = tracing::Dispatch::new(subscriber());
    let trace = Trace::new();
    tracing::dispatcher::with_default(&dispatch, || {
        let _scope = trace.inject();
        let parent = info_span!("parent").entered();
        let parent = parent.clone();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    let _child = info_span!(parent: &parent, "child").entered();
                    drop(allocate(1));
                    let _inner = info_span!("inner").entered();
                    drop(allocate(1));
                });
            });
        });
    });
    let report = trace.report();
    println!("{report:#}");
    assert!(
        tree(&report).contains("  child 2\n    inner 1\n"),
        "{}",
        tree(&report)
    );
    assert!(report.calls.iter().all(|call| !call.partial));
}

#[test]
fn one_span_on_several_threads_at_once() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .build()
        .unwrap();
    let dispatch = tracing::Dispatch::new(subscriber());
    let report = recorded_by(tracing::subscriber::NoSubscriber::default(), || {
        tracing::dispatcher::with_default(&dispatch, || {
            let span = info_span!("outer").entered();
            let shared = info_span!("shared");
            pool.install(|| {
                (0..40).into_par_iter().for_each(|_| {
                    tracing::dispatcher::with_default(&dispatch, || {
                        shared.in_scope(|| drop(allocate(3)));
                    });
                });
            });
            drop(span);
        });
    });
    println!("{report:#}");
    let shared: Vec<_> = report
        .calls
        .iter()
        .filter(|call| call.name == "shared")
        .collect();
    assert!((1..=4).contains(&shared.len()));
    let allocations: u64 = shared
        .iter()
        .map(|call| call.total.unwrap().allocations)
        .sum();
    assert_eq!(allocations, 40);
    assert!(
        shared
            .iter()
            .all(|call| call.parent == Some(0) && !call.partial)
    );
}

#[test]
fn a_span_closed_elsewhere_is_exact() {
    let dispatch = tracing::Dispatch::new(subscriber());
    let trace = Trace::new();
    tracing::dispatcher::with_default(&dispatch, || {
        let _scope = trace.inject();
        let span: Span = info_span!("span");
        span.in_scope(|| drop(allocate(1)));
        std::thread::scope(|scope| {
            scope.spawn(move || drop(span));
        });
        drop(allocate(1));
        assert_eq!(tree(&trace.report()), "span 1\n");
    });
}
