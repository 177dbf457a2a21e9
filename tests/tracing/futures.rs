//! Spans of spawned tasks and of futures that change threads.

use tracer::{Outcome, Trace};
use tracing::{Instrument, info_span, instrument};

use crate::{allocate, names, subscriber, workers};

#[instrument]
async fn work() {
    let kept = allocate(10);
    tokio::task::yield_now().await;
    nested().await;
    drop(kept);
}

#[instrument]
async fn nested() {
    tokio::task::yield_now().await;
    drop(allocate(20));
}

#[test]
fn a_spawned_task_is_below_the_call_that_spawned_it() {
    let runtime = workers(subscriber());
    let trace = Trace::new();
    let request = async {
        let span = info_span!("request");
        async {
            drop(allocate(1));
            let child = info_span!("child");
            let child = tokio::spawn(async { work().await }.instrument(child));
            let other = tokio::spawn(work().instrument(info_span!("other")));
            child.await.unwrap();
            other.await.unwrap();
        }
        .instrument(span)
        .await;
    };
    // On a worker, which has the subscriber.
    runtime
        .block_on(runtime.spawn(Trace::instrument(&trace, request)))
        .unwrap();
    let report = trace.report();
    let shown = names(&report);
    for task in ["child", "other"] {
        let whole = format!("  {task}\n    work\n      nested");
        assert!(shown.contains(&whole), "{shown}");
    }
    let mut nested = report.calls.iter().filter(|call| call.name == "nested");
    // The registry requests memory on each thread, too.
    assert!(nested.all(|call| call.total.unwrap().bytes_allocated >= 20));
    assert!(
        report
            .calls
            .iter()
            .all(|call| !call.partial && call.outcome == Outcome::Ok)
    );
}

#[test]
fn a_task_without_words_is_not_in_the_trace() {
    let runtime = workers(subscriber());
    let trace = Trace::new();
    let request = async {
        tokio::spawn(work()).await.unwrap();
    };
    runtime
        .block_on(runtime.spawn(Trace::instrument(&trace, request)))
        .unwrap();
    assert_eq!(names(&trace.report()), "");
}

#[test]
fn a_task_with_a_root_span_is_not_in_the_trace() {
    let runtime = workers(subscriber());
    let trace = Trace::new();
    let request = async {
        let root = info_span!(parent: None, "root", id = 1);
        let inside = info_span!(parent: &root, "inside");
        root.in_scope(|| drop(allocate(10)));
        tokio::spawn(work().instrument(root)).await.unwrap();
        tokio::spawn(work().instrument(inside)).await.unwrap();
    };
    runtime
        .block_on(runtime.spawn(Trace::instrument(&trace, request)))
        .unwrap();
    let report = trace.report();
    // A call where it was entered in its trace.
    assert_eq!(names(&report), "root");
    assert_eq!(report.calls[0].id.as_deref(), Some("1"));
    assert_eq!(report.calls[0].total.unwrap().bytes_allocated, 10);
}
