//! The place of a thread among those that share data in parts.

use std::cell::Cell;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Returns a number by which threads are spread over parts of shared data.
pub(crate) fn place_of_thread() -> usize {
    thread_local! {
        static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    let place = PLACE.get();
    if place != usize::MAX {
        return place;
    }
    let place = THREADS.fetch_add(1, Relaxed);
    PLACE.set(place);
    place
}
