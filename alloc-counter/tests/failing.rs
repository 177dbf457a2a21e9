//! An inner allocator that refuses requests. A refused request is not counted. If there is no memory for
//! a thread's slot, its allocations are still counted.

use std::alloc::{GlobalAlloc, Layout, System, alloc, alloc_zeroed, dealloc, realloc};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use alloc_counter::{Budget, Counting, Counts, Region, current_thread, measure, process};
use crossbeam_utils::CachePadded;
use stats_alloc::StatsAlloc;

mod totals;

#[global_allocator]
static ALLOCATOR: Counting<Refusing> = Counting::new(Refusing {
    align: AtomicUsize::new(NONE),
    inner: StatsAlloc::system(),
});

/// Refuses requests of one alignment, by which the tests distinguish requests.
struct Refusing {
    align: AtomicUsize,
    inner: StatsAlloc<System>,
}

const NONE: usize = 0;
const BLOCK: usize = 512;
const SLOT: usize = align_of::<CachePadded<u8>>();

impl Refusing {
    fn refuse(&self, align: usize) {
        self.align.store(align, Relaxed);
    }

    fn refuses(&self, layout: Layout) -> bool {
        layout.align() == self.align.load(Relaxed)
    }
}

// SAFETY: every request is refused or goes to the inner allocator unchanged.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.refuses(layout) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller upholds `GlobalAlloc::alloc`.
        unsafe { self.inner.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.refuses(layout) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller upholds `GlobalAlloc::alloc_zeroed`.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if self.refuses(layout) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller upholds `GlobalAlloc::realloc`.
        unsafe { self.inner.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds `GlobalAlloc::dealloc`.
        unsafe { self.inner.dealloc(block, layout) }
    }
}

fn main() {
    a_refused_request_is_not_counted();
    a_thread_without_a_slot_is_counted();
    println!("test result: ok. 2 passed; 0 failed");
}

fn a_refused_request_is_not_counted() {
    let layout = Layout::from_size_align(100, BLOCK).unwrap();
    // SAFETY: the size is not zero.
    let block = black_box(unsafe { alloc(layout) });
    assert!(!block.is_null());

    let before = process();
    ALLOCATOR.inner().refuse(BLOCK);
    let measured = measure(|| {
        // SAFETY: no size is zero; `block` has this layout and keeps it, because all is refused.
        unsafe {
            assert!(black_box(alloc(layout)).is_null());
            assert!(black_box(alloc_zeroed(layout)).is_null());
            assert!(black_box(realloc(block, layout, 200)).is_null());
            assert!(black_box(realloc(block, layout, 50)).is_null());
        }
    });
    ALLOCATOR.inner().refuse(NONE);
    assert_eq!(measured.counts, Some(Counts::ZERO));
    assert_eq!(measured.peak_bytes, Some(0));
    assert_eq!(process(), before);

    // SAFETY: `block` has this layout, and is not used after this.
    unsafe { dealloc(block, layout) };
    totals::assert_same_as(ALLOCATOR.inner().inner.stats());
}

fn a_thread_without_a_slot_is_counted() {
    let slots = process().unwrap().slots;
    ALLOCATOR.inner().refuse(SLOT);
    thread::spawn(move || {
        let before = process().unwrap();
        let region = Region::new();
        let measured = measure(|| black_box(vec![1_u8; 1000]));
        assert_eq!((measured.counts, measured.peak_bytes), (None, None));
        assert_eq!(region.counts(), None);
        assert_eq!(current_thread(), None);
        assert!(Budget::new().check(|| ()).is_err());
        let after = process().unwrap();
        assert_eq!(
            after.unattributed - before.unattributed,
            Counts {
                allocations: 1,
                bytes_allocated: 1000,
                ..Counts::ZERO
            },
        );
        assert_eq!(after.slots, slots);

        // There is memory again, so the next request is counted in the thread's own slot.
        ALLOCATOR.inner().refuse(NONE);
        drop(measured.value);
        assert_eq!(
            current_thread().unwrap().counts,
            Counts {
                deallocations: 1,
                bytes_deallocated: 1000,
                ..Counts::ZERO
            },
        );
        assert_eq!(process().unwrap().unattributed, after.unattributed);
    })
    .join()
    .unwrap();
    assert_eq!(process().unwrap().slots, slots + 1);
    totals::assert_same_as(ALLOCATOR.inner().inner.stats());
}
