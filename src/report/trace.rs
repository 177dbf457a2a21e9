//! What a trace says of itself.

use std::fmt;

use crate::primitives::excluded::Own;
use crate::read;
use crate::store::trace::Trace;

use super::{Report, assemble};

impl Trace {
    /// Reports what the trace has recorded until now, from any thread and at any time. It goes on
    /// recording meanwhile.
    ///
    /// The report is the caller's memory: if it is taken inside a call of the same trace, the
    /// allocations for it are in that call's figures. Those for printing the trace with `{}` or `{:#}`
    /// are in no call's figures.
    ///
    /// Cost: some microseconds, and allocations in proportion to what was recorded.
    pub fn report(&self) -> Report {
        assemble::report(read::snapshot(self))
    }
}

/// Writes the [`report`](Trace::report) of this moment, in the format of [`Report`]. Allocations for it are
/// the tracer's own, and in no call's figures.
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
            use fmt::Write as _;
            let report = self.report();
            // Room for most lines.
            let mut text = String::with_capacity(128 * (report.calls.len() + 1));
            // A string takes all that is written.
            let _ = if alternate {
                write!(text, "{report:#}")
            } else {
                write!(text, "{report}")
            };
            text
        }));
        f.write_str(&text)
    }
}
