//! Spans of `tracing` as calls. `#[traced]` beside `#[instrument]` is the oracle.

#[cfg(target_os = "linux")]
#[path = "../common/sites.rs"]
mod figures;
#[path = "../common/written.rs"]
mod written;

mod answers;
mod cancelled;
mod entries;
mod fields;
mod futures;
mod labels;
mod lifecycles;
mod log;
mod memory;
mod model;
mod oracle;
mod random;
mod requests;
mod same_span;
#[cfg(target_os = "linux")]
mod sites;
mod spawned;
mod threads;

use std::fmt::Write as _;
use std::hint::black_box;

use tokio::runtime::{Builder, Runtime};
use tracer::tracing::CallLayer;
use tracer::{CallReport, Counting, Outcome, Report, Trace};
use tracing::Subscriber;
use tracing::subscriber::with_default;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// Returns a registry with the layer.
fn subscriber() -> impl Subscriber + Send + Sync {
    with_layer(tracer::tracing::layer())
}

fn with_layer(layer: CallLayer) -> impl Subscriber + Send + Sync {
    Registry::default().with(layer)
}

/// Runs work in a trace, with the layer.
fn recorded(work: impl FnOnce()) -> Report {
    recorded_by(subscriber(), work)
}

fn recorded_by(subscriber: impl Subscriber + Send + Sync + 'static, work: impl FnOnce()) -> Report {
    let trace = Trace::new();
    with_default(subscriber, || {
        let scope = trace.inject();
        work();
        drop(scope);
    });
    trace.report()
}

/// Returns all that does not depend on time.
fn shown(report: &Report) -> String {
    let mut shown = String::new();
    for call in &report.calls {
        let CallReport {
            name,
            id,
            labels,
            parent,
            outcome,
            total,
            peak_bytes,
            ..
        } = call;
        let partial = if call.partial { ", partial" } else { "" };
        writeln!(
            shown,
            "{name} {id:?} {labels:?} in {parent:?}: {outcome:?} {total:?} peak {peak_bytes:?}{partial}"
        )
        .unwrap();
    }
    shown
}

/// Returns names, places and outcomes of calls that may have allocated more than they do: a registry
/// requests memory on each thread.
fn names(report: &Report) -> String {
    let tree = tree(report);
    let lines = tree.lines().map(|line| {
        let mut words = line.split(' ');
        let kept = |word: &&str| word.parse::<u64>().is_err();
        words.by_ref().filter(kept).collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns names, places, allocations and outcomes.
fn tree(report: &Report) -> String {
    let mut shown = String::new();
    add_inside(report, None, 0, &mut shown);
    shown
}

fn add_inside(report: &Report, parent: Option<usize>, depth: usize, shown: &mut String) {
    for (index, call) in report.calls.iter().enumerate() {
        if call.parent != parent {
            continue;
        }
        let outcome = match &call.outcome {
            Outcome::Ok => "",
            Outcome::Failed(_) => " failed",
            Outcome::Panicked => " panicked",
            Outcome::Cancelled => " cancelled",
            Outcome::Running => " running",
        };
        let partial = if call.partial { " partial" } else { "" };
        let allocates = call.total.unwrap().allocates();
        let indent = "  ".repeat(depth);
        writeln!(shown, "{indent}{} {allocates}{outcome}{partial}", call.name).unwrap();
        add_inside(report, Some(index), depth + 1, shown);
    }
}

/// Allocates once.
fn allocate(bytes: usize) -> Vec<u8> {
    black_box(vec![0; bytes])
}

/// Returns a runtime of two workers, each with the subscriber.
fn workers(subscriber: impl Subscriber + Send + Sync + 'static) -> Runtime {
    let dispatch = tracing::Dispatch::new(subscriber);
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(move || {
            std::mem::forget(tracing::dispatcher::set_default(&dispatch));
        })
        .build()
        .unwrap()
}
