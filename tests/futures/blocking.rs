//! Blocking on a future inside a call, blocking in place, blocking jobs, and runtimes within runtimes.

use std::sync::{Arc, Barrier};

use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tracer::{Outcome, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::calls;
use crate::pause::pause;
use crate::{assert_adds_up, call_with_id, outcomes, runtime, step};

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
        let call = call_with_id(&report, &number.to_string());
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
            // The first block on a thread allocates, which would be counted in the call.
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

#[test]
fn a_blocking_job_outlives_its_request() {
    let trace = Trace::new();
    let runtime = runtime();
    // A channel would allocate to wait.
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
            // The job's handle. The test's own handle keeps the trace.
            drop(elsewhere);
            there.wait();
        }));
        around.stop();
    }));
    while trace.report().calls.len() < 2 {
        std::thread::yield_now();
    }
    let report = trace.report();
    let job = call_with_id(&report, "job");
    assert_eq!((&job.outcome, job.parent), (&Outcome::Running, Some(0)));
    assert_eq!(report.calls[0].outcome, Outcome::Ok);
    turn.wait();
    turn.wait();
    let report = trace.report();
    let (around, job, inside) = (
        call_with_id(&report, "around"),
        call_with_id(&report, "job"),
        call_with_id(&report, "inside"),
    );
    assert_eq!(
        (job.self_counts, inside.self_counts),
        (Some(boxes(3)), Some(boxes(4)))
    );
    assert_eq!((job.parent, inside.parent), (Some(0), Some(1)));
    // The total of a call that has stopped includes the work spawned below it.
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
    let total = |id| call_with_id(&report, id).total.unwrap();
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
    assert_eq!(call_with_id(&report, "spawned").total, Some(boxes(4)));
    assert_eq!(call_with_id(&report, "inside").total, Some(boxes(8)));
    assert_adds_up(&report);
}
