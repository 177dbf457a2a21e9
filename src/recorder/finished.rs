//! A kept request on its way.

use std::borrow::Cow;
use std::time::Duration;

use crate::report::Outcome;
use crate::store::trace::Trace;

use super::bytes::{of_labels, of_outcome};
use super::id::Id;
use super::policy::Reason;

/// A kept request on its way to the sinks.
pub(super) struct Finished {
    pub(super) trace: Trace,
    /// The route's number.
    pub(super) route: usize,
    pub(super) id: Option<Id>,
    pub(super) labels: Vec<(Cow<'static, str>, String)>,
    /// What its records take, in bytes.
    pub(super) records: usize,
    pub(super) wall: Duration,
    pub(super) outcome: Outcome,
    /// A failure of which its calls may know more.
    pub(super) is_general: bool,
    pub(super) reasons: Vec<Reason>,
}

impl Finished {
    /// What it takes, with the trace's records.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.records
            + self.id.as_ref().map_or(0, Id::bytes)
            + of_labels(&self.labels)
            + of_outcome(&self.outcome)
            + self.reasons.capacity() * size_of::<Reason>()
    }
}
