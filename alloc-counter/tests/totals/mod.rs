//! `stats_alloc` as the inner allocator: an oracle, because it sees every request of every thread and
//! adds it up with locked instructions.

use alloc_counter::process;
use stats_alloc::Stats;

/// Asserts that the totals agree. No other thread may be running.
#[track_caller]
pub(crate) fn assert_same_as(oracle: Stats) {
    let expected = [
        oracle.allocations,
        oracle.deallocations,
        oracle.reallocations,
        oracle.bytes_allocated,
        oracle.bytes_deallocated,
    ];
    let counted = process().unwrap().counts.to_array();
    assert_eq!(counted, expected.map(|total| total as u64));
}
