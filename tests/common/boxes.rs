//! The counts that a test expects.

use tracer::alloc::Counts;

/// Returns what `allocate(count)` is counted as.
pub(crate) fn boxes(count: u64) -> Counts {
    Counts {
        allocations: count,
        deallocations: count,
        bytes_allocated: count,
        bytes_deallocated: count,
        ..Counts::ZERO
    }
}
