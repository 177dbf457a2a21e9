//! A slot: one thread's counters, its peaks, and its owner.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::counts::Counts;
use crate::sync::{AtomicCell, AtomicI64, AtomicU32, AtomicU64, const_fn, fence};

/// An operation of the allocator on a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Allocate,
    Free,
    Resize,
}

impl Operation {
    /// Returns the counts of one operation. The sizes are the block's before and after it, in bytes.
    pub(crate) fn counts(self, old: usize, new: usize) -> Counts {
        let is = |operation: Self| u64::from(self == operation);
        Counts {
            allocations: is(Self::Allocate),
            deallocations: is(Self::Free),
            reallocations: is(Self::Resize),
            bytes_allocated: new.saturating_sub(old) as u64,
            bytes_deallocated: old.saturating_sub(new) as u64,
        }
    }
}

/// The counters of one thread. Only the owner writes, so a relaxed load and store make an exact
/// addition, and any thread may read at any time.
pub(crate) struct Slot {
    totals: Totals,
    /// The highest live level (bytes allocated − bytes freed) since it was last merged into the two
    /// fields below; the maximum of each is the maximum of its field and this one.
    peak: AtomicI64,
    /// A peak of at most this changes neither of the two fields below when a boundary is drawn: it equals
    /// the first of them, or `i64::MIN` if the second is in use. In one cache line with the totals and
    /// the peak.
    settled: AtomicI64,
    /// The owner's number, unique in the process; [`FREE`] or [`TAKEN`] between owners. In that line, too.
    owner: AtomicU64,
    /// The highest level of the current window.
    high: AtomicI64,
    /// The highest level between the last boundary and the opening of a window since.
    carried: AtomicI64,
    /// Number of open windows, and of those that were closed while another was open inside.
    windows: AtomicU32,
    misnested: AtomicU32,
    /// The totals when the owner claimed the slot.
    inherited: Totals,
    /// The owner's overhead, which is not in the totals above.
    overhead: Totals,
    /// The slot registered before this one.
    pub(crate) next: AtomicCell<Option<Link>>,
}

const FREE: u64 = 0;
/// Claimed, but not yet readable as its new owner's.
const TAKEN: u64 = u64::MAX;

struct Totals {
    allocations: AtomicU64,
    deallocations: AtomicU64,
    reallocations: AtomicU64,
    bytes_allocated: AtomicU64,
    bytes_deallocated: AtomicU64,
}

impl Totals {
    const_fn! {
        const fn new() -> Self {
            Self {
                allocations: AtomicU64::new(0),
                deallocations: AtomicU64::new(0),
                reallocations: AtomicU64::new(0),
                bytes_allocated: AtomicU64::new(0),
                bytes_deallocated: AtomicU64::new(0),
            }
        }
    }

    #[inline]
    fn load(&self) -> Counts {
        Counts {
            allocations: self.allocations.load(Relaxed),
            deallocations: self.deallocations.load(Relaxed),
            reallocations: self.reallocations.load(Relaxed),
            bytes_allocated: self.bytes_allocated.load(Relaxed),
            bytes_deallocated: self.bytes_deallocated.load(Relaxed),
        }
    }

    /// Returns the two totals that an operation changes, and by how much the second one grows.
    fn of(&self, operation: Operation, old: usize, new: usize) -> (&AtomicU64, &AtomicU64, u64) {
        let count = match operation {
            Operation::Allocate => &self.allocations,
            Operation::Free => &self.deallocations,
            Operation::Resize => &self.reallocations,
        };
        if new > old {
            (count, &self.bytes_allocated, (new - old) as u64)
        } else {
            (count, &self.bytes_deallocated, (old - new) as u64)
        }
    }

    /// Returns the totals in the order of [`Counts::to_array`]; each is read when the iterator gets there.
    #[inline]
    fn iter(&self) -> impl Iterator<Item = u64> {
        let totals = [
            &self.allocations,
            &self.deallocations,
            &self.reallocations,
            &self.bytes_allocated,
            &self.bytes_deallocated,
        ];
        totals.into_iter().map(|total| total.load(Relaxed))
    }

    fn store(&self, counts: Counts) {
        self.allocations.store(counts.allocations, Relaxed);
        self.deallocations.store(counts.deallocations, Relaxed);
        self.reallocations.store(counts.reallocations, Relaxed);
        self.bytes_allocated.store(counts.bytes_allocated, Relaxed);
        self.bytes_deallocated
            .store(counts.bytes_deallocated, Relaxed);
    }
}

/// Adds as the only writer: no locked instruction.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "one instruction on the path of every allocation"
)]
fn add(total: &AtomicU64, amount: u64) -> u64 {
    let sum = total.load(Relaxed).wrapping_add(amount);
    total.store(sum, Relaxed);
    sum
}

impl Slot {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                totals: Totals::new(),
                peak: AtomicI64::new(0),
                high: AtomicI64::new(0),
                carried: AtomicI64::new(i64::MIN),
                settled: AtomicI64::new(0),
                windows: AtomicU32::new(0),
                misnested: AtomicU32::new(0),
                owner: AtomicU64::new(FREE),
                inherited: Totals::new(),
                overhead: Totals::new(),
                next: AtomicCell::new(None),
            }
        }
    }

    /// Counts as the owner. The sizes are the block's before and after the operation, in bytes.
    #[inline]
    pub(crate) fn count(&self, operation: Operation, old: usize, new: usize) {
        let totals = &self.totals;
        match operation {
            Operation::Allocate => {
                add(&totals.allocations, 1);
                self.raise(add(&totals.bytes_allocated, new as u64));
            }
            Operation::Free => {
                add(&totals.deallocations, 1);
                add(&totals.bytes_deallocated, old as u64);
            }
            Operation::Resize => {
                add(&totals.reallocations, 1);
                if new > old {
                    self.raise(add(&totals.bytes_allocated, (new - old) as u64));
                } else {
                    add(&totals.bytes_deallocated, (old - new) as u64);
                }
            }
        }
    }

    #[inline]
    fn raise(&self, bytes_allocated: u64) {
        let freed = self.totals.bytes_deallocated.load(Relaxed);
        let level = bytes_allocated.wrapping_sub(freed).cast_signed();
        if level > self.peak.load(Relaxed) {
            self.peak.store(level, Relaxed);
        }
    }

    /// Counts overhead as the owner. Overhead has no peak.
    pub(crate) fn count_overhead(&self, operation: Operation, old: usize, new: usize) {
        let (count, bytes, amount) = self.overhead.of(operation, old, new);
        add(count, 1);
        add(bytes, amount);
    }

    pub(crate) fn overhead(&self) -> Counts {
        self.overhead.load()
    }

    /// Counts as one of many writers. A shared slot has no peak: it belongs to no stretch of code.
    pub(crate) fn count_shared(&self, operation: Operation, old: usize, new: usize) {
        let (count, bytes, amount) = self.totals.of(operation, old, new);
        count.fetch_add(1, Relaxed);
        bytes.fetch_add(amount, Relaxed);
    }

    #[inline]
    pub(crate) fn counts(&self) -> Counts {
        self.totals.load()
    }

    /// See [`Local::totals`](crate::Local::totals).
    #[inline]
    pub(crate) fn totals(&self) -> impl Iterator<Item = u64> {
        self.totals.iter()
    }

    /// Returns the live bytes now.
    #[inline]
    fn level(&self) -> i64 {
        let allocated = self.totals.bytes_allocated.load(Relaxed);
        let freed = self.totals.bytes_deallocated.load(Relaxed);
        allocated.wrapping_sub(freed).cast_signed()
    }

    /// Claims a free slot for the thread numbered `owner`; returns `false` if it has another owner.
    pub(crate) fn try_claim(&self, owner: u64) -> bool {
        // Acquire: the last owner's additions come before the new one's.
        if self
            .owner
            .compare_exchange(FREE, TAKEN, Acquire, Relaxed)
            .is_err()
        {
            return false;
        }
        // A reader that sees the new `inherited` must also see that the owner has changed.
        fence(Release);
        self.inherited.store(self.counts());
        self.peak.store(self.level(), Relaxed);
        self.carried.store(i64::MIN, Relaxed);
        self.settled.store(self.high.load(Relaxed), Relaxed);
        self.windows.store(0, Relaxed);
        self.owner.store(owner, Release);
        true
    }

    /// Returns the totals and the highest level since the last boundary, if `thread` is the owner.
    pub(crate) fn read_of(&self, owner: u64) -> Option<(Counts, i64)> {
        if self.owner.load(Acquire) != owner || owner == FREE || owner == TAKEN {
            return None;
        }
        let carried = self.carried.load(Relaxed);
        let highest = self.peak.load(Relaxed).max(carried);
        let counts = self.counts();
        fence(Acquire);
        (self.owner.load(Relaxed) == owner).then_some((counts, highest))
    }

    /// Returns the owner's number; a number that no thread has, if the slot is free.
    #[inline]
    pub(crate) fn owner(&self) -> u64 {
        self.owner.load(Relaxed)
    }

    pub(crate) fn release(&self) {
        self.owner.store(FREE, Release);
    }

    /// Returns the owner and what it has counted; `None` if there is no owner, or it changed meanwhile.
    pub(crate) fn owned_counts(&self) -> Option<(u64, Counts)> {
        let owner = self.owner.load(Acquire);
        if owner == FREE || owner == TAKEN {
            return None;
        }
        let counts = self.counts() - self.inherited.load();
        fence(Acquire);
        (self.owner.load(Relaxed) == owner).then_some((owner, counts))
    }

    /// See [`Local::take_peak`](crate::Local::take_peak).
    #[inline]
    pub(crate) fn take_peak(&self, level: i64) -> i64 {
        let mut highest = self.peak.load(Relaxed);
        if highest > self.settled.load(Relaxed) {
            highest = self.settle_peak(highest);
        }
        self.peak.store(level, Relaxed);
        highest
    }

    /// Raises the window's highest level to this peak. Returns the highest level since the last boundary.
    // In place, so that a boundary needs no registers saved for a call.
    #[inline]
    fn settle_peak(&self, peak: i64) -> i64 {
        let high = peak.max(self.high.load(Relaxed));
        self.high.store(high, Relaxed);
        self.settled.store(high, Relaxed);
        let carried = self.carried.load(Relaxed);
        self.carried.store(i64::MIN, Relaxed);
        peak.max(carried)
    }

    /// See [`Local::open_window`](crate::Local::open_window).
    #[inline]
    pub(crate) fn open_window(&self) -> Window {
        let level = self.level();
        let depth = self.windows.load(Relaxed).wrapping_add(1);
        self.windows.store(depth, Relaxed);
        let (high, peak) = (self.high.load(Relaxed), self.peak.load(Relaxed));
        let carried = self.carried.load(Relaxed).max(peak);
        self.carried.store(carried, Relaxed);
        self.settled.store(i64::MIN, Relaxed);
        let window = Window {
            depth,
            misnested: self.misnested.load(Relaxed),
            outer_high: high.max(peak),
        };
        self.high.store(level, Relaxed);
        self.peak.store(level, Relaxed);
        window
    }

    /// Draws a boundary at this level and opens a window: what [`take_peak`](Self::take_peak) and
    /// [`open_window`](Self::open_window) do one after the other, in a third of the instructions.
    #[inline]
    pub(crate) fn open_window_at(&self, level: i64) -> Window {
        let depth = self.windows.load(Relaxed).wrapping_add(1);
        self.windows.store(depth, Relaxed);
        let (high, peak) = (self.high.load(Relaxed), self.peak.load(Relaxed));
        let window = Window {
            depth,
            misnested: self.misnested.load(Relaxed),
            outer_high: high.max(peak).max(level),
        };
        self.settled.store(i64::MIN, Relaxed);
        for highest in [&self.carried, &self.high, &self.peak] {
            highest.store(level, Relaxed);
        }
        window
    }

    /// See [`Local::close_window`](crate::Local::close_window).
    #[inline]
    pub(crate) fn close_window(&self, window: &Window) -> Option<i64> {
        let depth = self.windows.load(Relaxed);
        let inside = self.high.load(Relaxed).max(self.peak.load(Relaxed));
        self.windows.store(depth.wrapping_sub(1), Relaxed);
        let high = window.outer_high.max(inside);
        self.high.store(high, Relaxed);
        if self.carried.load(Relaxed) == i64::MIN {
            self.settled.store(high, Relaxed);
        }
        if depth != window.depth {
            let misnested = self.misnested.load(Relaxed);
            self.misnested.store(misnested.wrapping_add(1), Relaxed);
        }
        (self.misnested.load(Relaxed) == window.misnested).then_some(inside)
    }
}

/// Stretch of a thread whose highest live level is kept; opened by
/// [`Local::open_window`](crate::Local::open_window).
#[derive(Debug)]
#[must_use = "a window that is not closed leaves the peaks around it unknown"]
pub struct Window {
    depth: u32,
    misnested: u32,
    outer_high: i64,
}

/// A place in the list of slots. Two are equal when they are the same slot.
#[derive(Clone, Copy)]
pub(crate) struct Link(pub(crate) &'static Slot);

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Link {}

// The allocator must not wait for a lock, least of all one that a fork left locked.
#[cfg(not(loom))]
const _: () = assert!(AtomicCell::<Option<Link>>::is_lock_free());
