//! An allocation and its free.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

use crate::{ALLOCATOR, alone};

pub(crate) fn system() -> u64 {
    alone(|| allocate(&System))
}

pub(crate) fn counting() -> u64 {
    alone(|| allocate(&ALLOCATOR))
}

#[inline(never)]
#[expect(unsafe_code, reason = "only one allocator is the global one")]
fn allocate(allocator: &impl GlobalAlloc) {
    let layout = black_box(Layout::new::<[u8; 64]>());
    // SAFETY: the size is not zero, and a block that is not null is freed by the same allocator with
    // the same layout.
    unsafe {
        let memory = black_box(allocator.alloc(layout));
        if !memory.is_null() {
            allocator.dealloc(memory, layout);
        }
    }
}
