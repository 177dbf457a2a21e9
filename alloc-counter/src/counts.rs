//! `Counts`: the five totals, their differences, and what is derived from them.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

/// The five totals that the counting allocator keeps.
///
/// A reading holds the totals since the start of a thread or of the process; the difference of two
/// readings holds what happened in between.
///
/// # Rules of counting
///
/// 1. Only success counts. A failed request changes nothing.
/// 2. `alloc` and `alloc_zeroed` are one allocation of the requested size.
/// 3. `realloc` is one reallocation, whether or not the block moved. Growth is added to
///    [`bytes_allocated`](Self::bytes_allocated), shrinkage to
///    [`bytes_deallocated`](Self::bytes_deallocated).
/// 4. `dealloc` is one deallocation of the block's size.
/// 5. Sizes are those requested ([`Layout::size`](std::alloc::Layout::size)); alignment, headers and
///    size classes of the inner allocator do not count.
/// 6. The totals only grow (and wrap around at 2⁶⁴). A thread may free what another allocated,
///    so the difference, [`net_bytes`](Self::net_bytes), is signed.
/// 7. Nothing is lost: figures that no thread can own (those of a dying thread's last moments) are in
///    [`Process::unattributed`](crate::Process), the counter's own memory in
///    [`Process::overhead`](crate::Process), and the process's total has both.
///
/// An allocation that the optimiser removes does not count. In a release build an unused box may vanish
/// altogether, or be allocated and freed without a trace of its use. So measure code that uses its
/// allocations, or wrap them in [`std::hint::black_box`].
///
/// # Examples
///
/// ```
/// use alloc_counter::Counts;
///
/// let before = Counts { allocations: 2, bytes_allocated: 64, ..Counts::ZERO };
/// let after = Counts { allocations: 3, reallocations: 1, bytes_allocated: 200, ..Counts::ZERO };
/// let made = after - before;
/// assert_eq!(made.allocates(), 2);
/// assert_eq!(made.net_bytes(), 136);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Blocks obtained by `alloc` and `alloc_zeroed`.
    pub allocations: u64,
    /// Blocks freed.
    pub deallocations: u64,
    /// Blocks resized, in place or by moving.
    pub reallocations: u64,
    /// Bytes requested by allocations, plus those by which reallocations grew a block.
    pub bytes_allocated: u64,
    /// Bytes freed, plus those by which reallocations shrank a block.
    pub bytes_deallocated: u64,
}

impl Counts {
    /// All totals are 0.
    pub const ZERO: Self = Self {
        allocations: 0,
        deallocations: 0,
        reallocations: 0,
        bytes_allocated: 0,
        bytes_deallocated: 0,
    };

    /// Returns the number of requests that obtained memory: allocations and reallocations.
    pub const fn allocates(&self) -> u64 {
        self.allocations.wrapping_add(self.reallocations)
    }

    /// Returns bytes allocated minus bytes freed; negative if more was freed than allocated.
    pub const fn net_bytes(&self) -> i64 {
        self.bytes_allocated
            .wrapping_sub(self.bytes_deallocated)
            .cast_signed()
    }

    /// Returns the totals as an array, in the order of the fields.
    pub const fn to_array(self) -> [u64; 5] {
        [
            self.allocations,
            self.deallocations,
            self.reallocations,
            self.bytes_allocated,
            self.bytes_deallocated,
        ]
    }

    /// Makes counts of the totals in the order of the fields, as [`to_array`](Self::to_array) returns
    /// them.
    pub const fn from_array(totals: [u64; 5]) -> Self {
        let [
            allocations,
            deallocations,
            reallocations,
            bytes_allocated,
            bytes_deallocated,
        ] = totals;
        Self {
            allocations,
            deallocations,
            reallocations,
            bytes_allocated,
            bytes_deallocated,
        }
    }

    /// Subtracts an earlier reading; a total that would be negative is 0, for a later reading that may
    /// lack something.
    #[must_use]
    #[inline]
    pub fn saturating_sub(self, earlier: Self) -> Self {
        self.zip(earlier, u64::saturating_sub)
    }

    #[inline]
    fn zip(self, other: Self, operation: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            allocations: operation(self.allocations, other.allocations),
            deallocations: operation(self.deallocations, other.deallocations),
            reallocations: operation(self.reallocations, other.reallocations),
            bytes_allocated: operation(self.bytes_allocated, other.bytes_allocated),
            bytes_deallocated: operation(self.bytes_deallocated, other.bytes_deallocated),
        }
    }
}

/// Adds total by total; wraps around, as the totals do.
impl Add for Counts {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_add)
    }
}

impl AddAssign for Counts {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Returns what happened between two readings; wraps around, as the totals do.
impl Sub for Counts {
    type Output = Self;

    #[inline]
    fn sub(self, earlier: Self) -> Self {
        self.zip(earlier, u64::wrapping_sub)
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

/// `3 allocations, 1 reallocation, 2 deallocations, 200 bytes allocated, 64 bytes freed`
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        write!(
            f,
            "{} allocation{}, {} reallocation{}, {} deallocation{}, {} byte{} allocated, {} byte{} freed",
            self.allocations,
            plural(self.allocations),
            self.reallocations,
            plural(self.reallocations),
            self.deallocations,
            plural(self.deallocations),
            self.bytes_allocated,
            plural(self.bytes_allocated),
            self.bytes_deallocated,
            plural(self.bytes_deallocated),
        )
    }
}

/// For code that reads `stats_alloc` figures. That crate also keeps the net bytes moved by
/// reallocations on their own; the five totals do not, so `bytes_reallocated` is 0.
#[cfg(feature = "stats_alloc")]
impl From<Counts> for stats_alloc::Stats {
    fn from(counts: Counts) -> Self {
        let count = |total: u64| usize::try_from(total).unwrap_or(usize::MAX);
        Self {
            allocations: count(counts.allocations),
            deallocations: count(counts.deallocations),
            reallocations: count(counts.reallocations),
            bytes_allocated: count(counts.bytes_allocated),
            bytes_deallocated: count(counts.bytes_deallocated),
            bytes_reallocated: 0,
        }
    }
}
