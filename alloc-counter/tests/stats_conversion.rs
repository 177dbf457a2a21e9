//! Conversion of figures for code that reads those of `stats_alloc`.
#![cfg(feature = "stats_alloc")]

use alloc_counter::Counts;
use stats_alloc::Stats;

#[test]
fn all_five_totals_are_converted() {
    let counts = Counts {
        allocations: 1,
        deallocations: 2,
        reallocations: 3,
        bytes_allocated: 4,
        bytes_deallocated: 5,
    };
    assert_eq!(
        Stats::from(counts),
        Stats {
            allocations: 1,
            deallocations: 2,
            reallocations: 3,
            bytes_allocated: 4,
            bytes_deallocated: 5,
            bytes_reallocated: 0,
        },
    );
}
