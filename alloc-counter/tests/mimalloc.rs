//! Over mimalloc: the requested sizes are counted, not the sizes of the blocks.

use std::hint::black_box;

use alloc_counter::{Counting, Counts, measure};
use mimalloc::MiMalloc;

mod aligned;

#[global_allocator]
static ALLOCATOR: Counting<MiMalloc> = Counting::new(MiMalloc);

#[test]
fn alignment_does_not_enter() {
    aligned::assert_requested_sizes_are_counted();
}

#[test]
fn size_classes_are_not_counted() {
    let measured = measure(|| drop(black_box(Vec::<u8>::with_capacity(1025))));
    assert_eq!(
        measured.counts,
        Some(Counts {
            allocations: 1,
            deallocations: 1,
            bytes_allocated: 1025,
            bytes_deallocated: 1025,
            ..Counts::ZERO
        }),
    );
    assert_eq!(measured.peak_bytes, Some(1025));
}
