//! How a future's end is told.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tracer::Trace;
use tracing::{Instrument, info_span, instrument};

use crate::{allocate, names, recorded, subscriber, workers};

#[instrument]
async fn leaf() {
    pending::<()>().await;
}

#[instrument]
async fn outer() {
    leaf().await;
}

#[instrument]
async fn ready() {
    drop(allocate(1));
}

#[instrument]
async fn pauses() {
    tokio::task::yield_now().await;
    ready().await;
    tokio::time::sleep(Duration::from_millis(5)).await;
}

fn run(work: impl Future<Output = ()> + Send + 'static) -> String {
    let runtime = workers(subscriber());
    let trace = Trace::new();
    let work = Trace::instrument(&trace, work);
    runtime.block_on(runtime.spawn(work)).unwrap_or_default();
    names(&trace.report())
}

#[test]
fn a_future_that_was_ready_is_not_cancelled() {
    assert_eq!(run(pauses()), "pauses\n  ready");
    assert_eq!(
        run(async {
            tokio::spawn(pauses().instrument(info_span!("task")))
                .await
                .unwrap();
        }),
        "task\n  pauses\n    ready"
    );
}

#[test]
fn a_future_that_times_out_is_cancelled() {
    let shown = run(async {
        let _ = tokio::time::timeout(Duration::from_millis(5), outer()).await;
    });
    assert_eq!(shown, "outer cancelled\n  leaf cancelled");
}

#[test]
fn a_task_that_is_aborted_is_cancelled() {
    let shown = run(async {
        let task = tokio::spawn(outer().instrument(info_span!("task")));
        tokio::time::sleep(Duration::from_millis(20)).await;
        task.abort();
        let _ = task.await;
    });
    assert_eq!(
        shown,
        "task cancelled\n  outer cancelled\n    leaf cancelled"
    );
}

#[test]
fn a_future_that_is_dropped_in_a_later_poll_is_cancelled() {
    let shown = run(async {
        let mut outer = Box::pin(outer());
        let _ = futures_util::poll!(&mut outer);
        tokio::task::yield_now().await;
        drop(outer);
    });
    assert_eq!(shown, "outer cancelled\n  leaf cancelled");
}

#[test]
fn a_panic_is_told() {
    #[instrument]
    async fn panics() {
        tokio::task::yield_now().await;
        panic!("in a span");
    }
    assert_eq!(run(panics()), "panics panicked");
    let trace = Trace::new();
    tracing::subscriber::with_default(subscriber(), || {
        let _scope = trace.inject();
        let work = || info_span!("sync").in_scope(|| std::panic::resume_unwind(Box::new(())));
        let _: Result<(), _> = catch_unwind(AssertUnwindSafe(work));
        info_span!("after").in_scope(|| ());
    });
    let shown = names(&trace.report());
    assert_eq!(shown, "sync panicked\nafter");
}

#[test]
fn a_span_is_closed_on_a_thread_that_has_seen_fewer_cancelled_futures() {
    let report = recorded(|| {
        let cancel = async {
            let mut future = Box::pin(pending::<()>().instrument(info_span!("cancelled")));
            let _ = futures_util::poll!(&mut future);
            info_span!("between").in_scope(|| ());
        };
        futures_util::FutureExt::now_or_never(cancel).unwrap();
        let span = info_span!("moved");
        span.in_scope(|| ());
        span.in_scope(|| ());
        std::thread::spawn(move || drop(span)).join().unwrap();
    });
    assert_eq!(report.calls.len(), 3);
}

#[test]
fn the_branch_of_a_select_that_wins_is_not_cancelled() {
    async fn select() {
        let wins = async { tokio::time::sleep(Duration::from_millis(5)).await };
        tokio::select! {
            // So that the others are polled before it, and dropped before it.
            biased;
            () = outer() => {}
            () = leaf() => {}
            () = wins.instrument(info_span!("wins")) => {}
        }
    }
    let shown = "outer cancelled\n  leaf cancelled\nleaf cancelled\nwins";
    assert_eq!(run(select()), shown);
    let inside = run(async { select().instrument(info_span!("around")).await });
    assert_eq!(inside, format!("around\n  {}", shown.replace('\n', "\n  ")));
}

#[test]
fn branches_that_are_dropped_later_are_all_cancelled() {
    let shown = run(async {
        let both = async { tokio::join!(leaf(), leaf()) };
        let both = both.instrument(info_span!("around"));
        let _ = tokio::time::timeout(Duration::from_millis(5), both).await;
    });
    assert_eq!(
        shown,
        "around cancelled\n  leaf cancelled\n  leaf cancelled"
    );
}

#[instrument]
fn makes() -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(pending().instrument(info_span!("made")))
}

#[instrument]
async fn aborts() {
    let task = tokio::spawn(pending::<()>().instrument(info_span!("task")));
    tokio::task::yield_now().await;
    info_span!("between").in_scope(|| ());
    task.abort();
}

/// A registry keeps a span until those inside are closed.
#[test]
fn what_has_returned_is_not_cancelled_with_a_future_that_it_made() {
    let report = recorded(|| {
        let mut future = makes();
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        info_span!("between").in_scope(|| ());
        drop(future);
    });
    assert_eq!(names(&report), "makes\nmade cancelled\nbetween");
    let shown = run(async {
        aborts().await;
        // The trace goes on.
        tokio::time::sleep(Duration::from_millis(20)).await;
    });
    assert_eq!(shown, "aborts\n  task cancelled\n  between");
}
