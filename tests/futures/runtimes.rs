//! Tokio's ways to run, stop and block on a task: each call has exactly its own, and its outcome.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, LocalSet, spawn_blocking, unconstrained};
use tracer::alloc::Counts;
use tracer::{CallReport, Outcome, Report, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};
use crate::pause::pause;
use crate::step::step;

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(4).enable_all().build().unwrap()
}

/// Id, parent's id, outcome and `partial` of each call, where what the runtime allocates is in the
/// figures.
fn outcomes(report: &Report) -> Vec<String> {
    let line = |call: &CallReport| {
        let parent = call
            .parent
            .and_then(|parent| report.calls[parent].id.as_deref());
        let partial = if call.partial { ", partial" } else { "" };
        let id = call.id.as_deref().unwrap();
        format!(
            "{id} in {}: {:?}{partial}",
            parent.unwrap_or("-"),
            call.outcome
        )
    };
    report.calls.iter().map(line).collect()
}

fn call<'a>(report: &'a Report, id: &str) -> &'a CallReport {
    let is_it = |call: &&CallReport| call.id.as_deref() == Some(id);
    report.calls.iter().find(is_it).unwrap()
}

/// Every allocation in the trace is the self of exactly one call.
fn assert_adds_up(report: &Report) {
    let own: Counts = report
        .calls
        .iter()
        .map(|call| call.self_counts.unwrap())
        .sum();
    assert_eq!(report.total, Some(own), "{report:#}");
}

/// Waits inside a future until the test has done something, without allocating.
struct Gate(tokio::sync::Notify);

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self(tokio::sync::Notify::new()))
    }

    async fn wait(&self) {
        self.0.notified().await;
    }

    fn open(&self) {
        self.0.notify_one();
    }
}

// Every branch and every case on four workers.

#[test]
fn the_branches_of_joins_on_four_workers() {
    const TASKS: u32 = 64;
    let runtime = runtime();
    let traces: Vec<_> = (0..TASKS).map(|_| Trace::new()).collect();
    let tasks: Vec<_> = traces
        .iter()
        .zip(1_u32..)
        .map(|(trace, number)| {
            runtime.spawn(trace.instrument(async move {
                let around = call!("around");
                let branch = |count| async move {
                    step(count).await;
                    let plain = call!("plain {count}");
                    step(count).await;
                    call!("inside {count}").instrument(step(count)).await;
                    plain.stop();
                };
                tokio::join!(
                    call!("left").instrument(branch(number)),
                    call!("right").instrument(branch(1000 + number)),
                );
                around.stop();
            }))
        })
        .collect();
    runtime.block_on(join_all(tasks));
    for (trace, left) in traces.iter().zip(1_u64..) {
        let right = 1000 + left;
        let mut lines = calls(trace);
        lines.sort();
        let mut expected = [
            format!("around in -: {}, 0, Ok", 3 * (left + right)),
            format!("inside {right} in plain {right}: {right}, {right}, Ok"),
            format!("inside {left} in plain {left}: {left}, {left}, Ok"),
            format!("left in around: {}, {left}, Ok", 3 * left),
            format!("plain {right} in right: {}, {right}, Ok", 2 * right),
            format!("plain {left} in left: {}, {left}, Ok", 2 * left),
            format!("right in around: {}, {right}, Ok", 3 * right),
        ];
        expected.sort();
        assert_eq!(lines, expected);
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
                        // Never more than it will have been in the end.
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

// Ended by somebody else.

#[test]
fn a_timeout_that_expires() {
    let trace = Trace::new();
    runtime().block_on(trace.instrument(async {
        let around = call!("around");
        let late = call!("late").instrument(async {
            let _plain = call!("plain");
            step(5).await;
            std::future::pending::<()>().await;
        });
        let timed = tokio::time::timeout(Duration::from_millis(5), late);
        assert!(timed.await.is_err());
        let after = call!("after");
        allocate(3);
        after.stop();
        around.stop();
    }));
    let report = trace.report();
    let lines = calls_of(&report);
    assert_eq!(
        lines[1..],
        [
            "late in around: 5, 0, Cancelled",
            "plain in late: 5, 5, Cancelled",
            "after in around: 3, 3, Ok",
        ]
    );
    assert_eq!(outcomes(&report)[0], "around in -: Ok");
    assert_adds_up(&report);
}

#[test]
fn tasks_aborted_between_polls() {
    let runtime = runtime();
    for round in 0..50 {
        let trace = Trace::new();
        let (reached, done) = (Gate::new(), Arc::clone(&Gate::new()));
        let task = trace.instrument({
            let (reached, done) = (Arc::clone(&reached), Arc::clone(&done));
            async move {
                let _plain = call!("plain");
                step(round).await;
                let _in_call = call!("around")
                    .instrument(async {
                        allocate(2);
                        reached.open();
                        done.wait().await;
                        unreachable!("aborted before");
                    })
                    .await;
            }
        });
        let task = runtime.spawn(task);
        runtime.block_on(async {
            reached.wait().await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        });
        assert_eq!(
            calls(&trace),
            [
                format!("plain in -: {}, {round}, Cancelled", round + 2),
                "around in plain: 2, 2, Cancelled".to_owned(),
            ]
        );
    }
}

#[test]
fn a_join_set_dropped_with_its_tasks() {
    let trace = Trace::new();
    let runtime = runtime();
    let gates: Vec<_> = (0..8).map(|_| Gate::new()).collect();
    runtime.block_on(async {
        let mut set = JoinSet::new();
        for (number, gate) in gates.iter().enumerate() {
            let gate = Arc::clone(gate);
            set.spawn(trace.instrument(async move {
                let _call = call!("{number}");
                step(10).await;
                gate.open();
                if number % 2 == 1 {
                    std::future::pending::<()>().await;
                }
            }));
        }
        for gate in &gates {
            gate.wait().await;
        }
        for _ in 0..4 {
            set.join_next().await.unwrap().unwrap();
        }
        drop(set);
    });
    // With it, the tasks that may still be being dropped.
    drop(runtime);
    let mut lines = calls(&trace);
    lines.sort();
    let line = |number| {
        let outcome = if number % 2 == 1 { "Cancelled" } else { "Ok" };
        format!("{number} in -: 10, 10, {outcome}")
    };
    assert_eq!(lines, [0, 1, 2, 3, 4, 5, 6, 7].map(line));
    assert_eq!(trace.report().total, Some(boxes(80)));
}

#[test]
fn a_runtime_shut_down_under_its_tasks() {
    let trace = Trace::new();
    let runtime = runtime();
    let gate = Gate::new();
    for number in 0..8 {
        let gate = Arc::clone(&gate);
        runtime.spawn(trace.instrument(async move {
            let _call = call!("{number}");
            step(10).await;
            gate.open();
            std::future::pending::<()>().await;
        }));
    }
    let reached = || {
        trace
            .report()
            .calls
            .iter()
            .filter(|call| call.total == Some(boxes(10)))
            .count()
    };
    while reached() < 8 {
        runtime.block_on(gate.wait());
    }
    drop(runtime);
    let mut lines = calls(&trace);
    lines.sort();
    let line = |number| format!("{number} in -: 10, 10, Cancelled");
    assert_eq!(lines, [0, 1, 2, 3, 4, 5, 6, 7].map(line));
}

#[test]
fn a_guard_as_a_tasks_output() {
    // The handle is dropped first: the output is dropped by the runtime, after the trace was left.
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
    // Joins the worker that drops it.
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

// Blocking.

#[test]
fn blocking_in_place_and_going_on_elsewhere() {
    let trace = Trace::new();
    let runtime = runtime();
    let task = trace.instrument(async {
        let around = call!("around");
        for _ in 0..20 {
            let blocking = call!("blocking");
            tokio::task::block_in_place(|| {
                let inside = call!("inside");
                allocate(3);
                inside.stop();
            });
            blocking.stop();
            pause(1).await;
            let after = call!("after");
            allocate(2);
            after.stop();
        }
        around.stop();
    });
    runtime.block_on(runtime.spawn(task)).unwrap();
    let report = trace.report();
    assert_eq!(report.calls.len(), 61);
    for call in &report.calls {
        let parent = call
            .parent
            .map(|parent| report.calls[parent].id.as_deref().unwrap());
        let (id, total) = (call.id.as_deref().unwrap(), call.total.unwrap());
        match id {
            "inside" => assert_eq!((parent, total), (Some("blocking"), boxes(3))),
            "after" => assert_eq!((parent, total), (Some("around"), boxes(2))),
            // Handing over the worker's core may allocate, on this thread.
            _ => assert!(total.allocations >= 3),
        }
        assert_eq!((&call.outcome, call.partial), (&Outcome::Ok, false));
    }
    assert_adds_up(&report);
}

#[test]
fn a_blocking_job_outlives_its_request() {
    let trace = Trace::new();
    let runtime = runtime();
    // Not a channel: to wait in one allocates.
    let turn = Arc::new(Barrier::new(2));
    let there = Arc::clone(&turn);
    runtime.block_on(trace.instrument(async {
        let around = call!("around");
        let elsewhere = tracer::fetch();
        // Detached; its handle is dropped.
        drop(spawn_blocking(move || {
            let scope = elsewhere.inject();
            let job = call!("job");
            allocate(1);
            there.wait();
            allocate(2);
            let inside = call!("inside");
            allocate(4);
            inside.stop();
            job.stop();
            drop(scope);
            // With the job's handle; the trace lives on in this test's.
            drop(elsewhere);
            there.wait();
        }));
        around.stop();
    }));
    while trace.report().calls.len() < 2 {
        std::thread::yield_now();
    }
    let report = trace.report();
    let job = call(&report, "job");
    assert_eq!((&job.outcome, job.parent), (&Outcome::Running, Some(0)));
    assert_eq!(report.calls[0].outcome, Outcome::Ok);
    turn.wait();
    turn.wait();
    let report = trace.report();
    let (around, job, inside) = (
        call(&report, "around"),
        call(&report, "job"),
        call(&report, "inside"),
    );
    assert_eq!(
        (job.self_counts, inside.self_counts),
        (Some(boxes(3)), Some(boxes(4)))
    );
    assert_eq!((job.parent, inside.parent), (Some(0), Some(1)));
    // The call that had stopped before still has what came of it.
    assert_eq!(
        around.total.unwrap() - around.self_counts.unwrap(),
        boxes(7)
    );
    assert_eq!(report.total, around.total);
    assert!(
        report
            .calls
            .iter()
            .all(|call| call.outcome == Outcome::Ok && !call.partial)
    );
}

#[test]
fn blocking_jobs_are_children_of_the_call_open_at_fetch() {
    let trace = Trace::new();
    let runtime = runtime();
    runtime.block_on(trace.instrument(async {
        let around = call!("around");
        let jobs = (0..32_u64).map(|number| {
            let elsewhere = tracer::fetch();
            spawn_blocking(move || {
                let _scope = elsewhere.inject();
                let _call = call!("{number}");
                allocate(number);
            })
        });
        for job in jobs.collect::<Vec<_>>() {
            job.await.unwrap();
        }
        around.stop();
    }));
    let report = trace.report();
    for number in 0..32 {
        let call = call(&report, &number.to_string());
        assert_eq!(
            (call.total, call.self_counts),
            (Some(boxes(number)), Some(boxes(number)))
        );
        assert_eq!((call.parent, call.partial), (Some(0), false));
    }
    let around = &report.calls[0];
    assert_eq!(
        around.total.unwrap() - around.self_counts.unwrap(),
        boxes((0..32).sum())
    );
    assert_adds_up(&report);
}

#[test]
fn blocking_on_futures_inside_a_blocking_job() {
    let trace = Trace::new();
    let runtime = runtime();
    runtime.block_on(trace.instrument(async {
        let elsewhere = tracer::fetch();
        let handle = tokio::runtime::Handle::current();
        let job = spawn_blocking(move || {
            let scope = elsewhere.inject();
            let job = call!("job");
            let future = || async {
                let plain = call!("plain");
                step(2).await;
                call!("inside").instrument(step(4)).await;
                plain.stop();
                tracer::fetch()
                    .instrument(async {
                        let _call = call!("below");
                        step(8).await;
                    })
                    .await;
            };
            // What the first on a thread allocates is not to be told from what a call does.
            handle.block_on(pause(1));
            futures_executor::block_on(pause(1));
            handle.block_on(call!("by tokio").instrument(future()));
            futures_executor::block_on(call!("by futures").instrument(future()));
            job.stop();
            drop(scope);
        });
        job.await.unwrap();
    }));
    assert_eq!(
        calls(&trace)[1..],
        [
            "by tokio in job: 14, 0, Ok",
            "plain in by tokio: 6, 2, Ok",
            "inside in plain: 4, 4, Ok",
            "below in by tokio: 8, 8, Ok",
            "by futures in job: 14, 0, Ok",
            "plain in by futures: 6, 2, Ok",
            "inside in plain: 4, 4, Ok",
            "below in by futures: 8, 8, Ok",
        ]
    );
}

// Runtimes within runtimes.

#[test]
fn a_runtime_made_and_blocked_on_inside_a_call() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let nested = call!("nested");
    let inner = runtime();
    let spawned = inner.block_on(async {
        let _plain = call!("plain");
        step(2).await;
        call!("inside").instrument(step(4)).await;
        let child = tracer::fetch().instrument(async {
            let _call = call!("spawned");
            step(8).await;
        });
        tokio::spawn(child).await
    });
    spawned.unwrap();
    drop(inner);
    nested.stop();
    let after = call!("after");
    allocate(3);
    after.stop();
    around.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(
        outcomes(&report),
        [
            "around in -: Ok",
            "nested in around: Ok",
            "plain in nested: Ok",
            "inside in plain: Ok",
            "spawned in plain: Ok",
            "after in around: Ok",
        ]
    );
    let total = |id| call(&report, id).total.unwrap();
    assert_eq!(
        [total("inside"), total("spawned"), total("after")],
        [boxes(4), boxes(8), boxes(3)]
    );
    assert_adds_up(&report);
}

#[test]
fn a_runtime_made_and_blocked_on_inside_a_blocking_job() {
    let trace = Trace::new();
    runtime().block_on(trace.instrument(async {
        let _around = call!("around");
        let elsewhere = tracer::fetch();
        let job = spawn_blocking(move || {
            let _scope = elsewhere.inject();
            let _job = call!("job");
            let inner = runtime();
            let here = tracer::fetch();
            let spawned = inner.spawn(here.instrument(async {
                let _call = call!("spawned");
                step(4).await;
            }));
            inner.block_on(async {
                spawned.await.unwrap();
                call!("inside").instrument(step(8)).await;
            });
        });
        job.await.unwrap();
    }));
    let report = trace.report();
    let mut lines = outcomes(&report);
    lines.sort();
    assert_eq!(
        lines,
        [
            "around in -: Ok",
            "inside in job: Ok",
            "job in around: Ok",
            "spawned in job: Ok"
        ]
    );
    assert_eq!(call(&report, "spawned").total, Some(boxes(4)));
    assert_eq!(call(&report, "inside").total, Some(boxes(8)));
    assert_adds_up(&report);
}

#[test]
fn a_runtime_that_refuses_to_block_within_a_task() {
    let trace = Trace::new();
    let runtime = runtime();
    let task = trace.instrument(async {
        let around = call!("around");
        let refused = call!("refused").instrument(async {
            let _plain = call!("plain");
            let inner = Builder::new_current_thread().build().unwrap();
            // Tokio panics: this thread drives tasks already.
            let blocked = catch_unwind(AssertUnwindSafe(|| {
                let _inside = call!("inside");
                inner.block_on(pause(1));
            }));
            tokio::task::block_in_place(|| drop(inner));
            // On, through the traced call.
            std::panic::resume_unwind(blocked.unwrap_err());
        });
        let caught = futures_util::FutureExt::catch_unwind(AssertUnwindSafe(refused)).await;
        let payload = caught.unwrap_err();
        let message = payload.downcast_ref::<String>().cloned();
        let message = message.or_else(|| {
            payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
        });
        assert!(
            message
                .unwrap()
                .contains("Cannot start a runtime from within a runtime")
        );
        drop(payload);
        let after = call!("after").instrument(step(3));
        after.await;
        around.stop();
    });
    runtime.block_on(runtime.spawn(task)).unwrap();
    let report = trace.report();
    assert_eq!(
        outcomes(&report),
        [
            "around in -: Ok",
            "refused in around: Panicked",
            "plain in refused: Panicked",
            "inside in plain: Panicked",
            "after in around: Ok",
        ]
    );
    assert_eq!(report.calls[4].total, Some(boxes(3)));
}

#[test]
fn one_trace_in_two_runtimes_at_once() {
    let trace = Trace::new();
    let runtimes = [runtime(), runtime()];
    let scope = trace.inject();
    let around = call!("around");
    let elsewhere = tracer::fetch();
    around.stop();
    drop(scope);
    let tasks: Vec<_> = (0..64_u32)
        .map(|number| {
            let other = runtimes[1 - number as usize % 2].handle().clone();
            runtimes[number as usize % 2].spawn(elsewhere.instrument(async move {
                let call = call!("{number}");
                step(number).await;
                let child = tracer::fetch().instrument(async move {
                    let _call = call!("below {number}");
                    step(1 + number).await;
                });
                call.stop();
                other.spawn(child).await.unwrap();
            }))
        })
        .collect();
    for task in tasks {
        runtimes[0].block_on(task).unwrap();
    }
    let report = trace.report();
    assert_eq!(report.calls.len(), 129);
    for number in 0..64_u64 {
        let one = call(&report, &number.to_string());
        let below = call(&report, &format!("below {number}"));
        assert_eq!(
            (one.self_counts, one.parent),
            (Some(boxes(number)), Some(0))
        );
        assert_eq!(
            (below.self_counts, below.total),
            (Some(boxes(1 + number)), Some(boxes(1 + number)))
        );
        assert!(std::ptr::eq(
            &raw const report.calls[below.parent.unwrap()],
            one
        ));
        assert_eq!(one.total, Some(boxes(1 + 2 * number)));
        assert!(!one.partial && !below.partial);
    }
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

// One thread.

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
            // Not in the call, which stopped.
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
        // And the counted pointer's block, which is freed after the call.
        assert_eq!(plain.self_counts.unwrap().allocations, number + 1);
        assert_eq!(report.total.unwrap().allocations, 11 * number + 2);
        assert!(!plain.partial && !inner.partial);
    }
}

#[test]
fn a_local_set_dropped_with_its_tasks() {
    let trace = Trace::new();
    let local = LocalSet::new();
    let runtime = Builder::new_current_thread().build().unwrap();
    local.block_on(&runtime, async {
        tokio::task::spawn_local(trace.instrument(async {
            let _call = call!("local");
            step(4).await;
            std::future::pending::<()>().await;
        }));
        pause(20).await;
    });
    assert_eq!(calls(&trace), ["local in -: 4, 4, Running"]);
    drop(local);
    assert_eq!(calls(&trace), ["local in -: 4, 4, Cancelled"]);
}

#[test]
fn an_unconstrained_task() {
    let trace = Trace::new();
    let runtime = runtime();
    let task = unconstrained(trace.instrument(async {
        let around = call!("around").instrument(async {
            // Beyond the budget that a task has in one poll.
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
