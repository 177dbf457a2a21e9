//! Self time: the part of a call's time in which no call inside was open.

use std::time::Duration;

use crate::primitives::clock::from_nanoseconds;

use super::CallReport;
use super::duration::nanoseconds;

/// Sets the self time of each call: its time without that in which a call inside was open, on any
/// strand. Overlapping calls inside are subtracted once. Calls are in order of start, each after its
/// parent. Returns when the last one stopped.
///
/// Counts in nanoseconds, which takes a third of the instructions.
pub(crate) fn set_self_walls(calls: &mut [CallReport]) -> Option<Duration> {
    let mut spans: Vec<Span> = Vec::with_capacity(calls.len());
    let mut last_stop = None;
    for call in &*calls {
        let start = nanoseconds(call.start);
        let stop = start.saturating_add(nanoseconds(call.wall));
        last_stop = last_stop.max(Some(stop));
        // The fields are public, so a parent may be any number.
        let parent = call.parent.and_then(|parent| spans.get_mut(parent));
        if let Some(parent) = parent {
            let until = stop.min(parent.stop);
            let from = start.max(parent.seen);
            parent.inside += until.saturating_sub(from);
            parent.seen = parent.seen.max(until);
        }
        spans.push(Span {
            stop,
            seen: 0,
            inside: 0,
        });
    }
    for (call, span) in calls.iter_mut().zip(spans) {
        let own = nanoseconds(call.wall).saturating_sub(span.inside);
        call.self_wall = from_nanoseconds(own);
    }
    last_stop.map(Duration::from_nanos)
}

struct Span {
    stop: u64,
    /// Time until which calls inside are accounted for, and how long they were open until then.
    seen: u64,
    inside: u64,
}
