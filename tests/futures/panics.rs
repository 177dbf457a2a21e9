//! Panics in polled futures, and calls after them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;

use futures_util::FutureExt;
use tokio::runtime::Builder;
use tracer::{Outcome, Trace, call};

use crate::boxes::boxes;
use crate::by_hand::{poll, run};
use crate::common::allocate;
use crate::pause::pause;
use crate::{assert_exact, outcomes, runtime, step};

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
            // No panic passed through it: its future was dropped between polls.
            ("sibling", Some(0), "Cancelled".to_owned(), false),
            ("panics", Some(0), "Panicked".to_owned(), false),
            ("inside", Some(2), "Panicked".to_owned(), false),
        ]
    );
    assert_eq!(report.calls[1].total, Some(boxes(2)));
}

#[test]
fn a_catch_around_a_poll_and_calls_after_it() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let panics = call!("panics").instrument(async {
            let _plain = call!("plain");
            step(2).await;
            resume_unwind(Box::new(()));
        });
        AssertUnwindSafe(panics).catch_unwind().await.unwrap_err();
        let after = call!("after").instrument(step(3));
        after.await;
        around.stop();
    }));
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            (
                call.id.as_deref().unwrap(),
                call.parent,
                call.outcome.clone(),
                call.partial,
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("around", None, Outcome::Ok, false),
            ("panics", Some(0), Outcome::Panicked, false),
            ("plain", Some(1), Outcome::Panicked, false),
            ("after", Some(0), Outcome::Ok, false),
        ]
    );
    assert_eq!(report.calls[3].total, Some(boxes(3)));
    assert_exact(&report);
}

#[test]
fn a_catch_around_a_poll_of_an_instrumented_trace() {
    let trace = Trace::new();
    let mut future = pin!(trace.instrument(async {
        let _plain = call!("plain");
        step(2).await;
        resume_unwind(Box::new(()));
    }));
    for _ in 0..2 {
        assert!(poll(future.as_mut()).is_pending());
    }
    catch_unwind(AssertUnwindSafe(|| {
        let _ = poll(future.as_mut());
    }))
    .unwrap_err();
    // The thread has left the trace.
    assert!(tracer::fetch().is_empty());
    allocate(100);
    let report = trace.report();
    let call = &report.calls[0];
    assert_eq!((&call.outcome, call.partial), (&Outcome::Panicked, false));
    assert_eq!(report.total, call.total);
    assert!(call.total.unwrap().allocations < 100);
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
            // Tokio panics, because this thread already drives tasks.
            let blocked = catch_unwind(AssertUnwindSafe(|| {
                let _inside = call!("inside");
                inner.block_on(pause(1));
            }));
            tokio::task::block_in_place(|| drop(inner));
            // The panic continues through the traced call.
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
