//! The counts that a test expects.

use tracer::alloc::Counts;

/// Returns the counts of `allocate(count)`.
pub(crate) fn boxes(count: u64) -> Counts {
    Counts {
        allocations: count,
        deallocations: count,
        bytes_allocated: count,
        bytes_deallocated: count,
        ..Counts::ZERO
    }
}
