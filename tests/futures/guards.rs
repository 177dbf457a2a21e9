//! Guards and calls that are opened in one future, and stop or continue in another.

use std::cell::RefCell;
use std::sync::Arc;

use tracer::{Call, Limits, Outcome, Trace, call};

use crate::boxes::boxes;
use crate::by_hand::{poll, run};
use crate::cancelled_tasks::Gate;
use crate::common::allocate;
use crate::lines::{calls, calls_of};
use crate::pause::pause;
use crate::{assert_exact, calls_with_id, runtime, step};

#[test]
fn a_call_created_first_and_awaited_in_another() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let early = call!("early").instrument(async {
            allocate(1);
            let _inside = call!("inside");
            step(3).await;
        });
        let later = call!("later");
        allocate(8);
        early.await;
        later.stop();
    }));
    assert_eq!(
        calls(&trace),
        [
            "early in -: 4, 1, Ok",
            "later in -: 12, 8, Ok",
            "inside in early: 3, 3, Ok",
        ]
    );
}

#[test]
fn a_call_instrumented_while_another_is_open_within() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let inside = call!("inside");
        allocate(1);
        let future = around.instrument(async { allocate(2) });
        allocate(4);
        inside.stop();
        allocate(8);
        future.await;
    }));
    assert_eq!(
        calls(&trace),
        ["around in -: 3, 2, Ok", "inside in around: 5, 5, Ok"]
    );
}

#[test]
fn a_guard_around_a_poll_stopped_inside_it() {
    // `early` is opened first and polled within `outer` and `around`. When `around` stops in the middle
    // of that poll, `early` continues within `outer`.
    let trace = Trace::new();
    run(trace.instrument(async {
        let slot = RefCell::new(None::<Call>);
        let early = call!("early").instrument(async {
            pause(1).await;
            allocate(1);
            drop(slot.borrow_mut().take());
            allocate(2);
        });
        let outer = call!("outer");
        *slot.borrow_mut() = Some(call!("around"));
        early.await;
        let after = call!("after");
        allocate(4);
        after.stop();
        outer.stop();
    }));
    assert_eq!(
        calls(&trace),
        [
            "early in -: 3, 3, Ok",
            "outer in -: 7, 0, Ok",
            "around in outer: 1, 0, Ok",
            "after in outer: 4, 4, Ok",
        ]
    );
}

#[test]
fn a_guard_that_leaves_its_future() {
    // `inside` outlives `early`, in which it was opened, and continues within `around`.
    let trace = Trace::new();
    run(trace.instrument(async {
        let early = call!("early").instrument(async { call!("inside") });
        let around = call!("around");
        let inside = early.await;
        allocate(1);
        inside.stop();
        allocate(2);
        let after = call!("after");
        allocate(4);
        after.stop();
        around.stop();
    }));
    assert_eq!(
        calls(&trace),
        [
            "early in -: 0, 0, Ok",
            "around in -: 7, 2, Ok",
            "inside in early: 1, 1, Ok",
            "after in around: 4, 4, Ok",
        ]
    );
}

#[test]
fn a_guard_that_leaves_its_future_while_another_is_suspended() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let early = call!("early").instrument(async { call!("inside") });
        let around = call!("around").instrument(async {
            let inside = early.await;
            allocate(1);
            pause(2).await;
            allocate(2);
            inside.stop();
        });
        let sibling = call!("sibling").instrument(async {
            allocate(100);
            pause(1).await;
            allocate(100);
        });
        tokio::join!(around, sibling);
    }));
    assert_eq!(
        calls(&trace),
        [
            "early in -: 0, 0, Ok",
            "around in -: 3, 0, Ok",
            "sibling in -: 200, 200, Ok",
            "inside in early: 3, 3, Ok",
        ]
    );
}

#[test]
fn a_guard_of_a_suspended_future_stopped_outside() {
    // `middle` stops while the future is suspended; `inside` continues within `around`.
    let trace = Trace::new();
    run(trace.instrument(async {
        let slot = RefCell::new(None::<Call>);
        let mut around = Box::pin(call!("around").instrument(async {
            *slot.borrow_mut() = Some(call!("middle"));
            allocate(1);
            let inside = call!("inside");
            allocate(2);
            pause(1).await;
            allocate(4);
            inside.stop();
            allocate(8);
        }));
        assert!(poll(around.as_mut()).is_pending());
        allocate(100);
        drop(slot.borrow_mut().take());
        allocate(100);
        around.as_mut().await;
    }));
    assert_eq!(
        calls(&trace),
        [
            "around in -: 15, 8, Ok",
            "middle in around: 3, 1, Ok",
            "inside in middle: 6, 6, Ok",
        ]
    );
}

#[test]
fn a_guard_taken_from_a_suspended_future_into_another() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let slot = RefCell::new(None::<Call>);
        allocate(1000);
        let from = call!("from").instrument(async {
            let taken = call!("taken");
            allocate(1);
            *slot.borrow_mut() = Some(taken);
            pause(2).await;
            allocate(2);
        });
        let to = async {
            let taken = slot.take().unwrap();
            let future = taken.instrument(async {
                allocate(4);
                pause(1).await;
                allocate(8);
            });
            future.await;
        };
        let around = call!("around");
        tokio::join!(from, to);
        around.stop();
    }));
    assert_eq!(
        calls(&trace),
        [
            "from in -: 3, 2, Ok",
            "around in -: 15, 0, Ok",
            "taken in from: 13, 13, Ok",
        ]
    );
}

#[test]
fn an_adoption_that_finds_no_room_is_marked() {
    let trace = Trace::with_limits(10, Limits::default().calls(100));
    let scope = trace.inject();
    let around = call!("around");
    let mut future = Box::pin(call!("future").instrument(step(2)));
    let (outer, inner) = (call!("outer"), call!("inner"));
    for _ in 0..100_000 {
        around.checkpoint("more than a trace holds");
    }
    assert!(poll(future.as_mut()).is_pending());
    inner.stop();
    assert!(poll(future.as_mut()).is_pending());
    outer.stop();
    around.stop();
    drop(scope);
    let report = trace.report();
    assert!(report.dropped > 0);
    assert!(report.calls.iter().all(|call| call.partial));
    let parents = report.calls.iter().map(|call| call.parent);
    assert!(
        parents
            .enumerate()
            .all(|(index, parent)| parent < Some(index))
    );
    drop(future);
}

#[test]
fn a_guard_as_a_tasks_output() {
    // The join handle is dropped first, so the runtime drops the output, outside the trace.
    let trace = Trace::new();
    let runtime = runtime();
    let kept = runtime.spawn(trace.instrument(async {
        let call = call!("kept");
        step(3).await;
        call
    }));
    let call = runtime.block_on(kept).unwrap();
    allocate(100);
    call.stop();
    let gate = Gate::new();
    let opens = Arc::clone(&gate);
    drop(runtime.spawn(trace.instrument(async move {
        gate.wait().await;
        let call = call!("dropped");
        step(5).await;
        call
    })));
    opens.open();
    // Waits until a worker has dropped it.
    let is_done = || {
        trace
            .report()
            .calls
            .iter()
            .all(|call| call.outcome != Outcome::Running)
    };
    while !(is_done() && trace.report().calls.len() == 2) {
        runtime.block_on(tokio::task::yield_now());
    }
    drop(runtime);
    assert_eq!(
        calls(&trace),
        [
            "kept in -: 3, 3, Ok, partial",
            "dropped in -: 5, 5, Ok, partial"
        ]
    );
}

#[test]
fn a_guard_behind_an_async_lock_of_tasks_of_one_trace() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let lock = tokio::sync::Mutex::new(None::<Call>);
        let task = |number: u32| {
            let lock = &lock;
            let hold = async move {
                let mut held = lock.lock().await;
                // The guard of the previous task.
                drop(held.take());
                *held = Some(call!("held by {number}"));
                step(number).await;
            };
            call!("task {number}").instrument(hold)
        };
        tokio::join!(biased; task(1), task(2), task(3));
        drop(lock);
        around.stop();
    }));
    let report = trace.report();
    let lines = calls_of(&report);
    for (place, count) in [(1, 1), (2, 2), (3, 3)] {
        assert!(
            lines[place].starts_with(&format!("task {count} in around: {count}, ")),
            "{lines:?}"
        );
    }
    assert_eq!(lines[0].split(',').next(), Some("around in -: 6"));
    assert_exact(&report);
}

#[test]
fn a_guard_behind_an_async_lock_of_tasks_of_many_traces() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).build().unwrap();
    let traces: Vec<_> = (0..8).map(|_| Trace::new()).collect();
    let lock = Arc::new(tokio::sync::Mutex::new(None::<Call>));
    let tasks: Vec<_> = traces
        .iter()
        .zip(1_u32..)
        .map(|(trace, number)| {
            let lock = Arc::clone(&lock);
            runtime.spawn(trace.instrument(async move {
                let around = call!("around");
                for _ in 0..10 {
                    let mut held = lock.lock().await;
                    // A guard of this trace, or of another: stopped on its own strand, or away from it.
                    drop(held.replace(call!("held")));
                    call!("inside").instrument(step(number)).await;
                }
                around.stop();
            }))
        })
        .collect();
    runtime.block_on(futures_util::future::join_all(tasks));
    drop(lock);
    for (trace, number) in traces.iter().zip(1_u64..) {
        let report = trace.report();
        assert_eq!((report.calls.len(), report.dropped), (21, 0));
        let around = &report.calls[0];
        assert_eq!((around.total, around.partial), (report.total, false));
        assert_eq!(report.total, Some(boxes(10 * number)));
        for call in calls_with_id(&report, "inside") {
            assert_eq!((call.total, call.partial), (Some(boxes(number)), false));
        }
        for call in calls_with_id(&report, "held") {
            assert_eq!(call.outcome, Outcome::Ok);
            let total = call.total.unwrap();
            assert_eq!(total, boxes(total.allocations));
            // Never more than its whole task.
            assert!(total.allocations <= 10 * number);
        }
    }
}
