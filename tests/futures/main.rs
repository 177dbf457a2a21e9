//! Traced futures: a call counts exactly its own polls, on any thread, whatever runs in between, however
//! it ends.

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/by_hand.rs"]
mod by_hand;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lines.rs"]
mod lines;
#[path = "../common/on_drop.rs"]
mod on_drop;
#[path = "../common/pause.rs"]
mod pause;

mod after_ready;
mod blocking;
mod branches;
mod cancelled;
mod cancelled_tasks;
mod deep;
mod guards;
mod panics;
mod spawned;
mod streams;
mod tasks;
mod without_the_trace;

use tokio::runtime::{Builder, Runtime};
use tracer::alloc::Counts;
use tracer::{CallReport, Counting, Report};

use crate::common::allocate;
use crate::pause::pause;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// Returns a runtime of four workers.
fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(4).enable_all().build().unwrap()
}

/// Allocates one block in each of its `count` polls.
async fn step(count: u32) {
    for _ in 0..count {
        allocate(1);
        pause(1).await;
    }
}

/// Returns the calls that have the id.
fn calls_with_id<'a>(report: &'a Report, id: &str) -> Vec<&'a CallReport> {
    let calls = report.calls.iter();
    calls
        .filter(|call| call.id.as_deref() == Some(id))
        .collect()
}

fn call_with_id<'a>(report: &'a Report, id: &str) -> &'a CallReport {
    calls_with_id(report, id)[0]
}

/// Returns the calls in order, each as `id in parent: outcome`, followed by `partial` if its figures
/// are partial. For calls whose figures depend on the runtime's allocations.
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

/// Asserts that every allocation in the trace is the self of exactly one call.
fn assert_adds_up(report: &Report) {
    let own: Counts = report
        .calls
        .iter()
        .map(|call| call.self_counts.unwrap())
        .sum();
    assert_eq!(report.total, Some(own), "{report:#}");
}

/// Asserts that the calls add up, and that no call is partial.
fn assert_exact(report: &Report) {
    assert_adds_up(report);
    assert!(report.calls.iter().all(|call| !call.partial), "{report:#}");
}
