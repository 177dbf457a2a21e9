//! Guards that outlive their scope, their trace or their thread.

use std::cell::RefCell;
use std::thread;

use tracer::alloc::{Counts, measure};
use tracer::{Call, Outcome, Scope, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::figures::checkpoints;
use crate::lines::{calls, calls_of};

#[test]
fn a_guard_stopped_after_its_scope() {
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("call");
    allocate(1);
    drop(scope);
    allocate(2);
    assert_eq!(calls(&trace), ["call in -: 1, 1, Running"]);
    call.checkpoint("late");
    call.fail("late");
    call.stop();
    let report = trace.report();
    assert_eq!(
        calls_of(&report),
        [r#"call in -: 1, 1, Failed("late"), partial"#]
    );
    assert_eq!(checkpoints(&report.calls[0]), [("late", boxes(1))]);
}

#[test]
fn any_number_of_guards_stopped_after_their_scope() {
    let trace = Trace::new();
    let scope = trace.inject();
    let guards: Vec<_> = (0..3000).map(|_| call!("call")).collect();
    drop(scope);
    drop(guards);
    let report = trace.report();
    let running = report
        .calls
        .iter()
        .filter(|call| call.outcome == Outcome::Running);
    assert_eq!(running.count(), 0);
    let exact = report.calls.iter().filter(|call| !call.partial);
    assert_eq!(exact.count(), 0);
}

#[test]
fn work_away_from_the_strand_counts_zero() {
    let (trace, other) = (Trace::new(), Trace::new());
    let scope = trace.inject();
    let late = call!("late");
    let stale = call!("stale");
    drop(scope);
    let _other = other.inject();
    let measured = measure(|| {
        late.checkpoint("checkpoint");
        late.fail("message");
        late.stop();
    });
    assert_eq!(measured.counts, Some(Counts::ZERO));
    drop(trace);
    let measured = measure(|| {
        stale.checkpoint("checkpoint");
        stale.fail("message");
        stale.stop();
    });
    assert_eq!(measured.counts, Some(Counts::ZERO));
}

#[test]
fn a_guard_outlives_its_trace_and_writes_into_no_other() {
    let trace = Trace::new();
    let scope = trace.inject();
    let stale = [0; 40].map(|_| call!("stale"));
    drop(scope);
    drop(trace);
    // These reuse the memory that the first trace gave back, in any order.
    let traces: Vec<_> = (0..4).map(|_| Trace::new()).collect();
    let scopes: Vec<_> = traces.iter().map(Trace::inject).collect();
    let fresh: Vec<_> = (0..40).map(|_| call!("fresh")).collect();
    for guard in stale {
        guard.checkpoint("stale");
        guard.fail("stale");
        guard.stop();
    }
    let open = fresh.len();
    fresh.into_iter().rev().for_each(drop);
    drop(scopes);
    let mut expected = vec!["fresh in fresh: 0, 0, Ok"; open];
    expected[0] = "fresh in -: 0, 0, Ok";
    assert_eq!(traces.iter().flat_map(calls).collect::<Vec<_>>(), expected);
    let reports = traces.iter().map(Trace::report);
    assert!(
        reports
            .flat_map(|report| report.calls)
            .all(|call| call.checkpoints.is_empty())
    );
}

#[test]
fn a_late_guard_and_a_handle_fetched_before_the_trace_was_given_back() {
    let trace = Trace::new();
    let id = trace.id();
    let scope = trace.inject();
    let late = call!("late");
    allocate(1);
    let fetched = tracer::fetch();
    drop((scope, trace));
    // The fetched handle keeps the trace, so nothing has been given back.
    assert_eq!(fetched.id(), id);
    assert_eq!(calls(&fetched), ["late in -: 1, 1, Running"]);
    let scope = fetched.inject();
    let below = call!("below");
    allocate(2);
    below.stop();
    drop(scope);
    assert_eq!(
        calls(&fetched),
        ["late in -: 3, 1, Running", "below in late: 2, 2, Ok"]
    );
    let report = fetched.report();
    drop(fetched);
    // Now it has. Later operations go nowhere, not even to the next trace in the same memory.
    let next = Trace::new();
    let scope = next.inject();
    let call = call!("next");
    let after = measure(|| {
        late.checkpoint("late");
        late.fail("late");
        late.stop();
    });
    assert_eq!(after.counts, Some(Counts::ZERO));
    allocate(4);
    call.stop();
    drop(scope);
    assert_eq!(calls(&next), ["next in -: 4, 4, Ok"]);
    assert_ne!(next.id(), id);
    // The report is plain data and has not changed.
    assert_eq!(report.trace, id);
    assert_eq!(
        calls_of(&report),
        ["late in -: 3, 1, Running", "below in late: 2, 2, Ok"]
    );
}

#[test]
fn a_strand_that_ended_records_nothing_more() {
    // The guard of a scope that ended, and one whose instrumented call stays suspended.
    let trace = Trace::new();
    let scope = trace.inject();
    let resting = call!("resting").instrument(std::future::pending::<()>());
    let call = call!("call");
    drop(scope);
    let again = trace.inject();
    let other = call!("other");
    allocate(1);
    call.stop();
    allocate(2);
    drop(resting);
    allocate(4);
    other.stop();
    drop(again);
    assert_eq!(
        calls(&trace),
        [
            "resting in -: 0, 0, Cancelled, partial",
            "call in -: 0, 0, Ok, partial",
            "other in -: 7, 7, Ok",
        ]
    );
}

#[test]
fn a_guard_stopped_while_its_thread_ends() {
    thread_local! {
        static LAST: RefCell<Option<Call>> = const { RefCell::new(None) };
    }
    let trace = Trace::new();
    let traced = trace.clone();
    let thread = std::thread::spawn(move || {
        LAST.set(None);
        let scope = traced.inject();
        LAST.set(Some(call!("last")));
        allocate(3);
        drop(scope);
    });
    thread.join().unwrap();
    assert_eq!(calls(&trace), ["last in -: 3, 3, Ok, partial"]);
}

thread_local! {
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// Fields are dropped in the order of declaration: first the call, then the scope.
struct Kept {
    _call: Option<Call>,
    _scope: Option<Scope>,
}

#[test]
fn a_scope_and_its_guard_in_a_thread_local() {
    let trace = Trace::new();
    let traced = trace.clone();
    let thread = thread::spawn(move || {
        let scope = traced.inject();
        let around = call!("around");
        allocate(1);
        KEPT.set(vec![Kept {
            _call: Some(around),
            _scope: Some(scope),
        }]);
        let inside = call!("inside");
        allocate(2);
        inside.stop();
    });
    thread.join().unwrap();
    let report = trace.report();
    let outcomes: Vec<_> = report.calls.iter().map(|call| &call.outcome).collect();
    assert_eq!(outcomes, [&Outcome::Ok, &Outcome::Ok]);
    assert_eq!(
        (report.calls[1].parent, report.calls[1].total),
        (Some(0), Some(boxes(2)))
    );
    // At least these: the thread may allocate more before its end. The vector's block is one.
    let around = &report.calls[0];
    assert!(!around.partial);
    assert!(around.total.unwrap().allocations >= 4);
    assert!(report.total.unwrap().allocations >= around.total.unwrap().allocations);
}
