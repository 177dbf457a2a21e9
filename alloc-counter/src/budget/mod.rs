//! Budgets: assertions on the allocations of a stretch of code, for tests.

mod exceeded;

use std::fmt;
use std::panic::Location;

use crate::counts::Counts;
use crate::region::measure;

pub use exceeded::Exceeded;

/// Limits on the allocations of a stretch of code on its thread. Figures without a limit are not
/// checked; if a figure is limited twice, the last limit counts.
///
/// Only the calling thread's allocations inside the closure count, so parallel tests do not disturb
/// each other. A future that the closure returns has not run yet: block on it inside.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// use alloc_counter::Budget;
///
/// let parsed = Budget::new().allocations(1).peak_bytes(64).assert(|| {
///     "1,2,3".split(',').map(str::len).collect::<Vec<_>>()
/// });
/// assert_eq!(parsed, [1, 1, 1]);
///
/// let exceeded = Budget::none().check(|| std::hint::black_box(vec![0u8; 100])).unwrap_err();
/// assert!(exceeded.to_string().contains("allocations   at most 0, but 1"));
/// ```
///
/// An exact budget also fails if less is allocated, so it never allows more than the code needs. The failure
/// has the new budget:
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// use alloc_counter::Budget;
///
/// let exact = Budget::exactly(2).peak_bytes(100);
/// let failure = exact.check(|| std::hint::black_box(vec![0u8; 100])).unwrap_err();
/// let text = failure.to_string();
/// assert!(text.contains("allocations   exactly 2, but 1"));
/// assert!(text.ends_with("if that is intended: Budget::exactly(1).peak_bytes(100)"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a budget does nothing until it is checked or asserted"]
pub struct Budget {
    // Apart from each other, they take half of the memory.
    kinds: [Kind; 4],
    figures: [u64; 4],
}

/// The places of the figures that have limits.
const ALLOCATIONS: usize = 0;
const BYTES: usize = 1;
const PEAK_BYTES: usize = 2;
const RETAINED_BYTES: usize = 3;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Any,
    AtMost,
    Exactly,
}

impl Budget {
    /// Allows everything; the other methods set limits.
    pub const fn new() -> Self {
        Self {
            kinds: [Kind::Any; 4],
            figures: [0; 4],
        }
    }

    const fn with(mut self, which: usize, limit: Limit) -> Self {
        let (kind, figure) = match limit {
            Limit::Any => (Kind::Any, 0),
            Limit::AtMost(most) => (Kind::AtMost, most),
            Limit::Exactly(exactly) => (Kind::Exactly, exactly),
        };
        self.kinds[which] = kind;
        self.figures[which] = figure;
        self
    }

    #[inline]
    const fn limit(&self, which: usize) -> Limit {
        match self.kinds[which] {
            Kind::Any => Limit::Any,
            Kind::AtMost => Limit::AtMost(self.figures[which]),
            Kind::Exactly => Limit::Exactly(self.figures[which]),
        }
    }

    /// Allows no allocation at all. Freeing is allowed.
    pub const fn none() -> Self {
        Self::new().allocations(0)
    }

    /// Allows this number of allocations and reallocations, and neither more nor fewer.
    ///
    /// Meant for code that does the same in every run. The other figures are limited by the other methods.
    pub const fn exactly(allocations: u64) -> Self {
        Self::new().exact_allocations(allocations)
    }

    /// Allows any allocations, if as many bytes are freed as are allocated, and neither fewer nor more.
    ///
    /// What the code frees on other threads is not seen, and the memory of the value that it returns is not freed
    /// yet. A cache that grows is no leak, but it is not balanced either.
    ///
    /// ```
    /// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
    /// use alloc_counter::Budget;
    ///
    /// let length = Budget::balanced().assert(|| "x".repeat(100).len());
    /// let kept = Budget::balanced().check(|| "x".repeat(length)).unwrap_err();
    /// assert_eq!(kept.brief(), "kept bytes 100, exactly 0");
    /// ```
    pub const fn balanced() -> Self {
        Self::new().exact_retained_bytes(0)
    }

    /// Allows at most `most` requests that obtain memory: allocations and reallocations.
    pub const fn allocations(self, most: u64) -> Self {
        self.with(ALLOCATIONS, Limit::AtMost(most))
    }

    /// Allows at most `most` bytes allocated in total, including growth by reallocations; bytes freed in
    /// between are not subtracted.
    pub const fn bytes(self, most: u64) -> Self {
        self.with(BYTES, Limit::AtMost(most))
    }

    /// Allows live bytes to rise at most `most` above those at the start.
    pub const fn peak_bytes(self, most: u64) -> Self {
        self.with(PEAK_BYTES, Limit::AtMost(most))
    }

    /// Allows at most `most` bytes that are allocated and not freed. Memory from before that the code frees is
    /// subtracted.
    pub const fn retained_bytes(self, most: u64) -> Self {
        self.with(RETAINED_BYTES, Limit::AtMost(most))
    }

    /// Allows this number of requests that obtain memory, and neither more nor fewer.
    pub const fn exact_allocations(self, exactly: u64) -> Self {
        self.with(ALLOCATIONS, Limit::Exactly(exactly))
    }

    /// Allows this number of bytes allocated in total, and neither more nor fewer. It may change with the
    /// version of the compiler, and is different on other platforms.
    pub const fn exact_bytes(self, exactly: u64) -> Self {
        self.with(BYTES, Limit::Exactly(exactly))
    }

    /// Allows live bytes to rise by this number above those at the start, and neither further nor less far.
    /// It may change with the version of the compiler, and is different on other platforms.
    pub const fn exact_peak_bytes(self, exactly: u64) -> Self {
        self.with(PEAK_BYTES, Limit::Exactly(exactly))
    }

    /// Allows this number of bytes that are allocated and not freed, and neither more nor fewer. It may change with
    /// the version of the compiler, and is different on other platforms.
    pub const fn exact_retained_bytes(self, exactly: u64) -> Self {
        self.with(RETAINED_BYTES, Limit::Exactly(exactly))
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
        let measured = measure(work);
        self.judge(place, measured.counts, measured.peak_bytes)?;
        Ok(measured.value)
    }

    /// Checks figures that were measured by other means, for code at the caller's location.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check).
    #[inline]
    pub fn judge(
        self,
        place: &'static Location<'static>,
        counts: Option<Counts>,
        peak_bytes: Option<u64>,
    ) -> Result<(), Exceeded> {
        let happened = counts.map(|counts| Happened {
            counts,
            peak_bytes,
            known: Known::Sums,
        });
        self.judge_happened(place, happened)
    }

    /// Checks what was measured of a part of the code: no figure of the whole is known, so a limit on any is broken.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check), and if any figure is limited.
    pub fn judge_part(
        self,
        place: &'static Location<'static>,
        counts: Option<Counts>,
    ) -> Result<(), Exceeded> {
        let happened = counts.map(|counts| Happened {
            counts,
            peak_bytes: None,
            known: Known::Part,
        });
        self.judge_happened(place, happened)
    }

    /// Checks figures as [`judge`](Self::judge) does. The bytes that are kept are not the difference of the sums, but
    /// these, of [`Blocks`](crate::Blocks); `None` if they are not known.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check), and if a limited figure is not known.
    #[cfg(feature = "blocks")]
    pub fn judge_kept(
        self,
        place: &'static Location<'static>,
        counts: Option<Counts>,
        peak_bytes: Option<u64>,
        kept_bytes: Option<u64>,
    ) -> Result<(), Exceeded> {
        let happened = counts.map(|counts| Happened {
            counts,
            peak_bytes,
            known: kept_bytes.map_or(Known::NotKept, Known::Kept),
        });
        self.judge_happened(place, happened)
    }

    #[inline]
    fn judge_happened(
        self,
        place: &'static Location<'static>,
        happened: Option<Happened>,
    ) -> Result<(), Exceeded> {
        if happened.is_some_and(|happened| happened.is_within(self)) {
            Ok(())
        } else {
            Err(Exceeded::new(place, self, happened))
        }
    }
}

/// What is known beside the peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// The sums of what was allocated and freed, and by them what is kept.
    Sums,
    /// Those of a part, and of the whole nothing.
    Part,
    /// The sums, and the bytes of the blocks that are kept.
    #[cfg(feature = "blocks")]
    Kept(u64),
    /// The sums, but not what is kept.
    #[cfg(feature = "blocks")]
    NotKept,
}

/// The limit of one figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Any,
    AtMost(u64),
    Exactly(u64),
}

impl Limit {
    /// Returns whether a figure is within the limit. An unknown one is within none.
    #[inline]
    fn allows(self, happened: Option<i128>) -> bool {
        match self {
            Self::Any => true,
            Self::AtMost(most) => happened.is_some_and(|happened| happened <= most.into()),
            Self::Exactly(exactly) => happened == Some(exactly.into()),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any number"),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::Exactly(exactly) => write!(f, "exactly {exactly}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Happened {
    counts: Counts,
    peak_bytes: Option<u64>,
    known: Known,
}

impl Happened {
    /// Returns a sum of the whole, if it is known.
    #[inline]
    fn sum(self, figure: impl FnOnce(Counts) -> i128) -> Option<i128> {
        (self.known != Known::Part).then(|| figure(self.counts))
    }

    /// Returns the bytes that are kept, if they are known.
    #[inline]
    fn kept_bytes(self) -> Option<i128> {
        match self.known {
            Known::Sums => Some(self.counts.net_bytes().into()),
            Known::Part => None,
            #[cfg(feature = "blocks")]
            Known::Kept(bytes) => Some(bytes.into()),
            #[cfg(feature = "blocks")]
            Known::NotKept => None,
        }
    }

    /// Returns the figures in the order of their places.
    #[inline]
    fn figures(self) -> [Option<i128>; 4] {
        [
            self.sum(|counts| counts.allocates().into()),
            self.sum(|counts| counts.bytes_allocated.into()),
            self.peak_bytes.map(i128::from),
            self.kept_bytes(),
        ]
    }

    #[inline]
    fn is_within(self, allowed: Budget) -> bool {
        // Only the last is signed. For the others, the comparison is optimised to one of 64 bits.
        let [allocations, bytes, peak_bytes, kept_bytes] = self.figures();
        let limit = |which| allowed.limit(which);
        limit(ALLOCATIONS).allows(allocations)
            && limit(BYTES).allows(bytes)
            && limit(PEAK_BYTES).allows(peak_bytes)
            && limit(RETAINED_BYTES).allows(kept_bytes)
    }
}

/// Writes the limits on allocations, bytes and peaks as those of the attribute `#[budget]` of the crate `tracer`:
/// `allocations == 14, peak <= 65536`.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [
            ("allocations", self.limit(ALLOCATIONS)),
            ("bytes", self.limit(BYTES)),
            ("peak", self.limit(PEAK_BYTES)),
        ];
        let mut between = "";
        for (name, limit) in limits {
            match limit {
                Limit::Any => continue,
                Limit::AtMost(most) => write!(f, "{between}{name} <= {most}")?,
                Limit::Exactly(exactly) => write!(f, "{between}{name} == {exactly}")?,
            }
            between = ", ";
        }
        Ok(())
    }
}
