//! Totals of the process and of its threads.

use crate::counts::Counts;
use crate::registry::{self, UNATTRIBUTED};
use crate::slot::Slot;
use crate::thread::{self, Local};

/// Totals of the process, as returned by [`process`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// The totals of all threads that ever lived, with the overhead and the unattributed.
    pub counts: Counts,
    /// The part that belongs to the measurement itself: slots, and work under
    /// [`exclude`](crate::exclude).
    pub overhead: Counts,
    /// The part that is in no thread's figures: that of thread-locals' destructors that ran after their
    /// thread had given its slot back.
    pub unattributed: Counts,
    /// Number of slots: as many as there were ever threads alive at once. A slot takes 256 bytes and is
    /// never freed.
    pub slots: usize,
}

/// Returns the totals of the process since it began; `None` if no [`Counting`](crate::Counting)
/// allocator is installed.
///
/// Exact when no other thread allocates meanwhile; otherwise each total lies between those at the
/// call's start and at its end. Cost: a few loads for each slot.
///
/// Valgrind's "total heap usage" differs in two ways: it includes what C code allocates without Rust's
/// allocator, and it counts a reallocation as an allocation of the whole new size and a free.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// let before = alloc_counter::process().unwrap().counts;
/// std::thread::spawn(|| std::hint::black_box(vec![0u8; 1000])).join().unwrap();
/// let after = alloc_counter::process().unwrap().counts;
/// assert!((after - before).bytes_allocated >= 1000);
/// ```
pub fn process() -> Option<Process> {
    thread::is_installed().then(|| Process {
        counts: registry::counts(),
        overhead: registry::overhead(),
        unattributed: UNATTRIBUTED.counts(),
        slots: registry::slot_count(),
    })
}

/// Totals of one living thread since it began, as returned by [`threads`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadCounts {
    /// The thread's number, in the order in which threads first allocated, from 1; never reused.
    pub thread: u64,
    /// What the thread has allocated and freed.
    pub counts: Counts,
}

/// Returns the totals of all living threads. May be called on any thread at any time.
///
/// A thread is listed from its first allocation until its thread-locals are destroyed. Each total
/// only grows from one call to the next. The list is empty if no [`Counting`](crate::Counting)
/// allocator is installed.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// let me = alloc_counter::current_thread().unwrap();
/// assert!(alloc_counter::threads().any(|thread| thread.thread == me.thread));
/// ```
pub fn threads() -> impl Iterator<Item = ThreadCounts> {
    let slots = thread::is_installed().then(registry::slots);
    slots
        .into_iter()
        .flatten()
        .filter_map(Slot::owned_counts)
        .map(|(thread, counts)| ThreadCounts { thread, counts })
}

/// Returns the totals of the calling thread since it began; `None` if no
/// [`Counting`](crate::Counting) allocator is installed, or while the thread's thread-locals are
/// destroyed.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// let before = alloc_counter::current_thread().unwrap().counts;
/// let boxed = std::hint::black_box(Box::new(7));
/// let after = alloc_counter::current_thread().unwrap().counts;
/// assert_eq!((after - before).allocations, 1);
/// ```
pub fn current_thread() -> Option<ThreadCounts> {
    if !thread::is_installed() {
        return None;
    }
    let (thread, counts) = Local::current()?.owned_counts()?;
    Some(ThreadCounts { thread, counts })
}
