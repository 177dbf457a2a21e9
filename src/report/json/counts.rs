//! Counts as JSON.

use alloc_counter::Counts;
use serde::{Deserialize, Serialize};

use super::written::Written;

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

    #[inline]
    pub(super) fn written(line: &mut Written<'_>) -> Option<Self> {
        let counts = Self {
            allocations: line.field(r#"{"allocations":"#, Written::number)?,
            reallocations: line.field(r#","reallocations":"#, Written::number)?,
            deallocations: line.field(r#","deallocations":"#, Written::number)?,
            bytes_allocated: line.field(r#","bytes_allocated":"#, Written::number)?,
            bytes_deallocated: line.field(r#","bytes_deallocated":"#, Written::number)?,
        };
        line.pass("}")?;
        Some(counts)
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
