//! Scopes of one trace and of several on one thread, left in any order or never.

use std::sync::{Barrier, OnceLock};

use tracer::alloc::Counts;
use tracer::{Limits, Outcome, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};

#[test]
fn the_same_trace_again_counts_nothing_twice() {
    let trace = Trace::new();
    let scope = trace.inject();
    let one = call!("one");
    allocate(1);
    let again = trace.inject();
    allocate(2);
    let two = call!("two");
    allocate(4);
    let third = trace.inject();
    let three = call!("three");
    allocate(8);
    three.stop();
    drop(third);
    allocate(16);
    two.stop();
    drop(again);
    allocate(32);
    one.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(
        calls_of(&report),
        [
            "one in -: 63, 35, Ok",
            "two in one: 28, 20, Ok",
            "three in two: 8, 8, Ok",
        ]
    );
    assert_eq!(report.total, Some(boxes(63)));
}

#[test]
fn the_same_trace_again_below_the_scope_of_another() {
    let (trace, other) = (Trace::new(), Trace::new());
    let scope = trace.inject();
    let one = call!("one");
    allocate(1);
    let other_scope = other.inject();
    let between = call!("between");
    allocate(2);
    let again = trace.inject();
    let two = call!("two");
    allocate(4);
    let other_again = other.inject();
    let deep = call!("deep");
    allocate(8);
    deep.stop();
    drop(other_again);
    two.stop();
    drop(again);
    allocate(16);
    between.stop();
    drop(other_scope);
    allocate(32);
    one.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        ["one in -: 63, 51, Ok", "two in one: 12, 12, Ok"]
    );
    assert_eq!(
        calls(&other),
        ["between in -: 30, 22, Ok", "deep in between: 8, 8, Ok"]
    );
    let totals = [&trace, &other].map(|trace| trace.report().total);
    assert_eq!(totals, [Some(boxes(63)), Some(boxes(30))]);
}

#[test]
fn the_outer_of_two_traces_includes_the_inner() {
    let (outer, inner) = (Trace::new(), Trace::new());
    let outer_scope = outer.inject();
    let one = call!("one");
    allocate(1);
    let inner_scope = inner.inject();
    allocate(2);
    let two = call!("two");
    allocate(4);
    two.stop();
    drop(inner_scope);
    allocate(8);
    one.stop();
    drop(outer_scope);
    assert_eq!(calls(&outer), ["one in -: 15, 15, Ok"]);
    assert_eq!(calls(&inner), ["two in -: 4, 4, Ok"]);
    assert_eq!(inner.report().total, Some(boxes(6)));
}

#[test]
fn fetched_and_injected_again_on_the_same_thread() {
    let trace = Trace::new();
    let scope = trace.inject();
    let one = call!("one");
    let at_one = tracer::fetch();
    let two = call!("two");
    let again = at_one.inject();
    let three = call!("three");
    allocate(1);
    three.stop();
    drop(again);
    allocate(2);
    two.stop();
    one.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "one in -: 3, 0, Ok",
            "two in one: 2, 2, Ok",
            "three in one: 1, 1, Ok"
        ]
    );
}

#[test]
fn scopes_of_the_same_trace_dropped_in_any_order() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let trace = Trace::new();
        let mut scopes = [1, 2, 4].map(|count| {
            let scope = trace.inject();
            allocate(count);
            Some(scope)
        });
        for (index, count) in order.into_iter().zip([8, 16, 32]) {
            scopes[index] = None;
            allocate(count);
        }
        assert_eq!(trace.report().total, Some(boxes(7 + 8 + 16)), "{order:?}");
    }
}

#[test]
fn scopes_dropped_out_of_order() {
    let traces = [Trace::new(), Trace::new(), Trace::new()];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let traces = [0; 3].map(|_| Trace::new());
        let mut scopes = [0, 1, 2].map(|index| {
            let scope = traces[index].inject();
            call!("{index}").stop();
            allocate(1 << index);
            Some(scope)
        });
        for (index, count) in order.into_iter().zip([8, 16, 32]) {
            scopes[index] = None;
            allocate(count);
        }
        assert!(tracer::fetch().is_empty());
        // All that the thread did from each scope's entry to its end.
        let entered = [7, 6, 4];
        for (place, index) in order.into_iter().enumerate() {
            let left = [0, 8, 8 + 16][place];
            let total = traces[index].report().total;
            assert_eq!(
                total,
                Some(boxes(entered[index] + left)),
                "{order:?}: {index}"
            );
            assert_eq!(calls(&traces[index]), [format!("{index} in -: 0, 0, Ok")]);
        }
    }
    assert!(traces.iter().all(|trace| trace.report().calls.is_empty()));
}

#[test]
fn a_leaked_scope_leaves_the_others_exact() {
    let (outer, leaked) = (Trace::new(), Trace::new());
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let scope = outer.inject();
            let around = call!("around");
            allocate(1);
            std::mem::forget(leaked.inject());
            let inner = call!("inner");
            allocate(2);
            inner.stop();
            around.stop();
            drop(scope);
            call!("later").stop();
        });
    });
    let report = outer.report();
    assert_eq!(report.total, Some(boxes(3)));
    let call = &report.calls[0];
    // Stopped while its strand was not the current one: may be partial, must not be wrong.
    assert_eq!(
        (call.total, call.self_counts),
        (Some(boxes(3)), Some(boxes(3)))
    );
    let leaked = leaked.report();
    let totals: Vec<_> = leaked.calls.iter().map(|call| call.total).collect();
    assert_eq!(totals, [Some(boxes(2)), Some(Counts::ZERO)]);
}

#[test]
fn a_leaked_scope_of_a_thread_that_ended_is_in_the_totals_around() {
    let trace = Trace::new();
    let (handle, turn) = (OnceLock::new(), Barrier::new(2));
    std::thread::scope(|threads| {
        let thread = threads.spawn(|| {
            let elsewhere: &Trace = handle.wait();
            std::mem::forget(elsewhere.inject());
            let inside = call!("inside");
            allocate(3);
            inside.stop();
            turn.wait();
        });
        let _scope = trace.inject();
        let around = call!("around");
        assert!(handle.set(tracer::fetch()).is_ok());
        turn.wait();
        around.stop();
        thread.join().unwrap();
    });
    // May be partial, must not be wrong.
    let lines = calls(&trace);
    let lines: Vec<_> = lines
        .iter()
        .map(|line| line.trim_end_matches(", partial"))
        .collect();
    assert_eq!(
        lines,
        ["around in -: 3, 0, Ok", "inside in around: 3, 3, Ok"]
    );
}

/// Opens `scopes` scopes at once, each with one call, in a trace that records ten thousand.
fn one_call_in_each_of(scopes: usize, trace: &Trace) {
    let scopes: Vec<_> = (0..scopes)
        .map(|_| {
            let scope = trace.inject();
            call!("one").stop();
            scope
        })
        .collect();
    let count = scopes.len();
    drop(scopes);
    let report = trace.report();
    assert_eq!((report.calls.len(), report.folded.len()), (count, 0));
}

#[test]
fn scopes_give_back_the_calls_that_they_did_not_use() {
    one_call_in_each_of(1000, &Trace::new());
    let limits = Limits::default().strands(5000);
    one_call_in_each_of(5000, &Trace::with_limits(10, limits));
}

#[test]
fn scopes_dropped_out_of_order_give_back_their_calls_too() {
    let (trace, other) = (
        Trace::with_limits(10, Limits::default().calls(40)),
        Trace::new(),
    );
    for _ in 0..40 {
        let scope = trace.inject();
        call!("one").stop();
        let other = other.inject();
        drop(scope);
        drop(other);
    }
    let report = trace.report();
    assert_eq!((report.calls.len(), report.folded.len()), (40, 0));
}

#[test]
fn thousands_of_nested_scopes_of_two_traces_in_turns() {
    // The time grows with the square of the depth: unoptimised, up to a minute on a busy machine.
    const DEPTH: usize = if cfg!(debug_assertions) {
        2_000
    } else {
        10_000
    };
    let traces =
        [0; 2].map(|_| Trace::with_limits(10, Limits::default().calls(1_000_000).strands(10_000)));
    let mut scopes = Vec::with_capacity(DEPTH);
    for level in 0..DEPTH {
        scopes.push((traces[level % 2].inject(), Some(call!("{level}"))));
        allocate(1);
    }
    while let Some((scope, call)) = scopes.pop() {
        drop(call);
        drop(scope);
    }
    assert!(tracer::fetch().is_empty());
    for (number, trace) in traces.iter().enumerate() {
        let report = trace.report();
        assert_eq!((report.calls.len(), report.dropped), (DEPTH / 2, 0));
        // The second trace begins one level deeper than the first.
        assert_eq!(report.total, Some(boxes((DEPTH - number) as u64)));
        for (place, call) in report.calls.iter().enumerate() {
            let level = 2 * place + number;
            assert_eq!(call.id, Some(level.to_string()));
            assert_eq!(call.parent, place.checked_sub(1));
            assert_eq!(call.total, Some(boxes((DEPTH - level) as u64)), "{level}");
            // Its own block and that of the other trace's level within it; the last has only its own.
            let own = if level == DEPTH - 1 { 1 } else { 2 };
            assert_eq!(call.self_counts, Some(boxes(own)), "{level}");
            assert_eq!((&call.outcome, call.partial), (&Outcome::Ok, false));
        }
    }
}

#[test]
fn a_thousand_scopes_of_two_traces_left_in_the_order_of_entering() {
    const SCOPES: usize = 1000;
    let traces = [Trace::new(), Trace::new()];
    let mut scopes = Vec::with_capacity(SCOPES);
    scopes.extend((0..SCOPES).map(|level| Some(traces[level % 2].inject())));
    for scope in &mut scopes {
        drop(scope.take());
        allocate(1);
    }
    assert!(tracer::fetch().is_empty());
    // All blocks until the last scope but one ended, and until the last ended.
    let totals = [&traces[0], &traces[1]].map(|trace| trace.report().total);
    assert_eq!(totals, [Some(boxes(998)), Some(boxes(999))]);
}
