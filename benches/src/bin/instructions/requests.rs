//! A whole request: recorded, reported, rendered, and in a recorder.

use std::time::Duration;

use tracer::Report;
use tracer::recorder::{Policy, Recorder, Recording};
use tracer_benches::requests::{self, record_elsewhere};
use tracer_benches::workload::{self, request};

use crate::{alone, each};

/// Requests in a portion.
const REQUESTS: u64 = 8;

pub(crate) fn empty_trace() -> u64 {
    alone(|| drop(requests::traced()))
}

pub(crate) fn root_in_fastrace() -> u64 {
    record_elsewhere();
    alone(|| drop(requests::in_fastrace()))
}

pub(crate) fn recorded() -> u64 {
    alone(|| drop(request()))
}

pub(crate) fn in_tracing() -> u64 {
    record_elsewhere();
    alone(workload::in_tracing::root)
}

pub(crate) fn in_fastrace() -> u64 {
    record_elsewhere();
    alone(workload::in_fastrace::root)
}

pub(crate) fn report() -> u64 {
    each(REQUESTS, request, |trace| trace.report())
}

pub(crate) fn lines() -> u64 {
    each(REQUESTS, report_of_fixed_times, |report| report.to_string())
}

pub(crate) fn tree() -> u64 {
    each(REQUESTS, report_of_fixed_times, |report| {
        format!("{report:#}")
    })
}

/// Returns a report with fixed times, because the length of a text depends on the times.
fn report_of_fixed_times() -> Report {
    let mut report = request().report();
    assert_eq!(report.calls.len(), 9);
    report.elapsed = Duration::from_nanos(12_345);
    for call in &mut report.calls {
        call.wall = Duration::from_nanos(1_234);
        call.busy = Duration::from_nanos(1_234);
        for checkpoint in &mut call.checkpoints {
            checkpoint.wall = Duration::from_nanos(123);
        }
    }
    report
}

pub(crate) fn in_recorder() -> u64 {
    let recorder = recorder();
    let times = alone(|| open(&recorder).finish());
    assert_none_kept(&recorder);
    times
}

pub(crate) fn finish() -> u64 {
    let recorder = recorder();
    let times = each(4 * REQUESTS, || open(&recorder), Recording::finish);
    assert_none_kept(&recorder);
    times
}

/// Returns a recorder that keeps requests that failed or took an hour.
pub(crate) fn recorder() -> Recorder {
    let policy = Policy::none().failed().slower_than(Duration::from_hours(1));
    let recorder = Recorder::builder().policy(policy).start();
    recorder.expect("a thread")
}

pub(crate) fn assert_none_kept(recorder: &Recorder) {
    let statistics = recorder.statistics();
    assert!(statistics.not_kept > 0);
    assert_eq!(statistics.not_kept, statistics.ended);
}

fn open(recorder: &Recorder) -> Recording {
    let recording = recorder.begin("GET /orders/{id}");
    let _scope = recording.inject();
    workload::traced::root();
    recording
}
