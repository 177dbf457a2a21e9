//! In place of `sites` without its feature: nothing is recorded, and messages say how to get lines.

use alloc_counter::Exceeded;

use crate::report::Report;
use crate::store::trace::Trace;

#[derive(Debug)]
pub(super) struct RunSites;

impl RunSites {
    pub(super) const MAY_RECORD: bool = false;

    pub(super) fn new() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn enter(&mut self) {}

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn leave(&mut self) {}

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn take(&mut self) -> Lines {
        Lines
    }
}

/// Makes a trace.
pub(super) fn new_trace() -> Trace {
    Trace::new()
}

/// Returns the report, which has no lines.
pub(super) fn resolved(report: Report) -> Report {
    report
}

/// Runs `work`.
pub(super) fn recorded<T>(work: impl FnOnce() -> T) -> (T, Lines) {
    (work(), Lines)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines;

impl Lines {
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn shown(&self, exceeded: &Exceeded, _: Option<(&str, &str)>) -> String {
        let has_allocated = exceeded.counts().is_some_and(|it| it.allocates() > 0);
        let how = "\nthe feature `sites` of the crate `tracer` adds the lines that allocated";
        if has_allocated {
            how.to_owned()
        } else {
            String::new()
        }
    }
}
