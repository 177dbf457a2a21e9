//! The error of an exceeded budget.

use std::fmt;
use std::panic::Location;

use crate::counts::Counts;

use super::{ALLOCATIONS, BYTES, Budget, Happened, Known, Limit, PEAK_BYTES, RETAINED_BYTES};

/// Error of a [`Budget`] that was exceeded, or whose exact limits were not reached. Its text has the location,
/// what was allowed, what happened, and by which operations. If only exact limits are broken, it also has the
/// new budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    place: &'static Location<'static>,
    allowed: Budget,
    happened: Option<Happened>,
}

/// One limit and what happened; an unknown figure exceeds its limit.
struct Line {
    name: &'static str,
    limit: Limit,
    happened: Option<i128>,
}

impl Line {
    fn holds(&self) -> bool {
        self.limit.allows(self.happened)
    }

    /// Whether less happened than an exact limit says.
    fn is_below(&self) -> bool {
        let happened = self.happened;
        matches!(self.limit, Limit::Exactly(exactly) if happened.is_some_and(|it| it < exactly.into()))
    }

    /// Returns the limit with what happened in place of a broken exact one; `None` if another one is broken.
    fn accepting(&self) -> Option<Limit> {
        match (self.limit, self.happened) {
            (limit, _) if self.holds() => Some(limit),
            (Limit::Exactly(_), Some(happened)) => u64::try_from(happened).ok().map(Limit::Exactly),
            _ => None,
        }
    }
}

impl Exceeded {
    #[cold]
    pub(super) fn new(
        place: &'static Location<'static>,
        allowed: Budget,
        happened: Option<Happened>,
    ) -> Self {
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

    /// Returns whether nothing was exceeded, and less happened than the exact limits say.
    pub fn is_below(&self) -> bool {
        let mut broken = self.lines().into_iter().flatten().filter(|it| !it.holds());
        self.happened.is_some() && broken.all(|line| line.is_below())
    }

    /// Returns whether the number of allocations is one of the broken limits.
    pub fn is_of_allocations(&self) -> bool {
        self.lines()
            .is_some_and(|[allocations, ..]| !allocations.holds())
    }

    /// Returns the budget with what happened in place of the broken exact limits; `None` if a limit of another
    /// kind is broken, or if more bytes were freed than allocated and their exact number is limited.
    pub fn accepting(&self) -> Option<Budget> {
        let lines = self.lines()?;
        #[cfg(feature = "blocks")]
        if self.happened?.known != Known::Sums && !lines[RETAINED_BYTES].holds() {
            // A limit on the kept bytes is one on the sums.
            return None;
        }
        let limits = lines.map(|line| line.accepting());
        let mut budget = Budget::new();
        for (which, limit) in limits.into_iter().enumerate() {
            budget = budget.with(which, limit?);
        }
        Some(budget)
    }

    /// Returns the limits that were exceeded, on one line: `allocations 5, at most 1`.
    pub fn brief(&self) -> String {
        let Some(lines) = self.lines() else {
            return "not counted".to_owned();
        };
        let broken = lines.iter().filter(|line| !line.holds());
        let broken = broken.map(
            |Line {
                 name,
                 limit,
                 happened,
             }| match happened {
                Some(happened) => format!("{name} {happened}, {limit}"),
                None => format!("{name} not known, {limit}"),
            },
        );
        broken.collect::<Vec<_>>().join("; ")
    }

    /// Returns the text of the error without the new budget.
    pub fn figures(&self) -> impl fmt::Display {
        Figures(self)
    }

    fn lines(&self) -> Option<[Line; 4]> {
        let [allocations, bytes, peak_bytes, kept_bytes] = self.happened?.figures();
        let line = |which, name, happened| Line {
            name,
            limit: self.allowed.limit(which),
            happened,
        };
        // In the order of their places.
        Some([
            line(ALLOCATIONS, "allocations", allocations),
            line(BYTES, "bytes", bytes),
            line(PEAK_BYTES, "peak bytes", peak_bytes),
            line(RETAINED_BYTES, "kept bytes", kept_bytes),
        ])
    }
}

struct Figures<'a>(&'a Exceeded);

impl fmt::Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(exceeded) = self;
        let place = exceeded.place;
        let (Some(lines), Some(counts)) = (exceeded.lines(), exceeded.counts()) else {
            return write!(
                f,
                "allocation budget at {place} can't be checked: nothing is counted on this thread \
                 (is `#[global_allocator] static A: Counting = Counting::system();` there?)",
            );
        };
        let what = if exceeded.is_below() {
            "not reached"
        } else {
            "exceeded"
        };
        write!(f, "allocation budget {what} at {place}")?;
        for (which, line) in lines.iter().enumerate() {
            // Of interest only if they are limited.
            if which == RETAINED_BYTES && line.limit == Limit::Any {
                continue;
            }
            let but = if line.holds() { "and" } else { "but" };
            write!(f, "\n  {:<11}   {}, {but} ", line.name, line.limit)?;
            match line.happened {
                None => f.write_str("not known")?,
                Some(happened) => write!(f, "{happened}")?,
            }
        }
        if exceeded
            .happened
            .is_some_and(|happened| happened.known == Known::Part)
        {
            return write!(f, "\n  by {counts}, and what is not in these");
        }
        write!(f, "\n  by {counts}")
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.figures())?;
        match self.accepting() {
            Some(budget) => write!(f, "\n  if that is intended: {}", InCode(budget)),
            None => Ok(()),
        }
    }
}

/// A budget as an expression in code.
struct InCode(Budget);

impl fmt::Display for InCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(budget) = self;
        match budget.limit(ALLOCATIONS) {
            Limit::Any => f.write_str("Budget::new()")?,
            Limit::AtMost(most) => write!(f, "Budget::new().allocations({most})")?,
            Limit::Exactly(exactly) => write!(f, "Budget::exactly({exactly})")?,
        }
        for (name, limit) in [
            ("bytes", budget.limit(BYTES)),
            ("peak_bytes", budget.limit(PEAK_BYTES)),
            ("retained_bytes", budget.limit(RETAINED_BYTES)),
        ] {
            match limit {
                Limit::Any => {}
                Limit::AtMost(most) => write!(f, ".{name}({most})")?,
                Limit::Exactly(exactly) => write!(f, ".exact_{name}({exactly})")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Exceeded {}
