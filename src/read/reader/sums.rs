//! The sums of folded calls, as plain data.

use std::time::Duration;

use crate::primitives::clock;
use crate::read::snapshot::{CallId, FoldedInside, SumSnapshot};
use crate::store::address::Address;
use crate::store::sum::Sum;

/// Converts a sum. `of` is the path or the recorded call that it belongs to; [`Address::NONE`] for
/// folded calls outside all calls.
pub(super) fn sum_snapshot(of: Address, sum: &Sum, started: u64) -> SumSnapshot {
    let since_trace = |moment: u64| clock::between(started, moment);
    SumSnapshot {
        of: CallId::at(of),
        calls: sum.calls,
        running: sum.running,
        failures: sum.failures,
        cancelled: sum.cancelled,
        wall: clock::duration(sum.wall),
        busy: clock::duration(sum.busy),
        busy_inside: clock::duration(sum.busy_inside),
        covered: clock::duration(sum.covered),
        total: sum.total,
        inside: sum.inside,
        last_stop: (sum.last > 0).then(|| since_trace(sum.last)),
        folded: (sum.first > 0).then(|| FoldedInside {
            first_start: since_trace(sum.first),
            last_stop: if sum.children > 0 {
                Duration::MAX
            } else {
                since_trace(sum.last)
            },
            was_suspended: sum.has_rested,
        }),
        is_partial: sum.is_partial,
        is_moved: sum.is_moved,
    }
}
