//! The part of a call's time in which no call inside was open.

use std::time::Duration;

use super::CallReport;

/// For each call, its time less that in which one of those inside was open, on whichever strand:
/// what two of them share is taken off once. A call stands after its parent, in order of start.
pub(crate) fn self_walls(calls: &[CallReport]) -> Vec<Duration> {
    let mut spans: Vec<Span> = Vec::with_capacity(calls.len());
    for call in calls {
        let stop = call.start.saturating_add(call.wall);
        // The fields are public: a report may say anything.
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
    /// Until when calls inside have been looked at, and how much of the time they were open.
    seen: Duration,
    inside: Duration,
}
