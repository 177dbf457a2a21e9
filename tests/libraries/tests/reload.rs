//! A filter that is reloaded while requests run on several workers.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::{JoinSet, yield_now};
use tracer::recorder::{Policy, Recorder, Statistics};
use tracer::{CallReport, Outcome};
use tracer_libraries::{allocate, workers};
use tracing::{
    Dispatch, Instrument, Subscriber, debug, debug_span, dispatcher, info, info_span, instrument,
};
use tracing_subscriber::{EnvFilter, Registry, prelude::*, reload};

const TASKS: u64 = 4;
const REQUESTS: u64 = 400;
const FILTERS: [&str; 6] = [
    "info",
    "trace",
    "off",
    "info,reload[part]=debug",
    "debug",
    "warn",
];

#[instrument]
async fn handle(id: u64) {
    info!("before");
    let part = async {
        drop(allocate(10));
        yield_now().await;
        debug!("inside");
    };
    part.instrument(debug_span!("part", id)).await;
    let task = async { info!("in a task") };
    tokio::spawn(task.instrument(info_span!("task")))
        .await
        .unwrap();
}

async fn requests() {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        tasks.spawn(async {
            for id in 0..REQUESTS {
                let span = info_span!("request", otel.kind = "server", id);
                handle(id).instrument(span).await;
            }
        });
    }
    tasks.join_all().await;
}

/// Runs requests while the filter is reloaded. Returns the statistics and how often it was reloaded.
fn under_load(
    recorder: &Recorder,
    subscriber: impl Subscriber + Send + Sync,
    reload: impl Fn(EnvFilter) + Sync,
) -> (Statistics, usize) {
    let dispatch = Dispatch::new(subscriber);
    let runtime: Runtime = workers(&dispatch);
    let is_over = AtomicBool::new(false);
    let reloads = thread::scope(|scope| {
        let reloads = scope.spawn(|| {
            // The only subscriber of a process is found by `tracing` on threads that have it as their default.
            let _default = dispatcher::set_default(&dispatch);
            let filters = FILTERS.iter().cycle().enumerate();
            for (count, filter) in filters {
                if is_over.load(Relaxed) {
                    return count;
                }
                reload(EnvFilter::new(filter));
                thread::sleep(Duration::from_micros(300));
            }
            unreachable!("the filters are a cycle")
        });
        runtime.block_on(runtime.spawn(requests())).unwrap();
        is_over.store(true, Relaxed);
        reloads.join().unwrap()
    });
    drop(runtime);
    assert!(recorder.flush(Duration::from_secs(20)));
    (recorder.statistics(), reloads)
}

fn check(recorder: &Recorder, (statistics, reloads): (Statistics, usize)) {
    let Statistics {
        ended,
        kept,
        not_kept,
        dropped,
        in_flight,
        ..
    } = statistics;
    assert_eq!(ended, kept + not_kept + dropped);
    assert_eq!(in_flight, 0);
    // Some filters leave out the spans of requests.
    assert!((1..TASKS * REQUESTS).contains(&ended));
    assert!(kept > 0 && not_kept > 0 && reloads > FILTERS.len());
    for report in recorder.kept() {
        let known = |call: &CallReport| match &*call.name {
            "request" => call.parent.is_none(),
            "handle" | "part" | "task" => call.parent.is_some(),
            _ => false,
        };
        assert!(report.calls.iter().all(known), "{report:#}");
        let is_over = |call: &CallReport| call.outcome != Outcome::Running && !call.partial;
        assert!(report.calls.iter().all(is_over), "{report:#}");
    }
}

fn keeping_some() -> Recorder {
    let policy = Policy::none().when("some", |ended| ended.wall.subsec_nanos().is_multiple_of(3));
    Recorder::builder().policy(policy).start().unwrap()
}

#[test]
fn the_layers_own_filter() {
    let recorder = keeping_some();
    let (filter, handle) = reload::Layer::new(EnvFilter::new("trace"));
    let layer = tracer::tracing::layer().recorder(recorder.clone());
    let subscriber = Registry::default().with(layer.with_filter(filter));
    let subscriber = tracer::tracing::subscriber(subscriber);
    let figures = under_load(&recorder, subscriber, |filter| {
        handle.reload(filter).unwrap();
    });
    check(&recorder, figures);
}

#[test]
fn a_filter_of_all_layers() {
    let recorder = keeping_some();
    let (filter, handle) = reload::Layer::new(EnvFilter::new("trace"));
    let layer = tracer::tracing::layer().recorder(recorder.clone());
    let subscriber = Registry::default().with(filter).with(layer);
    let subscriber = tracer::tracing::subscriber(subscriber);
    let figures = under_load(&recorder, subscriber, |filter| {
        handle.reload(filter).unwrap();
    });
    check(&recorder, figures);
}
