//! The ids of a report's spans. Reports in files of earlier versions have none: theirs are made from what tells
//! them apart.

use std::time::UNIX_EPOCH;

use crate::report::Report;
use crate::report::duration::nanoseconds;
use crate::store::ids::{SpanId, TraceId};

#[derive(Clone, Copy)]
pub(super) struct Ids {
    pub(super) trace: TraceId,
    pub(super) root: SpanId,
    made: u64,
}

impl Ids {
    pub(super) fn of(report: &Report) -> Self {
        let started = report.started.duration_since(UNIX_EPOCH);
        let started = nanoseconds(started.unwrap_or_default());
        let bits = u128::from(started) << u64::BITS | u128::from(report.trace);
        // An odd factor spreads the calls' ids, and gives no two calls of a report the same.
        let made = started ^ report.trace.wrapping_mul(SPREAD);
        Self {
            trace: { report.trace_id }
                .or(TraceId::new(bits))
                .unwrap_or(TraceId::MIN),
            root: report.span_id.unwrap_or_else(|| spread(made, 0)),
            made,
        }
    }

    /// Returns the id of the call at this place.
    pub(super) fn call(self, report: &Report, place: usize) -> SpanId {
        let known = report.calls.get(place).and_then(|call| call.span_id);
        known.unwrap_or_else(|| spread(self.made, place as u64 + 1))
    }
}

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

fn spread(made: u64, place: u64) -> SpanId {
    let bits = made.wrapping_add(place).wrapping_mul(SPREAD);
    SpanId::new(bits).unwrap_or(SpanId::MIN)
}
