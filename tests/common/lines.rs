//! The calls of a report as lines, for comparison.

use tracer::alloc::Counts;
use tracer::{CallReport, Report, Trace};

use super::boxes::boxes;

/// Returns the calls in order, each as `name in parent: total, self, outcome`, followed by `partial`
/// if its figures are partial. A call that has an id is named by it.
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

/// Returns the number of boxes, or all counts if anything else was allocated.
fn figure(counts: Option<Counts>) -> String {
    match counts {
        Some(counts) if counts == boxes(counts.allocations) => counts.allocations.to_string(),
        Some(counts) => counts.to_string(),
        None => "not counted".to_owned(),
    }
}
