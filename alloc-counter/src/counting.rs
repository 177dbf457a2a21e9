//! The allocator: forward, then count on success.

use std::alloc::{GlobalAlloc, Layout, System};

#[cfg(feature = "blocks")]
use crate::blocks;
use crate::count::{count, count_free_beside};
use crate::hot;
use crate::slot::Operation;

/// A global allocator that forwards to another one and counts what succeeds.
///
/// ```
/// use alloc_counter::Counting;
///
/// #[global_allocator]
/// static ALLOCATOR: Counting = Counting::system();
///
/// let measured = alloc_counter::measure(|| std::hint::black_box(vec![0u8; 100]));
/// assert_eq!(measured.counts.unwrap().allocations, 1);
/// ```
///
/// Any allocator can be counted: `Counting::new(MiMalloc)`, jemalloc, `StatsAlloc<System>`.
///
/// The rules of counting are with [`Counts`](crate::Counts). Cost: about a nanosecond for an
/// allocation with its free, whatever the number of threads; each writes to counters of its own,
/// without locks or locked instructions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting<A = System> {
    inner: A,
}

impl Counting<System> {
    /// Makes a counting allocator over the system's.
    pub const fn system() -> Self {
        Self::new(System)
    }
}

impl<A> Counting<A> {
    /// Makes a counting allocator over `inner`.
    pub const fn new(inner: A) -> Self {
        Self { inner }
    }

    /// Returns the inner allocator.
    pub const fn inner(&self) -> &A {
        &self.inner
    }
}

impl<A: GlobalAlloc> Counting<A> {
    /// Frees a block and counts beside the hot path. A tail call, so that the path saves no registers for it.
    ///
    /// # Safety
    ///
    /// That of [`GlobalAlloc::dealloc`].
    #[cold]
    #[inline(never)]
    unsafe fn dealloc_beside(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds that `block` came from this allocator with this layout, and this
        // allocator's blocks are the inner one's.
        unsafe { self.inner.dealloc(block, layout) };
        count_free_beside(layout.size());
    }
}

// SAFETY: every block comes from the inner allocator and goes back to it with the layout that the
// caller gave, unchanged, and its results are returned unchanged; so this is a correct allocator
// if and only if the inner one is. `count` does not unwind: it reads and writes thread-locals
// and atomics. Once in a thread it also requests a slot, which is fallible, and registers a
// thread-local's destructor, which the standard library allows in a global allocator.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds `GlobalAlloc::alloc` for this very layout.
        let block = unsafe { self.inner.alloc(layout) };
        #[cfg(feature = "blocks")]
        if blocks::are_followed() && !block.is_null() {
            blocks::note(block, layout.size());
        }
        count(block, Operation::Allocate, 0, layout.size())
    }

    // Forwarded as `alloc_zeroed`: an inner allocator that gets zeroed pages from the system need not
    // touch them.
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds `GlobalAlloc::alloc_zeroed` for this very layout.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        #[cfg(feature = "blocks")]
        if blocks::are_followed() && !block.is_null() {
            blocks::note(block, layout.size());
        }
        count(block, Operation::Allocate, 0, layout.size())
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // First, as another thread may get its address at once.
        #[cfg(feature = "blocks")]
        if blocks::are_followed() {
            blocks::take_out(block);
        }
        // Counted first, as it can't fail: so the inner call is a tail call.
        if hot::try_count(Operation::Free, layout.size(), 0) {
            // SAFETY: the caller upholds that `block` came from this allocator with this layout,
            // and this allocator's blocks are the inner one's.
            return unsafe { self.inner.dealloc(block, layout) };
        }
        // SAFETY: as above.
        unsafe { self.dealloc_beside(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        #[cfg(feature = "blocks")]
        let moving = blocks::Move::begin(block);
        // SAFETY: as for `dealloc`; the caller also upholds the rules on `new_size`.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        #[cfg(feature = "blocks")]
        if moved.is_null() {
            moving.end(block, layout.size(), layout.size());
        } else {
            moving.end(moved, layout.size(), new_size);
        }
        count(moved, Operation::Resize, layout.size(), new_size)
    }
}
