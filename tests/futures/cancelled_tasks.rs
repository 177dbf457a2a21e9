//! Tasks of tokio that are cancelled: by a timeout, by `abort`, or dropped with a set or a runtime.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};
use tracer::{Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};
use crate::pause::pause;
use crate::{assert_adds_up, outcomes, runtime, step};

/// Waits inside a future until the test has done something, without allocating.
pub(crate) struct Gate(tokio::sync::Notify);

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(tokio::sync::Notify::new()))
    }

    pub(crate) async fn wait(&self) {
        self.0.notified().await;
    }

    pub(crate) fn open(&self) {
        self.0.notify_one();
    }
}

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
    // Waits for tasks that may still be in their drop.
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
