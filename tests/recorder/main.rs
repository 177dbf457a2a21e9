//! The recorder: its policy, counts, comparisons and files, and its end.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/sites.rs"]
mod figures;
#[path = "../common/openmetrics.rs"]
mod openmetrics;

mod arming;
mod baseline;
mod bounds;
mod cancelled;
mod collector;
mod counts;
mod ends;
mod files;
mod metrics;
mod minutes;
mod moved;
mod names;
mod otlp;
mod retained;
mod rules;
mod tls;
mod typical;

use std::sync::Arc;
use std::time::Duration;

use tracer::recorder::{Policy, Recorder};
use tracer::report::Request;
use tracer::{Counting, Report, call};

use crate::common::allocate;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(60 * 60);

fn recorder(policy: Policy) -> Recorder {
    Recorder::builder().policy(policy).start().unwrap()
}

/// Returns the kept reports, the oldest first.
fn kept(recorder: &Recorder) -> Vec<Arc<Report>> {
    assert!(recorder.flush(PATIENCE));
    let mut kept = recorder.kept();
    kept.reverse();
    kept
}

fn request(report: &Report) -> &Request {
    report.request.as_deref().expect("a recorder kept it")
}

fn handle(allocations: u64) {
    let _call = call!();
    allocate(allocations);
}

/// Records a request that allocates `allocations` times.
fn allocating(recorder: &Recorder, id: u64, allocations: u64) {
    let mut recording = recorder.begin("job");
    recording.id(id);
    let _scope = recording.inject();
    handle(allocations);
}
