//! Self time: the part of a call's time in which no call inside was open.

use std::time::Duration;

use super::CallReport;

/// Returns the self time of each call: its time without that in which a call inside was open, on any
/// strand. Overlapping calls inside are subtracted once. Calls are in order of start, each after its
/// parent.
pub(crate) fn self_walls(calls: &[CallReport]) -> Vec<Duration> {
    let mut spans: Vec<Span> = Vec::with_capacity(calls.len());
    for call in calls {
        let stop = call.start.saturating_add(call.wall);
        // The fields are public, so a parent may be any number.
        let parent = call.parent.and_then(|parent| spans.get_mut(parent));
        if let Some(parent) = parent {
            let until = stop.min(parent.stop);
            let from = call.start.max(parent.seen);
            parent.inside += until.saturating_sub(from);
            parent.seen = parent.seen.max(until);
        }
        spans.push(Span {
            stop,
            seen: Duration::ZERO,
            inside: Duration::ZERO,
        });
    }
    let spans = calls.iter().zip(spans);
    spans
        .map(|(call, span)| call.wall.saturating_sub(span.inside))
        .collect()
}

struct Span {
    stop: Duration,
    /// Time until which calls inside are accounted for, and how long they were open until then.
    seen: Duration,
    inside: Duration,
}
