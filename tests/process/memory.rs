//! The tracer's own memory is bounded by the highest load seen.

use tracer::propagation::TraceContext;
use tracer::{Trace, call, memory};

/// Records `requests` requests at once, each of 40 calls.
fn at_once(requests: usize) {
    let traces: Vec<_> = (0..requests)
        .map(|_| {
            let trace = Trace::new();
            let scope = trace.inject();
            (0..40).for_each(|_| call!().stop());
            (trace, scope)
        })
        .collect();
    drop(traces);
}

pub(crate) fn memory_is_bounded_by_the_highest_load() {
    at_once(1);
    let one = memory();
    (0..100).for_each(|_| at_once(1));
    assert_eq!(memory(), one);

    at_once(1000);
    let thousand = memory();
    let held = thousand.held_bytes - one.held_bytes;
    // At least two pages for each request's records.
    assert!(held > 999 * 2 * 4096, "{held}");
    // And the name of whoever follows the trace's blocks.
    let of_tests = if cfg!(feature = "blocks") { 8 } else { 0 };
    assert!(held < 999 * (2 * 4096 + 1536 + of_tests), "{held}");
    let own = thousand.overhead.unwrap() - one.overhead.unwrap();
    assert_eq!(own.net_bytes(), i64::try_from(held).unwrap());

    (0..10).for_each(|_| at_once(1000));
    (0..1000).for_each(|_| at_once(1));
    assert_eq!(memory(), thousand);
}

/// A trace has its first strand with it; others are for any trace.
pub(crate) fn further_strands_are_given_back() {
    let at_once = |traces: usize, strands: usize| {
        let all: Vec<_> = (0..traces)
            .map(|_| {
                let trace = Trace::new();
                let scopes: Vec<_> = (0..strands).map(|_| trace.inject()).collect();
                (scopes, trace)
            })
            .collect();
        drop(all);
    };
    at_once(100, 0);
    let without = memory();
    (0..10).for_each(|_| at_once(100, 1));
    assert_eq!(memory(), without);
    at_once(10, 11);
    let held = memory().held_bytes - without.held_bytes;
    assert!((100 * 4096..100 * (4096 + 1024)).contains(&held), "{held}");
    let with = memory();
    (0..10).for_each(|_| at_once(1, 101));
    (0..10).for_each(|_| at_once(100, 2));
    assert_eq!(memory(), with);
}

pub(crate) fn texts_of_callers_are_given_back() {
    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let context: TraceContext = context.parse().unwrap();
    let with_text = context
        .clone()
        .with_tracestate(&format!("a={}", "x".repeat(200)));
    let at_once = |requests: usize, context: &TraceContext| {
        let continued = |_| {
            let trace = Trace::new();
            assert!(trace.continue_from(context));
            trace
        };
        drop((0..requests).map(continued).collect::<Vec<_>>());
    };
    at_once(1000, &context);
    let without = memory().held_bytes;
    at_once(100, &with_text);
    let with = memory();
    let held = with.held_bytes - without;
    assert!((100 * 512..100 * 640).contains(&held), "{held}");
    (0..100).for_each(|_| at_once(100, &with_text));
    (0..10).for_each(|_| at_once(1000, &context));
    assert_eq!(memory(), with);
}
