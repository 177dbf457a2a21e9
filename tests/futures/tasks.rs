//! Tasks that many threads poll, with other tasks in between.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Barrier;

use futures_util::future::join_all;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, unconstrained};
use tracer::{Outcome, Trace, call};

use crate::boxes::boxes;
use crate::by_hand::{poll, run};
use crate::common::allocate;
use crate::lines::calls;
use crate::pause::pause;
use crate::{assert_adds_up, runtime, step};

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
    // Tasks that are not traced and allocate all the time.
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
fn a_task_whose_polls_are_in_two_runtimes() {
    let trace = Trace::new();
    let runtimes = [runtime(), runtime()];
    let mut future = Box::pin(trace.instrument(async {
        let call = call!("call");
        for _ in 0..100 {
            allocate(1);
            // The select below takes the other branch in between.
            pause(1).await;
        }
        call.stop();
    }));
    let mut turn = 0;
    loop {
        let polled = async move {
            let once = std::future::poll_fn(|context| {
                std::task::Poll::Ready(future.as_mut().poll(context).is_ready())
            });
            allocate(10);
            let ready = once.await;
            allocate(10);
            (future, ready)
        };
        let runtime = &runtimes[turn % 2];
        let (back, ready) = runtime.block_on(runtime.spawn(polled)).unwrap();
        future = back;
        turn += 1;
        if ready {
            break;
        }
    }
    assert_eq!(turn, 101);
    assert_eq!(calls(&trace), ["call in -: 100, 100, Ok"]);
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

#[test]
fn local_tasks_of_many_traces() {
    let traces: Vec<_> = (0..16).map(|_| Trace::new()).collect();
    let local = LocalSet::new();
    let runtime = Builder::new_current_thread().build().unwrap();
    for (trace, number) in traces.iter().zip(1_u32..) {
        local.spawn_local(trace.instrument(async move {
            let plain = Rc::new(Cell::new(Some(call!("plain"))));
            step(number).await;
            let inner = call!("inner").instrument(step(10 * number));
            inner.await;
            drop(plain.take());
            pause(1).await;
            // Not in `plain`, which has stopped.
            allocate(1);
        }));
    }
    runtime.block_on(local);
    for (trace, number) in traces.iter().zip(1_u64..) {
        let report = trace.report();
        let (plain, inner) = (&report.calls[0], &report.calls[1]);
        assert_eq!(
            (inner.total, inner.parent),
            (Some(boxes(10 * number)), Some(0))
        );
        // One more is the block of the `Rc`, which is freed after the call.
        assert_eq!(plain.self_counts.unwrap().allocations, number + 1);
        assert_eq!(report.total.unwrap().allocations, 11 * number + 2);
        assert!(!plain.partial && !inner.partial);
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
fn an_unconstrained_task() {
    let trace = Trace::new();
    let runtime = runtime();
    let task = unconstrained(trace.instrument(async {
        let around = call!("around").instrument(async {
            // More operations than tokio's budget for one poll.
            let (send, mut receive) = tokio::sync::mpsc::channel(1);
            for count in 0..500 {
                send.send(count).await.unwrap();
                let call = call!("received");
                allocate(receive.recv().await.unwrap() % 3);
                call.stop();
            }
        });
        around.await;
    }));
    runtime.block_on(runtime.spawn(task)).unwrap();
    let report = trace.report();
    assert_eq!(report.calls.len(), 501);
    for (number, call) in (0..500_u64).zip(&report.calls[1..]) {
        assert_eq!(
            (call.total, call.parent),
            (Some(boxes(number % 3)), Some(0))
        );
    }
    assert_adds_up(&report);
}

#[test]
fn a_thread_held_up_in_the_middle_of_a_poll() {
    // All four workers are in a poll at once, round after round, with the tasks interleaved.
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
fn reports_taken_by_other_tasks_while_four_workers_write() {
    let runtime = runtime();
    let traces: Vec<_> = (0..16).map(|_| Trace::new()).collect();
    let writers = traces.iter().map(|trace| {
        runtime.spawn(trace.instrument(async {
            for _ in 0..50 {
                let branch = call!("branch");
                let leaf = call!("leaf").instrument(step(3));
                leaf.await;
                allocate(2);
                branch.stop();
                pause(1).await;
            }
        }))
    });
    let writers: Vec<_> = writers.collect();
    let readers = (0..4).map(|reader| {
        let traces = traces.clone();
        runtime.spawn(async move {
            for turn in 0..200 {
                let report = traces[(reader + turn) % traces.len()].report();
                for call in &report.calls {
                    let total = call.total.unwrap();
                    match (call.id.as_deref().unwrap(), &call.outcome) {
                        ("leaf", Outcome::Ok) => assert_eq!(total, boxes(3)),
                        ("branch", Outcome::Ok) => {
                            assert_eq!((total, call.self_counts), (boxes(5), Some(boxes(2))));
                        }
                        // Never more than its final figure.
                        ("leaf", Outcome::Running) => assert!(total.allocations <= 3, "{report:#}"),
                        ("branch", Outcome::Running) => {
                            assert!(total.allocations <= 5, "{report:#}");
                        }
                        _ => panic!("{report:#}"),
                    }
                    assert!(
                        call.outcome == Outcome::Running || !call.partial,
                        "{report:#}"
                    );
                }
                tokio::task::yield_now().await;
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for task in runtime.block_on(join_all(writers.into_iter().chain(readers))) {
        task.unwrap();
    }
    for trace in &traces {
        let report = trace.report();
        assert_eq!((report.calls.len(), report.total), (100, Some(boxes(250))));
    }
}
