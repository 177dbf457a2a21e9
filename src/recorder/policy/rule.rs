//! The rules of a policy that look at one request alone.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use alloc_counter::Counts;

use crate::primitives::text::unless_it_panics;
use crate::report::Outcome;
use crate::report::duration::nanoseconds;
#[cfg(feature = "tower")]
use crate::store::trace::Trace;

use super::{Ended, Reason};

/// A request when the head of its response is sent: figures that can only grow, and facts that don't change any more.
#[cfg(feature = "tower")]
pub(in crate::recorder) struct SoFar<'a> {
    pub(in crate::recorder) wall: Duration,
    pub(in crate::recorder) is_failed: bool,
    pub(in crate::recorder) status: Option<u16>,
    pub(in crate::recorder) trace: &'a Trace,
}

/// What tells of most requests quickly that no rule applies to them.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "rules, each by itself")]
pub(super) struct Quick {
    /// The least limit of time, in nanoseconds.
    slower_than: u64,
    /// The rules about outcomes.
    failed: bool,
    panicked: bool,
    cancelled: bool,
    /// There are rules of other kinds.
    others: bool,
}

impl Quick {
    pub(super) const NONE: Self = Self {
        slower_than: u64::MAX,
        failed: false,
        panicked: false,
        cancelled: false,
        others: false,
    };

    pub(super) fn add(&mut self, rule: &KeepRule) {
        match rule {
            KeepRule::SlowerThan(limit) => {
                self.slower_than = self.slower_than.min(nanoseconds(*limit));
            }
            KeepRule::Failed => self.failed = true,
            KeepRule::Panicked => self.panicked = true,
            KeepRule::Cancelled => self.cancelled = true,
            _ => self.others = true,
        }
    }

    /// Returns whether a rule may apply. If not, none does.
    #[inline]
    pub(super) fn may_apply(self, outcome: &Outcome, wall_ns: u64) -> bool {
        let by_outcome = *outcome != Outcome::Ok && self.may_apply_to(outcome);
        by_outcome || self.others || wall_ns > self.slower_than
    }

    #[cold]
    fn may_apply_to(self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Ok | Outcome::Running => false,
            Outcome::Failed(_) => self.failed,
            Outcome::Panicked => self.panicked,
            Outcome::Cancelled => self.cancelled,
        }
    }
}

/// A rule that looks at one request alone. Those that compare it with others are [`Extremes`].
#[derive(Clone)]
pub(super) enum KeepRule {
    SlowerThan(Duration),
    Failed,
    Panicked,
    Cancelled,
    ClientErrors,
    AllocatesOver(u64),
    BytesOver(u64),
    PeakOver(u64),
    RetainsOver(u64),
    KeptDownstream,
    SampledUpstream,
    When(Arc<str>, Arc<Condition>),
}

pub(super) type Condition = dyn Fn(&Ended<'_>) -> bool + Send + Sync;

impl KeepRule {
    pub(super) fn applies(&self, ended: &Ended<'_>, panics: &AtomicU64) -> bool {
        let over = |figure: Option<u64>, limit: &u64| figure.is_some_and(|it| it > *limit);
        let total = ended.total.as_ref();
        match self {
            Self::SlowerThan(limit) => ended.wall > *limit,
            Self::Failed => matches!(ended.outcome, Outcome::Failed(_)),
            Self::Panicked => *ended.outcome == Outcome::Panicked,
            Self::Cancelled => *ended.outcome == Outcome::Cancelled,
            Self::ClientErrors => ended.status.is_some_and(|it| (400..500).contains(&it)),
            Self::AllocatesOver(limit) => over(total.map(Counts::allocates), limit),
            Self::BytesOver(limit) => over(total.map(|total| total.bytes_allocated), limit),
            Self::PeakOver(limit) => over(ended.peak_bytes, limit),
            Self::RetainsOver(limit) => {
                let net = total.and_then(|total| u64::try_from(total.net_bytes()).ok());
                over(net, limit)
            }
            Self::KeptDownstream => ended.kept_downstream,
            Self::SampledUpstream => ended.sampled_upstream,
            Self::When(_, condition) => says(&**condition, ended, panics),
        }
    }

    /// Returns the reason for which it keeps a request to which it applies.
    #[cold]
    pub(super) fn reason(&self, ended: &Ended<'_>) -> Reason {
        match self {
            Self::SlowerThan(limit) => Reason::SlowerThan(*limit),
            Self::Failed => Reason::Failed,
            Self::Panicked => Reason::Panicked,
            Self::Cancelled => Reason::Cancelled,
            Self::ClientErrors => Reason::ClientError(ended.status.unwrap_or_default()),
            Self::AllocatesOver(limit) => Reason::AllocatesOver(*limit),
            Self::BytesOver(limit) => Reason::BytesOver(*limit),
            Self::PeakOver(limit) => Reason::PeakOver(*limit),
            Self::RetainsOver(limit) => Reason::RetainsOver(*limit),
            Self::KeptDownstream => Reason::KeptDownstream,
            Self::SampledUpstream => Reason::SampledUpstream,
            Self::When(name, _) => Reason::Rule(Arc::clone(name)),
        }
    }

    /// Returns whether it will apply, whatever happens from now on.
    #[cfg(feature = "tower")]
    pub(super) fn applies_already(&self, so_far: &SoFar<'_>) -> bool {
        let total = |figure: fn(&Counts) -> u64| so_far.trace.total().map_or(0, |it| figure(&it));
        match self {
            Self::SlowerThan(limit) => so_far.wall > *limit,
            Self::Failed => so_far.is_failed,
            Self::ClientErrors => so_far.status.is_some_and(|it| (400..500).contains(&it)),
            Self::AllocatesOver(limit) => total(Counts::allocates) > *limit,
            Self::BytesOver(limit) => total(|it| it.bytes_allocated) > *limit,
            Self::KeptDownstream => so_far.trace.is_kept_downstream(),
            Self::SampledUpstream => so_far.trace.is_sampled_upstream(),
            // Outcomes may change until the end, and memory may be freed. A peak takes reading all calls.
            Self::Panicked
            | Self::Cancelled
            | Self::PeakOver(_)
            | Self::RetainsOver(_)
            | Self::When(..) => false,
        }
    }
}

/// Asks a rule of the program.
fn says(condition: &Condition, ended: &Ended<'_>, panics: &AtomicU64) -> bool {
    thread_local! {
        static IS_ASKING: Cell<bool> = const { Cell::new(false) };
    }
    if IS_ASKING.replace(true) {
        // The rule ended a request itself.
        return false;
    }
    let said = unless_it_panics(|| condition(ended));
    IS_ASKING.set(false);
    said.unwrap_or_else(|| {
        panics.fetch_add(1, Relaxed);
        false
    })
}
