//! The hot path: the slot that the thread counts into, while nothing but an addition is needed.
//!
//! The path is open or closed by one number, the bytes that may still be allocated on it. An allocation subtracts its
//! own, and leaves the path if none would be left; a free leaves it if there are none. So a path that is closed and a
//! [sample](crate::Sites::sampled) that is due are found by the same test, and a thread that takes samples stays on the
//! path between them.

use std::cell::Cell;

#[cfg(loom)]
use crate::registry::OVERHEAD;
use crate::slot::{Operation, Slot};
#[cfg(not(loom))]
use crate::sync::shared_static;

/// The bytes that may be allocated if there is no other bound.
pub(crate) const UNBOUNDED: u64 = u64::MAX;

/// Whose memory it is that the thread allocates. The path is closed for all but the program's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Programs,
    Overhead,
    /// Overhead that is also added up.
    CountedOverhead,
}

/// Why else the path is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bars(u8);

impl Bars {
    const NONE: Self = Self(0);
    /// The thread has no slot of its own.
    pub(crate) const NO_SLOT: Self = Self(1);
    /// The sites of all that the thread allocates are wanted.
    #[cfg(feature = "sites")]
    pub(crate) const ALL_SITES: Self = Self(2);

    #[cfg(feature = "sites")]
    pub(crate) const fn has(self, reason: Self) -> bool {
        self.0 & reason.0 == reason.0
    }

    const fn with(self, reason: Self, holds: bool) -> Self {
        let others = self.0 & !reason.0;
        Self(if holds { others | reason.0 } else { others })
    }
}

#[cfg(not(loom))]
shared_static! {
    /// In place of a slot, before the thread has one. Nothing is counted here.
    static NOBODYS: Slot = Slot::new();
}

/// The state of a thread's path, in one place, so that it has one address.
struct Path {
    /// How many bytes may still be allocated on the path, and one more; 0 while it is closed.
    left: Cell<u64>,
    /// This thread's slot, unless it has none.
    slot: Cell<&'static Slot>,
    /// What will be left when the path is opened, while it is closed.
    parked: Cell<u64>,
    whose: Cell<Whose>,
    bars: Cell<Bars>,
}

// Without a destructor, so that it can be read at any time of a thread's life; and it is not initialised at run time, so
// reading it is a load.
#[cfg(not(loom))]
thread_local! {
    static PATH: Path = const { Path::closed(&NOBODYS) };
}
#[cfg(loom)]
thread_local! {
    static PATH: Path = Path::closed(&OVERHEAD);
}

impl Path {
    const fn closed(slot: &'static Slot) -> Self {
        Self {
            left: Cell::new(0),
            slot: Cell::new(slot),
            parked: Cell::new(UNBOUNDED),
            whose: Cell::new(Whose::Programs),
            bars: Cell::new(Bars::NO_SLOT),
        }
    }

    #[inline]
    fn is_open(&self) -> bool {
        self.left.get() > 0
    }

    #[inline]
    fn open_slot(&self) -> Option<&'static Slot> {
        self.is_open().then(|| self.slot.get())
    }

    /// Subtracts bytes; `false` if none are left.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the path of every allocation")]
    fn subtract(&self, bytes: usize) -> bool {
        let left = self.left.get();
        // Stored before it is compared, so that it is one instruction on x86-64, whose flags are the comparison's.
        self.left.set(left.wrapping_sub(bytes as u64));
        left > bytes as u64
    }

    #[inline]
    fn close(&self) {
        if self.is_open() {
            self.parked.set(self.left.replace(0));
        }
    }

    /// Opens the path, which is closed, if nothing is against it.
    #[inline]
    fn try_open(&self, whose: Whose) {
        if whose == Whose::Programs && self.bars.get() == Bars::NONE {
            self.left.set(self.parked.get());
        }
    }
}

/// Counts if the path is open; else returns `false`, and the caller [takes back](take_back) what was subtracted.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the path of every allocation")]
pub(crate) fn try_count(operation: Operation, old: usize, new: usize) -> bool {
    // Closures that are so small that they are inlined.
    let may_count = match operation {
        Operation::Allocate => PATH.with(|path| path.subtract(new)),
        Operation::Resize if new > old => PATH.with(|path| path.subtract(new - old)),
        Operation::Resize | Operation::Free => PATH.with(Path::is_open),
    };
    if may_count {
        let slot = PATH.with(|path| path.slot.get());
        // SAFETY: the path is open, so the slot is this thread's own: `begin` is given the slot that the thread has
        // claimed, and the thread closes the path by `end` before it gives the slot back.
        unsafe { slot.count(operation, old, new) };
    }
    may_count
}

/// Takes back what [`try_count`] has subtracted for an operation that it did not count. Returns the slot to count into,
/// if the path is open: then there was too little left.
pub(crate) fn take_back(old: usize, new: usize) -> Option<&'static Slot> {
    PATH.with(|path| {
        let growth = new.saturating_sub(old) as u64;
        path.left.set(path.left.get().wrapping_add(growth));
        path.open_slot()
    })
}

/// Returns the slot to count into, if the path is open.
#[inline]
pub(crate) fn slot() -> Option<&'static Slot> {
    PATH.with(Path::open_slot)
}

/// Returns whose memory it is that the thread allocates.
#[inline]
pub(crate) fn whose() -> Whose {
    PATH.with(|path| path.whose.get())
}

/// From now on, the thread allocates overhead of this kind. Returns what it was, for [`end_overhead`].
#[inline]
pub(crate) fn begin_overhead(kind: Whose) -> Whose {
    PATH.with(|path| {
        path.close();
        path.whose.replace(kind)
    })
}

#[inline]
pub(crate) fn end_overhead(before: Whose) {
    PATH.with(|path| {
        path.whose.set(before);
        path.try_open(before);
    });
}

/// From now on, the thread allocates the program's memory. Returns what it was, for [`end_program`].
pub(crate) fn begin_program() -> Whose {
    PATH.with(|path| {
        path.close();
        path.try_open(Whose::Programs);
        path.whose.replace(Whose::Programs)
    })
}

pub(crate) fn end_program(before: Whose) {
    PATH.with(|path| {
        path.close();
        path.whose.set(before);
        path.try_open(before);
    });
}

/// Returns whether the path is closed for this reason.
#[cfg(feature = "sites")]
pub(crate) fn is_barred(reason: Bars) -> bool {
    PATH.with(|path| path.bars.get().has(reason))
}

/// Closes the path for this reason if it holds, or else removes the reason.
pub(crate) fn bar(reason: Bars, holds: bool) {
    PATH.with(|path| {
        path.close();
        path.bars.set(path.bars.get().with(reason, holds));
        path.try_open(path.whose.get());
    });
}

/// Lets the thread count into this slot, which is its own from now on.
pub(crate) fn begin(slot: &'static Slot) {
    PATH.with(|path| path.slot.set(slot));
    bar(Bars::NO_SLOT, false);
}

/// Ends that: the slot may have its next owner.
pub(crate) fn end() {
    bar(Bars::NO_SLOT, true);
}

/// Sets how many bytes may be allocated before one leaves the path. The byte after them does.
pub(crate) fn set_left(bytes: u64) {
    PATH.with(|path| {
        let left = bytes.saturating_add(1);
        if path.is_open() {
            path.left.set(left);
        } else {
            path.parked.set(left);
        }
    });
}

/// Subtracts bytes that were allocated beside the path; `false` if none are left.
#[cfg(feature = "sites")]
pub(crate) fn try_subtract(bytes: u64) -> bool {
    PATH.with(|path| {
        let place = if path.is_open() {
            &path.left
        } else {
            &path.parked
        };
        let left = place.get();
        let is_enough = left > bytes;
        if is_enough {
            place.set(left - bytes);
        }
        is_enough
    })
}
