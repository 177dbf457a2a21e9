//! Counts what the allocator did: on the hot path, or beside it if anything has to be looked at.
//!
//! A thread without a slot counts into one of two shared slots by atomic addition: [`OVERHEAD`] for
//! excluded memory, [`UNATTRIBUTED`] for memory after the thread gave its slot back. A slot has separate totals for its
//! thread's overhead, so that no two threads write to one of them.

#[cfg(feature = "sites")]
use crate::hot::Bars;
use crate::hot::{self, Whose};
use crate::overhead;
use crate::registry::{OVERHEAD, UNATTRIBUTED};
#[cfg(feature = "sites")]
use crate::sites;
use crate::slot::Operation;
use crate::thread::{self, Standing};

/// Counts the operation on this thread that returned this block, and returns it. The block's size was the first and is
/// now the second. If the block is null, the operation failed.
///
/// What is beside the hot path returns the block, too: so it is a tail call, and the path does not save the block.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the path of every allocation")]
pub(crate) fn count(block: *mut u8, operation: Operation, old: usize, new: usize) -> *mut u8 {
    if block.is_null() {
        thread::note_failure();
    } else if !hot::try_count(operation, old, new) {
        return match operation {
            Operation::Resize => note_resize(block, old, new),
            Operation::Allocate | Operation::Free => note_allocation(block, new),
        };
    }
    block
}

#[cold]
#[inline(never)]
fn note_allocation(block: *mut u8, bytes: usize) -> *mut u8 {
    count_and_look(Operation::Allocate, 0, bytes);
    block
}

#[cold]
#[inline(never)]
fn note_resize(block: *mut u8, old: usize, new: usize) -> *mut u8 {
    count_and_look(Operation::Resize, old, new);
    block
}

/// Counts a free that [`try_count`](hot::try_count) did not count.
#[cold]
pub(crate) fn count_free_beside(bytes: usize) {
    count_and_look(Operation::Free, bytes, 0);
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the path of every allocation that is looked at"
)]
fn count_and_look(operation: Operation, old: usize, new: usize) {
    let look = count_beside(operation, old, new);
    // Here for all, so that the same place has the same callers.
    #[cfg(feature = "sites")]
    if look != Look::None && operation != Operation::Free {
        sites::note(operation, old, new, look == Look::Sampled);
    }
    #[cfg(not(feature = "sites"))]
    let _ = look;
}

/// What is to be done about an operation's site.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It is not the program's memory, or no site is wanted.
    None,
    #[cfg(feature = "sites")]
    All,
    /// The sample is due.
    Sampled,
}

#[cold]
#[inline(never)]
fn count_beside(operation: Operation, old: usize, new: usize) -> Look {
    if let Some(slot) = hot::take_back(old, new) {
        // The path is open, and too little was left.
        #[cfg(not(feature = "sites"))]
        hot::set_left(hot::UNBOUNDED);
        // SAFETY: the path is open, so the slot is this thread's own.
        unsafe { slot.count(operation, old, new) };
        return Look::Sampled;
    }
    thread::note_installed();
    let whose = hot::whose();
    if whose != Whose::Programs {
        if whose == Whose::CountedOverhead {
            overhead::add_counted(operation.counts(old, new));
        }
        match thread::standing() {
            Standing::Owner(slot) => slot.count_overhead(operation, old, new),
            _ => OVERHEAD.count_shared(operation, old, new),
        }
        return Look::None;
    }
    if let Some(slot) = thread::own_slot() {
        // SAFETY: it is this thread's own, until the thread's destructors give it back.
        unsafe { slot.count(operation, old, new) };
        return look(old, new);
    }
    if matches!(thread::standing(), Standing::Claiming) {
        OVERHEAD.count_shared(operation, old, new);
    } else {
        UNATTRIBUTED.count_shared(operation, old, new);
    }
    Look::None
}

/// Returns what is to be done about the site of an operation that came beside the path although it is the program's
/// memory: the first one of a thread, and any if all sites are wanted.
#[cfg(feature = "sites")]
fn look(old: usize, new: usize) -> Look {
    let is_sampled = !hot::try_subtract(new.saturating_sub(old) as u64);
    match (is_sampled, hot::is_barred(Bars::ALL_SITES)) {
        (true, _) => Look::Sampled,
        (false, true) => Look::All,
        (false, false) => Look::None,
    }
}

#[cfg(not(feature = "sites"))]
fn look(_: usize, _: usize) -> Look {
    Look::None
}
