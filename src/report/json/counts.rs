//! Counts as JSON.

use alloc_counter::Counts;
use serde::{Deserialize, Serialize};

/// Counts, field by field.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(expecting = "counts")]
pub(crate) struct CountsInJson {
    allocations: u64,
    reallocations: u64,
    deallocations: u64,
    bytes_allocated: u64,
    bytes_deallocated: u64,
}

impl CountsInJson {
    pub(crate) fn of(counts: Counts) -> Self {
        Self {
            allocations: counts.allocations,
            reallocations: counts.reallocations,
            deallocations: counts.deallocations,
            bytes_allocated: counts.bytes_allocated,
            bytes_deallocated: counts.bytes_deallocated,
        }
    }

    pub(super) fn into_counts(self) -> Counts {
        Counts {
            allocations: self.allocations,
            reallocations: self.reallocations,
            deallocations: self.deallocations,
            bytes_allocated: self.bytes_allocated,
            bytes_deallocated: self.bytes_deallocated,
        }
    }
}
