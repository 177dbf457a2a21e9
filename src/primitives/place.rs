//! The place of a thread among those that share data in parts.

use std::cell::Cell;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// The number of parts. Threads share one if there are more of them.
pub(crate) const PARTS: usize = if cfg!(loom) { 3 } else { 8 };

/// Returns the number of the thread's part, below [`PARTS`].
#[inline]
pub(crate) fn part_of_thread() -> usize {
    place_of_thread() % PARTS
}

/// Returns a number by which threads are spread over parts of shared data.
#[inline]
pub(crate) fn place_of_thread() -> usize {
    thread_local! {
        static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let place = PLACE.get();
    if place != usize::MAX {
        return place;
    }
    let place = new_place();
    PLACE.set(place);
    place
}

#[cold]
fn new_place() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    THREADS.fetch_add(1, Relaxed)
}
