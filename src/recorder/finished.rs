//! A kept request on its way.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::report::Outcome;
use crate::trace::Trace;

use super::bytes::{of_labels, of_outcome};
use super::policy::Reason;
use super::route::Route;

/// A kept request on its way to the sinks.
pub(super) struct Finished {
    pub(super) trace: Trace,
    pub(super) route: Arc<Route>,
    pub(super) id: Option<Arc<str>>,
    pub(super) labels: Vec<(Cow<'static, str>, String)>,
    pub(super) wall: Duration,
    pub(super) outcome: Outcome,
    /// A failure of which its calls may know more.
    pub(super) is_general: bool,
    pub(super) reasons: Vec<Reason>,
}

impl Finished {
    /// What it takes, the trace's records aside.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.id.as_ref().map_or(0, |id| id.len())
            + of_labels(&self.labels)
            + of_outcome(&self.outcome)
            + self.reasons.capacity() * size_of::<Reason>()
    }
}
