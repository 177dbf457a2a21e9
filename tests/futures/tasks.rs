//! Traced futures: each call has what its own polls did, whichever threads polled it, whatever ran
//! in between, and however it ended.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Barrier;

use futures_util::future::{Either, join_all, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::runtime::{Builder, Runtime};
use tracer::alloc::measure;
use tracer::{Call, Limits, Trace, call};

use crate::boxes::boxes;
use crate::by_hand::{poll, run};
use crate::common::allocate;
use crate::lines::calls;
use crate::on_drop::OnDrop;
use crate::pause::pause;
use crate::step::step;

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(4).enable_all().build().unwrap()
}

// Polled by many threads, with others in between.

#[test]
fn tasks_polled_by_all_workers_have_exactly_their_own() {
    const TASKS: u32 = 32;
    let runtime = runtime();
    let traces: Vec<_> = (0..TASKS).map(|_| Trace::new()).collect();
    let tasks: Vec<_> = traces
        .iter()
        .zip(1_u32..)
        .map(|(trace, number)| {
            runtime.spawn(trace.instrument(async move {
                let plain = call!("plain");
                step(100 * number).await;
                let around = call!("around").instrument(async {
                    allocate(1);
                    let inside = call!("inside");
                    step(number).await;
                    inside.stop();
                    step(2).await;
                });
                around.await;
                plain.stop();
                allocate(1);
            }))
        })
        .collect();
    // Some that are not traced, and allocate all the time.
    let noise: Vec<_> = (0..4).map(|_| runtime.spawn(step(3000))).collect();
    runtime.block_on(join_all(tasks.into_iter().chain(noise)));
    for (trace, number) in traces.iter().zip(1_u32..) {
        let (all, own) = (101 * number + 3, 100 * number);
        assert_eq!(
            calls(trace),
            [
                format!("plain in -: {all}, {own}, Ok"),
                format!("around in plain: {}, 3, Ok", number + 3),
                format!("inside in around: {number}, {number}, Ok"),
            ]
        );
        assert_eq!(trace.report().total, Some(boxes(u64::from(all) + 1)));
    }
}

#[test]
fn a_task_that_changes_threads_at_every_poll() {
    let trace = Trace::new();
    let mut future = Box::pin(trace.instrument(async {
        let plain = call!("plain");
        for _ in 0..8 {
            allocate(1);
            pause(1).await;
        }
        plain.checkpoint("half");
        let inside = call!("inside").instrument(async {
            for _ in 0..8 {
                allocate(1);
                pause(1).await;
            }
        });
        inside.await;
        plain.stop();
    }));
    for _ in 0..17 {
        std::thread::scope(|threads| {
            threads.spawn(|| {
                allocate(100);
                let _ = poll(future.as_mut());
                allocate(100);
            });
        });
    }
    drop(future);
    assert_eq!(
        calls(&trace),
        ["plain in -: 16, 8, Ok", "inside in plain: 8, 8, Ok"]
    );
    let report = trace.report();
    assert_eq!(report.calls[0].checkpoints[0].counts, Some(boxes(8)));
    assert_eq!(report.total, Some(boxes(16)));
}

#[test]
fn traces_interleaved_on_one_thread() {
    let traces = [Trace::new(), Trace::new()];
    let task = |trace: &Trace, count| {
        trace.instrument(async move {
            let _plain = call!("plain");
            for _ in 0..4 {
                allocate(count);
                pause(1).await;
            }
        })
    };
    let both = futures_util::future::join(task(&traces[0], 1), task(&traces[1], 10));
    run(both);
    assert_eq!(calls(&traces[0]), ["plain in -: 4, 4, Ok"]);
    assert_eq!(calls(&traces[1]), ["plain in -: 40, 40, Ok"]);
}

// Branches of one task.

#[test]
fn the_branches_of_a_join_have_exactly_their_own() {
    let trace = Trace::new();
    let branch = |count| async move {
        for _ in 0..3 {
            allocate(count);
            pause(1).await;
            let inside = call!("inside");
            allocate(count);
            pause(1).await;
            inside.stop();
        }
    };
    run(trace.instrument(async {
        let around = call!("around");
        tokio::join!(
            call!("left").instrument(branch(1)),
            call!("right").instrument(branch(10)),
        );
        allocate(100);
        around.stop();
    }));
    let mut lines = calls(&trace);
    lines.sort();
    assert_eq!(
        lines,
        [
            "around in -: 166, 100, Ok",
            "inside in left: 1, 1, Ok",
            "inside in left: 1, 1, Ok",
            "inside in left: 1, 1, Ok",
            "inside in right: 10, 10, Ok",
            "inside in right: 10, 10, Ok",
            "inside in right: 10, 10, Ok",
            "left in around: 6, 3, Ok",
            "right in around: 60, 30, Ok",
        ]
    );
}

#[test]
fn branches_have_their_own_peaks() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let keeps = |bytes| async move {
            let kept = std::hint::black_box(vec![0_u8; bytes]);
            pause(1).await;
            drop(kept);
        };
        tokio::join!(
            call!("left").instrument(keeps(100)),
            call!("right").instrument(keeps(1000)),
        );
        around.stop();
    }));
    let report = trace.report();
    let peaks: Vec<_> = report.calls.iter().map(|call| call.peak_bytes).collect();
    assert_eq!(peaks, [Some(1100), Some(100), Some(1000)]);
}

#[test]
fn a_select_cancels_the_losing_branch() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        tokio::select! {
            biased;
            () = call!("loses").instrument(async {
                allocate(1);
                let _inside = call!("inside");
                step(100).await;
            }) => unreachable!(),
            () = call!("wins").instrument(step(3)) => {}
        }
        allocate(1000);
        around.stop();
        call!("after").stop();
    }));
    assert_eq!(
        calls(&trace),
        [
            "around in -: 1008, 1000, Ok",
            "loses in around: 5, 1, Cancelled",
            "wins in around: 3, 3, Ok",
            "inside in loses: 4, 4, Cancelled",
            "after in -: 0, 0, Ok",
        ]
    );
}

#[test]
fn plain_guards_that_stop_out_of_order() {
    // The two branches open a and b, which is then within a; the first, a, stops first. What is
    // allocated is the self of the youngest call that is open.
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        tokio::join!(
            biased;
            async {
                let a = call!("a");
                allocate(1);
                pause(1).await;
                allocate(2);
                a.stop();
                allocate(4);
            },
            async {
                let b = call!("b");
                allocate(8);
                pause(2).await;
                allocate(16);
                b.stop();
                allocate(32);
            }
        );
        around.stop();
    }));
    assert_eq!(
        calls(&trace),
        [
            "around in -: 63, 32, Ok",
            "a in around: 11, 1, Ok",
            "b in a: 30, 30, Ok",
        ]
    );
}

#[test]
fn any_number_of_plain_guards_in_any_order() {
    let trace = Trace::new();
    let runtime = runtime();
    let task = trace.instrument(async {
        let around = call!("around");
        // Their own memory is allocated in no call but this one.
        let mut tasks: FuturesUnordered<_> = (0..50_u32)
            .map(|number| async move {
                let call = call!("{number}");
                step(number * 7 % 50).await;
                call.stop();
            })
            .collect();
        while tasks.next().await.is_some() {}
        drop(tasks);
        around.stop();
        let after = call!("after");
        allocate(5);
        after.stop();
    });
    runtime.block_on(task);
    let report = trace.report();
    assert_eq!((report.calls.len(), report.dropped), (52, 0));
    assert_eq!(report.calls[51].total, Some(boxes(5)));
    assert_eq!(report.calls[51].parent, None);
    let around = report.calls[0].total.unwrap();
    assert_eq!(around + boxes(5), report.total.unwrap());
    // Every box is the self of exactly one call.
    let own = report.calls.iter().map(|call| call.self_counts.unwrap());
    assert_eq!(own.sum::<tracer::alloc::Counts>(), report.total.unwrap());
}

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
fn a_guard_around_a_poll_stopped_inside_it() {
    // `early` was opened before the two in which it goes on, and goes on within `outer` when
    // `around` stops in the middle of its poll.
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
    // `inside` outlives `early`, in which it was opened, and goes on within `around`.
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
fn a_guard_that_leaves_its_future_while_another_rests() {
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
fn a_guard_of_a_resting_future_stopped_outside() {
    // `middle` stops while the future rests; `inside` goes on within `around`.
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
fn recursion_with_boxed_futures() {
    fn down(depth: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let call = call!("{depth}");
        Box::pin(call.instrument(async move {
            if depth > 0 {
                down(depth - 1).await;
            }
            step(1).await;
        }))
    }
    let trace = Trace::new();
    runtime().block_on(trace.instrument(async {
        let future = down(3);
        allocate(0);
        future.await;
    }));
    let report = trace.report();
    let own: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let id = call.id.as_deref().unwrap();
            (id, call.parent, call.self_counts.unwrap().allocations)
        })
        .collect();
    // One of its own, and the box of the one below.
    assert_eq!(
        own,
        [
            ("3", None, 2),
            ("2", Some(0), 2),
            ("1", Some(1), 2),
            ("0", Some(2), 1),
        ]
    );
}

#[test]
fn the_same_trace_instrumented_within_itself() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let one = call!("one");
        allocate(1);
        let inner = trace.instrument(async {
            let two = call!("two");
            allocate(2);
            pause(1).await;
            let third = trace.instrument(async {
                let _three = call!("three");
                step(4).await;
            });
            third.await;
            two.stop();
        });
        inner.await;
        allocate(8);
        one.stop();
    }));
    assert_eq!(
        calls(&trace),
        [
            "one in -: 15, 9, Ok",
            "two in one: 6, 2, Ok",
            "three in two: 4, 4, Ok",
        ]
    );
    assert_eq!(trace.report().total, Some(boxes(15)));
}

// Spawned.

#[test]
fn spawned_tasks_are_children_of_the_call_open_at_fetch() {
    let trace = Trace::new();
    let runtime = runtime();
    let scope = trace.inject();
    let around = call!("around");
    let children = [1, 2, 4].map(|count| {
        tracer::fetch().instrument(async move {
            let _child = call!("{count}");
            step(count).await;
            let grandchild = tracer::fetch().instrument(async move {
                let _call = call!("below {count}");
                step(10 * count).await;
            });
            // What the runtime allocates to spawn is the child's own.
            let spawning = measure(|| tokio::spawn(grandchild));
            (spawning.value, spawning.counts.unwrap())
        })
    });
    around.stop();
    drop(scope);
    let spawning = runtime.block_on(async {
        let mut counts = Vec::new();
        for child in children {
            let (below, spawning) = tokio::spawn(child).await.unwrap();
            below.await.unwrap();
            counts.push(spawning);
        }
        counts
    });
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let parent = call.parent.map(|parent| report.calls[parent].id.as_deref());
            let outcome = format!("{:?}", call.outcome);
            (
                call.id.as_deref().unwrap(),
                parent.flatten(),
                call.self_counts.unwrap(),
                outcome,
            )
        })
        .collect();
    let line = |id, parent, own| (id, parent, own, "Ok".to_owned());
    assert_eq!(
        lines,
        [
            line("around", None, boxes(0)),
            line("1", Some("around"), boxes(1) + spawning[0]),
            line("below 1", Some("1"), boxes(10)),
            line("2", Some("around"), boxes(2) + spawning[1]),
            line("below 2", Some("2"), boxes(20)),
            line("4", Some("around"), boxes(4) + spawning[2]),
            line("below 4", Some("4"), boxes(40)),
        ]
    );
    assert_eq!(report.calls[0].total, report.total);
    let sum = lines.iter().map(|(_, _, own, _)| *own).sum();
    assert_eq!(report.total, Some(sum));
}

#[test]
fn blocking_on_a_future_inside_a_call() {
    let trace = Trace::new();
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(pause(1));
    let scope = trace.inject();
    let around = call!("around");
    allocate(1);
    runtime.block_on(async {
        let _plain = call!("plain");
        step(2).await;
        call!("inside").instrument(step(4)).await;
        tracer::fetch().instrument(step(8)).await;
    });
    around.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "around in -: 15, 1, Ok",
            "plain in around: 14, 10, Ok",
            "inside in plain: 4, 4, Ok",
        ]
    );
}

// Cancelled, panicked, gone astray.

#[test]
fn a_future_dropped_between_polls_is_cancelled() {
    let trace = Trace::new();
    let mut future = Box::pin(trace.instrument(async {
        let done = call!("done");
        allocate(1);
        done.stop();
        let failed = call!("failed");
        failed.fail("first");
        let _plain = call!("plain");
        allocate(2);
        call!("around")
            .instrument(async {
                allocate(4);
                let _inside = call!("inside");
                pause(1).await;
                allocate(8);
                pause(1).await;
                unreachable!("dropped before");
            })
            .await;
    }));
    assert!(poll(future.as_mut()).is_pending());
    allocate(100);
    assert!(poll(future.as_mut()).is_pending());
    allocate(100);
    // On another thread than that of the last poll.
    let thread = std::thread::spawn(move || {
        allocate(100);
        drop(future);
    });
    thread.join().unwrap();
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let (id, outcome) = (call.id.as_deref().unwrap(), format!("{:?}", call.outcome));
            let allocations = (
                call.total.unwrap().allocations,
                call.self_counts.unwrap().allocations,
            );
            (id, allocations, outcome, call.partial)
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("done", (1, 1), "Ok".to_owned(), false),
            ("failed", (14, 0), "Failed(\"first\")".to_owned(), false),
            ("plain", (14, 2), "Cancelled".to_owned(), false),
            ("around", (12, 4), "Cancelled".to_owned(), false),
            ("inside", (8, 8), "Cancelled".to_owned(), false),
        ]
    );
}

#[test]
fn a_future_that_was_never_polled_is_cancelled() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let never = call!("never").instrument(async { unreachable!() });
    allocate(1);
    drop(never);
    allocate(2);
    around.stop();
    drop(scope);
    drop(trace.instrument(async { unreachable!() }));
    assert_eq!(
        calls(&trace),
        ["around in -: 3, 3, Ok", "never in around: 0, 0, Cancelled"]
    );
}

#[test]
fn what_a_dropped_future_does_in_its_drop() {
    let trace = Trace::new();
    let scope = trace.inject();
    let mut future = Box::pin(call!("cancelled").instrument(async {
        let _unwinds = OnDrop(|| {
            let _call = call!("in the drop");
            allocate(1);
        });
        allocate(2);
        pause(1).await;
    }));
    assert!(poll(future.as_mut()).is_pending());
    drop(future);
    call!("after").stop();
    drop(scope);
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let id = call.id.as_deref().unwrap();
            (
                id,
                call.parent,
                call.self_counts,
                format!("{:?}", call.outcome),
            )
        })
        .collect();
    // As with a panic: what began in the drop, and ended, was not cancelled.
    let mut cancelled = boxes(2);
    // The box of the future was freed after the call.
    cancelled.allocations = 2;
    assert_eq!(
        lines,
        [
            ("cancelled", None, Some(cancelled), "Cancelled".to_owned()),
            ("in the drop", Some(0), Some(boxes(1)), "Ok".to_owned()),
            ("after", None, Some(boxes(0)), "Ok".to_owned()),
        ]
    );
}

#[test]
fn a_panic_in_the_drop_of_a_cancelled_future() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let mut future = Box::pin(call!("cancelled").instrument(async {
        let _unwinds = OnDrop(|| resume_unwind(Box::new(())));
        pause(1).await;
    }));
    assert!(poll(future.as_mut()).is_pending());
    catch_unwind(AssertUnwindSafe(|| drop(future))).unwrap_err();
    call!("after").stop();
    around.stop();
    drop(scope);
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let id = call.id.as_deref().unwrap();
            (id, call.parent, format!("{:?}", call.outcome))
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("around", None, "Ok".to_owned()),
            ("cancelled", Some(0), "Panicked".to_owned()),
            ("after", Some(0), "Ok".to_owned()),
        ]
    );
}

#[test]
fn a_panic_in_the_drop_of_a_future_that_went_astray() {
    let trace = Trace::new();
    let scope = trace.inject();
    let mut future = Box::pin(call!("astray").instrument(async {
        let _unwinds = OnDrop(|| resume_unwind(Box::new(())));
        pause(1).await;
    }));
    assert!(poll(future.as_mut()).is_pending());
    drop(scope);
    catch_unwind(AssertUnwindSafe(|| drop(future))).unwrap_err();
    assert_eq!(calls(&trace), ["astray in -: 0, 0, Panicked, partial"]);
}

#[test]
fn a_panic_in_a_polled_future() {
    let trace = Trace::new();
    let runtime = runtime();
    let task = trace.instrument(async {
        let _plain = call!("plain");
        step(1).await;
        let sibling = call!("sibling").instrument(step(2));
        let panics = call!("panics").instrument(async {
            allocate(4);
            let _inside = call!("inside");
            step(1).await;
            // Not `panic!`: the message and the hook would allocate.
            resume_unwind(Box::new(()));
        });
        tokio::join!(biased; sibling, panics);
    });
    assert!(
        runtime
            .block_on(runtime.spawn(task))
            .unwrap_err()
            .is_panic()
    );
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let id = call.id.as_deref().unwrap();
            (id, call.parent, format!("{:?}", call.outcome), call.partial)
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("plain", None, "Panicked".to_owned(), false),
            // No panic came through it: its future was dropped between polls.
            ("sibling", Some(0), "Cancelled".to_owned(), false),
            ("panics", Some(0), "Panicked".to_owned(), false),
            ("inside", Some(2), "Panicked".to_owned(), false),
        ]
    );
    assert_eq!(report.calls[1].total, Some(boxes(2)));
}

#[test]
fn a_call_polled_where_its_strand_does_not_run() {
    let (trace, other) = (Trace::new(), Trace::new());
    let scope = trace.inject();
    let around = call!("around");
    let [mut without, mut within, mut back] = ["without", "within", "back"].map(|id| {
        Box::pin(call!("{id}").instrument(async {
            allocate(1);
            pause(1).await;
            let _there = call!("there");
            allocate(100);
            pause(1).await;
        }))
    });
    for future in [&mut without, &mut within, &mut back] {
        assert!(poll(future.as_mut()).is_pending());
    }
    std::thread::scope(|threads| {
        let poll_all = || {
            assert!(poll(without.as_mut()).is_pending());
            let _scope = other.inject();
            assert!(poll(within.as_mut()).is_pending());
            assert!(poll(back.as_mut()).is_pending());
            assert!(poll(within.as_mut()).is_ready());
        };
        threads.spawn(poll_all).join().unwrap();
    });
    let last = measure(|| assert!(poll(back.as_mut()).is_ready()));
    assert_eq!(last.counts, Some(boxes(0)));
    drop(without);
    around.stop();
    drop(scope);
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let allocations = call.self_counts.unwrap().allocations;
            let id = call.id.as_deref().unwrap();
            (
                id,
                call.parent,
                allocations,
                format!("{:?}", call.outcome),
                call.partial,
            )
        })
        .collect();
    assert_eq!(
        lines[1..],
        [
            ("without", Some(0), 1, "Cancelled".to_owned(), true),
            ("within", Some(0), 1, "Ok".to_owned(), true),
            ("back", Some(0), 1, "Ok".to_owned(), true),
        ]
    );
    assert!(!report.calls[0].partial);
    // "there" of `without` found no trace at all.
    assert_eq!(
        calls(&other),
        [
            "there in -: 200, 100, Ok",
            "there in there: 100, 100, Ok, partial"
        ]
    );
}

#[test]
fn an_instrumented_future_moved_into_another_traces_scope() {
    let (trace, other) = (Trace::new(), Trace::new());
    let mut future = Box::pin(trace.instrument(async {
        let _plain = call!("plain");
        step(2).await;
    }));
    let _ = poll(future.as_mut());
    let scope = other.inject();
    let around = call!("around");
    while poll(future.as_mut()).is_pending() {}
    around.stop();
    drop(scope);
    drop(future);
    assert_eq!(calls(&trace), ["plain in -: 2, 2, Ok"]);
    assert_eq!(calls(&other), ["around in -: 1, 1, Ok"]);
}

#[test]
fn a_future_outlives_its_trace() {
    let trace = Trace::new();
    let scope = trace.inject();
    let stale = Box::pin(call!("stale").instrument(step(2)));
    drop((scope, trace));
    let fresh = Trace::new();
    let scope = fresh.inject();
    let measured = measure(|| run(stale));
    let call = call!("fresh");
    allocate(1);
    call.stop();
    drop(scope);
    assert_eq!(measured.counts.unwrap().allocations, 2);
    assert_eq!(calls(&fresh), ["fresh in -: 1, 1, Ok"]);
}

#[test]
fn a_thread_held_up_in_the_middle_of_a_poll() {
    // All workers are in a poll at once, and again with other tasks: they have been interleaved.
    let runtime = runtime();
    let meet = std::sync::Arc::new(Barrier::new(4));
    let traces: Vec<_> = (0..4).map(|_| Trace::new()).collect();
    let tasks: Vec<_> = traces
        .iter()
        .map(|trace| {
            let meet = std::sync::Arc::clone(&meet);
            runtime.spawn(trace.instrument(async move {
                let _plain = call!("plain");
                for round in 0..20 {
                    allocate(round);
                    tokio::task::block_in_place(|| meet.wait());
                    pause(1).await;
                }
            }))
        })
        .collect();
    runtime.block_on(join_all(tasks));
    for trace in &traces {
        let report = trace.report();
        let call = &report.calls[0];
        assert_eq!((call.total, call.partial), (report.total, false));
        // `block_in_place` may allocate: it hands the worker's other tasks to another thread.
        assert!(call.total.unwrap().allocations >= 190);
    }
}

#[test]
fn local_tasks_that_hold_scopes_over_an_await() {
    let trace = Trace::new();
    let seen = Rc::new(RefCell::new(Vec::new()));
    run(async {
        let scope = trace.inject();
        let plain = call!("plain");
        step(3).await;
        seen.borrow_mut().push(tracer::fetch().id());
        plain.stop();
        drop(scope);
    });
    assert_eq!(*seen.borrow(), [trace.id()]);
    assert!(tracer::fetch().is_empty());
    let lines = calls(&trace);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("plain in -: 4 allocations") || lines[0] == "plain in -: 3, 3, Ok"
    );
}

#[test]
fn a_select_of_instrumented_traces() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let losing = trace.instrument(async {
        let _loses = call!("loses");
        step(100).await;
    });
    let winning = trace.instrument(async {
        let _wins = call!("wins");
        step(2).await;
    });
    match run(select(pin!(losing), pin!(winning))) {
        Either::Left(_) => unreachable!(),
        Either::Right(((), losing)) => assert_eq!(losing.trace().id(), trace.id()),
    }
    around.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "around in -: 5, 0, Ok",
            "loses in around: 3, 3, Cancelled",
            "wins in around: 2, 2, Ok",
        ]
    );
}

#[test]
fn a_guard_taken_from_a_future_that_rests_into_another() {
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
