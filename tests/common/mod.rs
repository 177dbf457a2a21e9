//! Allocations to be counted.

use std::hint::black_box;

/// Allocates and frees `count` blocks of one byte.
pub(crate) fn allocate(count: u64) {
    for _ in 0..count {
        drop(black_box(Box::new(black_box(1_u8))));
    }
}
