//! Budgets: assertions on the allocations of a stretch of code, for tests.

use std::fmt;
use std::panic::Location;

use crate::counts::Counts;
use crate::region::measure;

/// Limits on the allocations of a stretch of code on its thread. Figures without a limit are not
/// checked.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a budget does nothing until it is checked or asserted"]
pub struct Budget {
    allocations: Option<u64>,
    bytes: Option<u64>,
    peak_bytes: Option<u64>,
}

impl Budget {
    /// Allows everything; the other methods set limits.
    pub const fn new() -> Self {
        Self {
            allocations: None,
            bytes: None,
            peak_bytes: None,
        }
    }

    /// Allows no allocation at all. Freeing is allowed.
    pub const fn none() -> Self {
        Self::new().allocations(0)
    }

    /// Allows at most `most` requests that obtain memory: allocations and reallocations.
    pub const fn allocations(mut self, most: u64) -> Self {
        self.allocations = Some(most);
        self
    }

    /// Allows at most `most` bytes allocated in total, including growth by reallocations; bytes freed in
    /// between are not subtracted.
    pub const fn bytes(mut self, most: u64) -> Self {
        self.bytes = Some(most);
        self
    }

    /// Allows live bytes to rise at most `most` above those at the start.
    pub const fn peak_bytes(mut self, most: u64) -> Self {
        self.peak_bytes = Some(most);
        self
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
    /// Returns [`Exceeded`] if more was allocated than allowed, or if nothing is counted: such a budget
    /// could never fail.
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
        let happened = counts.map(|counts| Happened { counts, peak_bytes });
        if happened.is_some_and(|happened| happened.is_within(self)) {
            Ok(())
        } else {
            Err(Exceeded::new(place, self, happened))
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Happened {
    counts: Counts,
    peak_bytes: Option<u64>,
}

impl Happened {
    #[inline]
    fn is_within(self, allowed: Budget) -> bool {
        is_at_most(Some(self.counts.allocates()), allowed.allocations)
            && is_at_most(Some(self.counts.bytes_allocated), allowed.bytes)
            && is_at_most(self.peak_bytes, allowed.peak_bytes)
    }
}

#[inline]
fn is_at_most(happened: Option<u64>, most: Option<u64>) -> bool {
    most.is_none_or(|most| happened.is_some_and(|happened| happened <= most))
}

/// One limit and what happened; an unknown figure exceeds its limit.
struct Line {
    name: &'static str,
    most: Option<u64>,
    happened: Option<u64>,
}

impl Line {
    fn holds(&self) -> bool {
        is_at_most(self.happened, self.most)
    }
}

impl Budget {
    fn lines(self, happened: Happened) -> [Line; 3] {
        let line = |name, most, happened| Line {
            name,
            most,
            happened,
        };
        [
            line(
                "allocations",
                self.allocations,
                Some(happened.counts.allocates()),
            ),
            line("bytes", self.bytes, Some(happened.counts.bytes_allocated)),
            line("peak bytes", self.peak_bytes, happened.peak_bytes),
        ]
    }
}

/// Error of an exceeded [`Budget`]. Its text has the location, what was allowed, what happened, and by
/// which operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    place: &'static Location<'static>,
    allowed: Budget,
    happened: Option<Happened>,
}

impl Exceeded {
    #[cold]
    fn new(place: &'static Location<'static>, allowed: Budget, happened: Option<Happened>) -> Self {
        Self {
            place,
            allowed,
            happened,
        }
    }

    /// Returns what was counted; `None` if no [`Counting`](crate::Counting) allocator is installed.
    pub fn counts(&self) -> Option<Counts> {
        self.happened.map(|happened| happened.counts)
    }

    /// Returns the highest live bytes above those at the start, if known.
    pub fn peak_bytes(&self) -> Option<u64> {
        self.happened.and_then(|happened| happened.peak_bytes)
    }
}

impl Exceeded {
    /// Returns the limits that were exceeded, on one line: `allocations 5, at most 1`.
    pub fn brief(&self) -> String {
        let Some(happened) = self.happened else {
            return "not counted".to_owned();
        };
        let lines = self.allowed.lines(happened);
        let broken = lines.iter().filter(|line| !line.holds());
        let broken = broken.map(|line| {
            let most = line.most.unwrap_or(u64::MAX);
            match line.happened {
                Some(happened) => format!("{} {happened}, at most {most}", line.name),
                None => format!("{} not known, at most {most}", line.name),
            }
        });
        broken.collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(happened) = self.happened else {
            return write!(
                f,
                "allocation budget at {} can't be checked: nothing is counted on this thread \
                 (is `#[global_allocator] static A: Counting = Counting::system();` there?)",
                self.place
            );
        };
        write!(f, "allocation budget exceeded at {}", self.place)?;
        for line in self.allowed.lines(happened) {
            write!(f, "\n  {:<11}   ", line.name)?;
            match line.most {
                None => f.write_str("any number, ")?,
                Some(most) => write!(f, "at most {most}, ")?,
            }
            f.write_str(if line.holds() { "and " } else { "but " })?;
            match line.happened {
                None => f.write_str("not known")?,
                Some(happened) => write!(f, "{happened}")?,
            }
        }
        write!(f, "\n  by {}", happened.counts)
    }
}

impl std::error::Error for Exceeded {}
