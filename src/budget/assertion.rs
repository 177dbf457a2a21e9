//! A budget around a stretch of code, for tests. Its failure names the lines that allocated.

use std::fmt;
use std::panic::Location;

use alloc_counter::{Counts, measure};

use super::sites::{Lines, recorded};

/// Limits on the allocations of a stretch of code on its thread. Figures without a limit are not
/// checked; if a figure is limited twice, the last limit counts.
///
/// Only the calling thread's allocations inside the closure count, so parallel tests do not disturb
/// each other. A future that the closure returns has not run yet: block on it inside.
///
/// ```
/// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
/// use tracer::alloc::Budget;
///
/// let parsed = Budget::new().allocations(1).peak_bytes(64).assert(|| {
///     "1,2,3".split(',').map(str::len).collect::<Vec<_>>()
/// });
/// assert_eq!(parsed, [1, 1, 1]);
/// ```
///
/// An exact budget also fails if less is allocated, so it never allows more than the code needs. The failure
/// has the new budget:
///
/// ```
/// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
/// use tracer::alloc::Budget;
///
/// let exact = Budget::exactly(2).peak_bytes(100);
/// let failure = exact.check(|| std::hint::black_box(vec![0u8; 100])).unwrap_err();
/// let text = failure.to_string();
/// assert!(text.contains("allocations   exactly 2, but 1"));
/// assert!(text.contains("if that is intended: Budget::exactly(1).peak_bytes(100)"));
/// ```
///
/// With the feature `sites`, the text of a failure has the lines that allocated. Then each of the first 10,000
/// allocations takes a quarter of a microsecond more, or 6 µs if the crates `tracer-alloc-counter` and `framehop` are
/// compiled without optimisation; later ones have no lines.
///
/// [`alloc_counter::Budget`] is the same without the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a budget does nothing until it is checked or asserted"]
pub struct Budget(alloc_counter::Budget);

impl Budget {
    /// Allows everything; the other methods set limits.
    pub const fn new() -> Self {
        Self(alloc_counter::Budget::new())
    }

    /// Allows no allocation at all. Freeing is allowed.
    pub const fn none() -> Self {
        Self(alloc_counter::Budget::none())
    }

    /// Allows this number of allocations and reallocations, and neither more nor fewer.
    ///
    /// Meant for code that does the same in every run. The other figures are limited by the other methods.
    pub const fn exactly(allocations: u64) -> Self {
        Self(alloc_counter::Budget::exactly(allocations))
    }

    /// Allows at most `most` requests that obtain memory: allocations and reallocations.
    pub const fn allocations(self, most: u64) -> Self {
        Self(self.0.allocations(most))
    }

    /// Allows at most `most` bytes allocated in total, including growth by reallocations; bytes freed in
    /// between are not subtracted.
    pub const fn bytes(self, most: u64) -> Self {
        Self(self.0.bytes(most))
    }

    /// Allows live bytes to rise at most `most` above those at the start.
    pub const fn peak_bytes(self, most: u64) -> Self {
        Self(self.0.peak_bytes(most))
    }

    /// Allows this number of requests that obtain memory, and neither more nor fewer.
    pub const fn exact_allocations(self, exactly: u64) -> Self {
        Self(self.0.exact_allocations(exactly))
    }

    /// Allows this number of bytes allocated in total, and neither more nor fewer. It may change with the
    /// version of the compiler, and is different on other platforms.
    pub const fn exact_bytes(self, exactly: u64) -> Self {
        Self(self.0.exact_bytes(exactly))
    }

    /// Allows live bytes to rise by this number above those at the start, and neither further nor less far.
    /// It may change with the version of the compiler, and is different on other platforms.
    pub const fn exact_peak_bytes(self, exactly: u64) -> Self {
        Self(self.0.exact_peak_bytes(exactly))
    }

    /// Runs `work` and returns its value; panics if the budget was exceeded.
    ///
    /// # Panics
    ///
    /// Panics with the text of [`Exceeded`] if the budget was exceeded or nothing is counted.
    #[track_caller]
    pub fn assert<T>(self, work: impl FnOnce() -> T) -> T {
        match self.check(work) {
            Ok(value) => value,
            Err(exceeded) => panic!("{exceeded}"),
        }
    }

    /// Runs `work` and returns its value, or by how much the budget was exceeded.
    ///
    /// # Errors
    ///
    /// Returns [`Exceeded`] if more was allocated than allowed, if less was allocated than an exact limit, or
    /// if nothing is counted: such a budget could never fail.
    #[track_caller]
    pub fn check<T>(self, work: impl FnOnce() -> T) -> Result<T, Exceeded> {
        let place = Location::caller();
        let measured = measure(|| recorded(work));
        let (value, lines) = measured.value;
        match self.judge(place, measured.counts, measured.peak_bytes) {
            Ok(()) => Ok(value),
            Err(figures) => Err(Exceeded(Box::new(Breach { figures, lines }))),
        }
    }

    /// Checks figures that were measured by other means.
    #[inline]
    pub(super) fn judge(
        self,
        place: &'static Location<'static>,
        counts: Option<Counts>,
        peak_bytes: Option<u64>,
    ) -> Result<(), alloc_counter::Exceeded> {
        self.0.judge(place, counts, peak_bytes)
    }
}

/// Error of a [`Budget`] that was exceeded, or whose exact limits were not reached. Its text has the location,
/// what was allowed, what happened, and by which operations. If only exact limits are broken, it also has the
/// new budget.
///
/// With the feature `sites`, the text has the lines that allocated: the ten heaviest, by allocations if these
/// are limited and too many, and else by bytes. They are looked up whenever the text is made: some 100 ms for a
/// program with 80 MB of debug information, and ten times as long if `addr2line` and `gimli` are compiled
/// without optimisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded(Box<Breach>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Breach {
    figures: alloc_counter::Exceeded,
    lines: Lines,
}

impl Exceeded {
    /// Returns what was counted; `None` if no [`Counting`](crate::Counting) allocator is installed.
    pub fn counts(&self) -> Option<Counts> {
        self.0.figures.counts()
    }

    /// Returns the highest live bytes above those at the start, if known.
    pub fn peak_bytes(&self) -> Option<u64> {
        self.0.figures.peak_bytes()
    }

    /// Returns the limits that were exceeded, on one line: `allocations 5, at most 1`.
    pub fn brief(&self) -> String {
        self.0.figures.brief()
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Breach { figures, lines } = &*self.0;
        write!(f, "{figures}")?;
        let lines = alloc_counter::exclude(|| lines.shown(figures, None));
        let written = f.write_str(&lines);
        alloc_counter::exclude(|| drop(lines));
        written
    }
}

impl std::error::Error for Exceeded {}
