//! A kept or typical request whose report has yet to be built.

use std::borrow::Cow;
use std::time::Duration;

use crate::read::footprint::Footprint;
use crate::report::Outcome;
use crate::store::trace::Trace;

#[cfg(feature = "sites")]
use super::arming::ArmedPlace;
use super::bytes::{of_labels, of_outcome};
use super::id::Id;
use super::policy::Reason;

/// A kept or typical request whose report has yet to be built.
pub(super) struct Finished {
    pub(super) trace: Trace,
    /// The route's number.
    pub(super) route: usize,
    pub(super) id: Option<Id>,
    pub(super) labels: Vec<(Cow<'static, str>, String)>,
    /// The memory of its trace.
    pub(super) footprint: Footprint,
    pub(super) wall: Duration,
    pub(super) outcome: Outcome,
    /// Whether its calls may know more about the failure.
    pub(super) is_general: bool,
    /// None of a request that is not kept.
    pub(super) reasons: Vec<Reason>,
    /// Whether it stands for the others of its name.
    pub(super) is_typical: bool,
    /// The place of an armed request that it takes.
    #[cfg(feature = "sites")]
    pub(super) armed: Option<ArmedPlace>,
}

impl Finished {
    /// Returns how many bytes it takes, with its trace.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.footprint.bytes()
            + self.id.as_ref().map_or(0, Id::bytes)
            + of_labels(&self.labels)
            + of_outcome(&self.outcome)
            + self.reasons.capacity() * size_of::<Reason>()
    }
}
