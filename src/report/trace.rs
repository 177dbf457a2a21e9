//! `Trace::report`, and a trace as text.

use std::fmt;

use crate::primitives::excluded::Own;
use crate::read;
use crate::store::trace::Trace;
use crate::write::context;

use super::{Report, assemble, text, tree};

impl Trace {
    /// Returns what the trace has recorded until now. May be called on any thread at any time, also while
    /// the trace goes on.
    ///
    /// The report is the caller's memory: if it is taken inside a call of the same trace, its allocations
    /// are in that call's figures. Those of printing the trace by `{}` or `{:#}` are not.
    ///
    /// Cost: some microseconds, and allocations in proportion to what was recorded.
    pub fn report(&self) -> Report {
        context::draw_boundary_here();
        assemble::report(read::snapshot(self))
    }
}

/// Displays a [`report`](Trace::report) of this moment, as [`Report`] does. Its allocations are the
/// tracer's overhead, in no call's figures.
///
/// ```
/// use tracer::{Trace, call};
///
/// let trace = Trace::new();
/// assert_eq!(trace.to_string(), "allocates at call stack: 0, detailed call stack: ~");
/// let scope = trace.inject();
/// call!("first").stop();
/// drop(scope);
/// let text = trace.to_string();
/// assert!(text.starts_with("allocates at call stack: 0, detailed call stack:\n\tcall main [first]: "));
/// ```
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alternate = f.alternate();
        let text = Own::new(alloc_counter::exclude(|| {
            let report = self.report();
            if alternate {
                tree::text(&report.tree())
            } else {
                text::lines(&report)
            }
        }));
        f.write_str(&text)
    }
}
