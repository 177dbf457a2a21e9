//! Work that counts the same over every allocator, because requested sizes are counted.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::hint::black_box;

use alloc_counter::{Counts, measure};

/// At alignments of 64 and of 4,096: 100 bytes, grown to 1,000 and freed; 200 zeroed bytes, freed.
pub(crate) fn assert_requested_sizes_are_counted() {
    for align in [64, 4096] {
        let measured = measure(|| {
            let layout = Layout::from_size_align(100, align).unwrap();
            let grown = Layout::from_size_align(1000, align).unwrap();
            let zeroed = Layout::from_size_align(200, align).unwrap();
            // SAFETY: no size is zero or overflows; each block has the layout of its last request,
            // and is not used after it is freed.
            unsafe {
                let block = aligned_to(align, alloc(layout));
                let block = aligned_to(align, realloc(block, layout, grown.size()));
                dealloc(block, grown);
                let block = aligned_to(align, alloc_zeroed(zeroed));
                assert_eq!(*block, 0);
                dealloc(block, zeroed);
            }
        });
        assert_eq!(
            measured.counts,
            Some(Counts {
                allocations: 2,
                deallocations: 2,
                reallocations: 1,
                bytes_allocated: 1200,
                bytes_deallocated: 1200,
            }),
        );
        assert_eq!(measured.peak_bytes, Some(1000));
    }
}

fn aligned_to(align: usize, block: *mut u8) -> *mut u8 {
    let block = black_box(block);
    assert!(!block.is_null());
    assert_eq!(block.addr() % align, 0);
    block
}
