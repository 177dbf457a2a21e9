//! Allocations to be counted, and a report's calls as lines to be compared.

use std::hint::black_box;

use tracer::alloc::Counts;
use tracer::{CallReport, Report, Trace};

/// Allocates and frees `count` blocks of one byte.
pub(crate) fn allocate(count: u64) {
    for _ in 0..count {
        drop(black_box(Box::new(black_box(1_u8))));
    }
}

/// What [`allocate`] is counted as.
pub(crate) fn boxes(count: u64) -> Counts {
    Counts {
        allocations: count,
        deallocations: count,
        bytes_allocated: count,
        bytes_deallocated: count,
        ..Counts::ZERO
    }
}

/// The calls in their order, as `name in parent: total, self, outcome`, with `partial` behind it
/// where the figures are. A call goes by its id, where it has one.
pub(crate) fn calls(trace: &Trace) -> Vec<String> {
    calls_of(&trace.report())
}

pub(crate) fn calls_of(report: &Report) -> Vec<String> {
    let line = |call: &CallReport| {
        let name = name(call);
        let parent = call
            .parent
            .map_or("-", |parent| self::name(&report.calls[parent]));
        let (total, own) = (figure(call.total), figure(call.self_counts));
        let partial = if call.partial { ", partial" } else { "" };
        format!(
            "{name} in {parent}: {total}, {own}, {:?}{partial}",
            call.outcome
        )
    };
    report.calls.iter().map(line).collect()
}

fn name(call: &CallReport) -> &str {
    call.id.as_deref().unwrap_or(&call.name)
}

/// How many boxes it was; where it was anything else, all of it.
fn figure(counts: Option<Counts>) -> String {
    match counts {
        Some(counts) if counts == boxes(counts.allocations) => counts.allocations.to_string(),
        Some(counts) => counts.to_string(),
        None => "not counted".to_owned(),
    }
}
