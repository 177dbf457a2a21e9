//! Thread-locals whose destructors allocate, before the thread's slot is given back and after.
//!
//! Destructors run in reverse order of registration. The inner allocator registers one at a thread's
//! first request, as allocators with per-thread caches do. That is before the slot is claimed, so the
//! destructor runs after the slot was given back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::{Barrier, OnceLock};
use std::thread;

use alloc_counter::{
    Counting, Counts, Region, current_thread, exclude, exclude_counted, measure, process,
};
use stats_alloc::StatsAlloc;

mod totals;

#[global_allocator]
static ALLOCATOR: Counting<WithDestructor> = Counting::new(WithDestructor(StatsAlloc::system()));

struct WithDestructor(StatsAlloc<System>);

impl WithDestructor {
    /// Registers the destructor. While the destructor runs, registering fails.
    fn requested(&self) -> &StatsAlloc<System> {
        let _ = AFTER.try_with(|_| ());
        &self.0
    }
}

// SAFETY: every request goes to the inner allocator unchanged.
unsafe impl GlobalAlloc for WithDestructor {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds `GlobalAlloc::alloc`.
        unsafe { self.requested().alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds `GlobalAlloc::alloc_zeroed`.
        unsafe { self.requested().alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller upholds `GlobalAlloc::realloc`.
        unsafe { self.requested().realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds `GlobalAlloc::dealloc`.
        unsafe { self.requested().dealloc(block, layout) }
    }
}

thread_local! {
    /// Destroyed while the thread still has its slot.
    static BEFORE: AtEnd = const { AtEnd(Cell::new(None)) };
    /// Destroyed after the slot was given back.
    static AFTER: AtEnd = const { AtEnd(Cell::new(None)) };
}

type Work = Box<dyn FnOnce()>;

/// Runs its work when the thread-local is destroyed.
struct AtEnd(Cell<Option<Work>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

impl AtEnd {
    fn set(&self, work: impl FnOnce() + 'static) {
        self.0.set(Some(Box::new(work)));
    }
}

fn main() {
    before_the_slot_is_given_back();
    after_the_slot_was_given_back();
    a_dying_thread_does_not_write_to_the_next_owners_slot();
    println!("test result: ok. 3 passed; 0 failed");
}

fn touch(size: usize) {
    drop(black_box(vec![1_u8; size]));
}

/// The counts of `touch(1000)`.
const TOUCHED: Counts = Counts {
    allocations: 1,
    deallocations: 1,
    bytes_allocated: 1000,
    bytes_deallocated: 1000,
    ..Counts::ZERO
};

fn before_the_slot_is_given_back() {
    static MEASURED: OnceLock<(Option<Counts>, Option<u64>)> = OnceLock::new();
    let before = process().unwrap();
    let thread = thread::spawn(|| {
        let from_before = black_box(vec![1_u8; 300]);
        BEFORE.with(|at_end| {
            at_end.set(|| {
                let measured = measure(|| {
                    touch(1000);
                    drop(from_before);
                });
                MEASURED
                    .set((measured.counts, measured.peak_bytes))
                    .unwrap();
            });
        });
    });
    thread.join().unwrap();
    let freed = Counts {
        deallocations: 1,
        bytes_deallocated: 300,
        ..Counts::ZERO
    };
    assert_eq!(MEASURED.get(), Some(&(Some(TOUCHED + freed), Some(1000))));
    assert_eq!(process().unwrap().unattributed, before.unattributed);
    totals::assert_same_as(ALLOCATOR.inner().0.stats());
}

fn after_the_slot_was_given_back() {
    static RAN: OnceLock<()> = OnceLock::new();
    let before = process().unwrap();
    let thread = thread::spawn(|| {
        // Captures nothing, so its box has no size.
        AFTER.with(|at_end| {
            at_end.set(|| {
                assert_eq!(current_thread(), None);
                let region = Region::new();
                let measured = measure(|| touch(1000));
                assert_eq!((measured.counts, measured.peak_bytes), (None, None));
                assert_eq!(region.counts(), None);
                exclude(|| touch(50));
                let ((), counts) = exclude_counted(|| touch(70));
                assert_eq!((counts.allocations, counts.bytes_deallocated), (1, 70));
                RAN.set(()).unwrap();
            });
        });
    });
    thread.join().unwrap();
    let after = process().unwrap();
    assert_eq!(RAN.get(), Some(&()));
    assert_eq!(after.unattributed - before.unattributed, TOUCHED);
    let overhead = after.overhead - before.overhead;
    assert_eq!((overhead.allocations, overhead.bytes_allocated), (2, 120));
    assert_eq!(after.slots, before.slots);
    totals::assert_same_as(ALLOCATOR.inner().0.stats());
}

fn a_dying_thread_does_not_write_to_the_next_owners_slot() {
    static SLOT_IS_FREE: Barrier = Barrier::new(2);
    static SLOT_IS_TAKEN: Barrier = Barrier::new(2);
    static NOISE_IS_MADE: Barrier = Barrier::new(2);
    let before = process().unwrap();
    let dying = thread::spawn(|| {
        AFTER.with(|at_end| {
            at_end.set(|| {
                SLOT_IS_FREE.wait();
                SLOT_IS_TAKEN.wait();
                (0..1000).for_each(|_| touch(1000));
                NOISE_IS_MADE.wait();
            });
        });
    });
    SLOT_IS_FREE.wait();
    let next = thread::spawn(|| {
        let measured = measure(|| {
            SLOT_IS_TAKEN.wait();
            NOISE_IS_MADE.wait();
            touch(10);
        });
        assert_eq!(measured.counts.unwrap().bytes_allocated, 10);
        assert_eq!(measured.peak_bytes, Some(10));
    });
    next.join().unwrap();
    dying.join().unwrap();
    let after = process().unwrap();
    assert_eq!(after.slots, before.slots);
    let noise = after.unattributed - before.unattributed;
    assert_eq!(
        (noise.allocations, noise.bytes_allocated),
        (1000, 1_000_000)
    );
    totals::assert_same_as(ALLOCATOR.inner().0.stats());
}
