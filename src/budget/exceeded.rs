//! The error of a budget around a stretch of code.

use std::fmt;

use alloc_counter::Counts;
#[cfg(feature = "blocks")]
use alloc_counter::Kept;

use crate::report::Report;

use super::blocks::Left;
use super::sites::{self, Lines};

/// Error of a [`Budget`] that was exceeded, or whose exact limits were not reached. Its text has the location,
/// what was allowed, what happened, and by which operations. If only exact limits are broken, it also has the
/// new budget.
///
/// With the feature `sites`, the text has the lines that allocated: the ten heaviest, by allocations if these
/// are limited and too many, and else by bytes. They are looked up whenever the text is made: some 100 ms for a
/// program with 80 MB of debug information, and ten times as long if `addr2line` and `gimli` are compiled
/// without optimisation.
///
/// The text of a budget [of a trace](crate::alloc::Budget::of_trace) has the tree of its calls instead, with their
/// lines; that of a [balanced](crate::alloc::Budget::balanced) one also the blocks that were not freed.
///
/// [`Budget`]: crate::alloc::Budget
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded(Box<Breach>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Breach {
    figures: alloc_counter::Exceeded,
    left: Left,
    inside: Inside,
}

/// What the code did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Thread(Lines),
    Trace(Box<Report>),
}

impl Exceeded {
    pub(super) fn new(figures: alloc_counter::Exceeded, left: Left, inside: Inside) -> Self {
        Self(Box::new(Breach {
            figures,
            left,
            inside,
        }))
    }

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

    /// Returns the blocks that a [balanced](crate::alloc::Budget::balanced) budget found allocated and not freed;
    /// `None` of other budgets, and if they are not known.
    #[cfg(feature = "blocks")]
    pub fn kept(&self) -> Option<Kept> {
        self.0.left.kept()
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Breach {
            figures,
            left,
            inside,
        } = &*self.0;
        write!(f, "{figures}{left}")?;
        let inside = alloc_counter::exclude(|| match inside {
            Inside::Thread(lines) => lines.shown(figures, None),
            Inside::Trace(report) => {
                let report = sites::resolved(Report::clone(report));
                format!("\nwhat ran inside: {report:#}")
            }
        });
        let written = f.write_str(&inside);
        alloc_counter::exclude(|| drop(inside));
        written
    }
}

impl std::error::Error for Exceeded {}
