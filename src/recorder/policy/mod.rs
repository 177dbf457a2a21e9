//! The tail policy: which requests are kept, decided when they are over.

mod rule;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use alloc_counter::Counts;

use crate::primitives::excluded::Programs;
use crate::report::Outcome;
use crate::report::units::{bytes, count, time};

use super::top::Extremes;

use rule::{KeepRule, Quick};

#[cfg(feature = "tower")]
pub(super) use rule::SoFar;

/// A request that is over, as far as a [`Policy`] sees it: no report has been built yet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended<'a> {
    /// The request's name: its route.
    pub name: &'a str,
    /// The request's id.
    pub id: Option<&'a str>,
    /// The time from its beginning to its end.
    pub wall: Duration,
    /// How it ended. The message of a failure is known only if the request itself was marked as failed;
    /// those of its calls are not known yet.
    pub outcome: &'a Outcome,
    /// The allocations and frees of all its strands; `None` if nothing was counted.
    pub total: Option<Counts>,
    /// The highest peak of a single call, in bytes above the live bytes at its start; `None` if nothing
    /// was counted.
    pub peak_bytes: Option<u64>,
    /// The number of calls, in all strands.
    pub calls: u64,
    /// The status of the HTTP response; `None` if there was no response, or if it is no HTTP request.
    pub status: Option<u16>,
    /// Whether a service that was called has kept its part of the request (feature `propagation`).
    pub kept_downstream: bool,
    /// Whether the caller samples the request, by the flag in its `traceparent` (feature `propagation`).
    pub sampled_upstream: bool,
}

/// Set of rules: a request is kept if one of them applies to it.
///
/// The policy decides at a request's end, on the request's thread, so that nothing is stored or built
/// for the others. [`Policy::default`] keeps requests that failed, panicked or were cancelled, and for
/// each name and minute the 3 slowest and the 3 heaviest. So there is something to look at, and to
/// compare it with, before anything is known about a service. [`Policy::none`] begins with no rule.
///
/// ```
/// use std::time::Duration;
/// use tracer::recorder::Policy;
///
/// let policy = Policy::default()
///     .slower_than(Duration::from_millis(250))
///     .bytes_over(16 << 20)
///     .when("one customer's", |ended| ended.id.is_some_and(|id| id.starts_with("acme-")));
/// ```
#[doc(alias = "sampler")]
#[derive(Clone)]
pub struct Policy {
    rules: Programs<Vec<KeepRule>>,
    quick: Quick,
    slowest: Extremes,
    heaviest: Extremes,
}

// The order of the variants is their priority: `Verdict::keep` sorts a request's reasons by it, texts show
// them so, and `ring.rs` groups reports by the first, unless they were armed.
/// The reason for which a request is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It panicked.
    Panicked,
    /// It failed.
    Failed,
    /// It was cancelled: dropped before it was over.
    Cancelled,
    /// It was answered with this HTTP status, which is a client error.
    ClientError(u16),
    /// It took longer than this.
    SlowerThan(Duration),
    /// It allocated more often than this.
    AllocatesOver(u64),
    /// It allocated more bytes than this.
    BytesOver(u64),
    /// The peak of one of its calls was more bytes than this.
    PeakOver(u64),
    /// It kept more bytes than this: allocated and not freed.
    RetainsOver(u64),
    /// A service that was called kept its part of the request.
    KeptDownstream,
    /// The caller samples the request.
    SampledUpstream,
    /// A rule of the program itself, by its name.
    Rule(Arc<str>),
    /// It was one of the slowest of its name in a window of time.
    Slowest,
    /// It was one of those of its name that allocated the most bytes in a window of time.
    Heaviest,
    /// Its route was armed, so it recorded which lines allocate (feature `sites`).
    Armed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked => f.write_str("panicked"),
            Self::Failed => f.write_str("failed"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::ClientError(status) => write!(f, "answered with {status}"),
            Self::SlowerThan(limit) => write!(f, "slower than {}", time(*limit)),
            Self::AllocatesOver(limit) => write!(f, "allocates over {}", count(*limit)),
            Self::BytesOver(limit) => write!(f, "over {}", bytes(*limit)),
            Self::PeakOver(limit) => write!(f, "peak over {}", bytes(*limit)),
            Self::RetainsOver(limit) => write!(f, "keeps over {}", bytes(*limit)),
            Self::KeptDownstream => f.write_str("kept downstream"),
            Self::SampledUpstream => f.write_str("sampled upstream"),
            Self::Rule(name) => f.write_str(name),
            Self::Slowest => f.write_str("among the slowest"),
            Self::Heaviest => f.write_str("among the heaviest"),
            Self::Armed => f.write_str("armed"),
        }
    }
}

impl Reason {
    /// Returns the reason by which the ring groups a report. Armed ones are some ten times as large as others: in
    /// a group of their own they are not what makes another group the largest.
    pub(super) fn of_group(reasons: &[Self]) -> Option<Self> {
        let armed = reasons.iter().find(|reason| **reason == Self::Armed);
        armed.or(reasons.first()).cloned()
    }
}

impl Default for Policy {
    fn default() -> Self {
        let window = Duration::from_secs(60);
        Self::none()
            .failed()
            .panicked()
            .cancelled()
            .slowest(3, window)
            .heaviest(3, window)
    }
}

impl Policy {
    /// Returns a policy without rules, which keeps nothing.
    pub const fn none() -> Self {
        Self {
            rules: Programs::new(Vec::new()),
            quick: Quick::NONE,
            slowest: Extremes::NONE,
            heaviest: Extremes::NONE,
        }
    }

    fn rule(mut self, rule: KeepRule) -> Self {
        self.quick.add(&rule);
        self.rules.push(rule);
        self
    }

    /// Keeps requests that took longer than this.
    #[must_use]
    pub fn slower_than(self, limit: Duration) -> Self {
        self.rule(KeepRule::SlowerThan(limit))
    }

    /// Keeps requests that [failed](Outcome::Failed): those marked as failed, and those without a set
    /// outcome if one of their outermost calls failed.
    #[must_use]
    pub fn failed(self) -> Self {
        self.rule(KeepRule::Failed)
    }

    /// Keeps requests that [panicked](Outcome::Panicked).
    #[must_use]
    pub fn panicked(self) -> Self {
        self.rule(KeepRule::Panicked)
    }

    /// Keeps requests that were [cancelled](Outcome::Cancelled): a future dropped before it was ready, a
    /// response whose client hung up.
    #[must_use]
    pub fn cancelled(self) -> Self {
        self.rule(KeepRule::Cancelled)
    }

    /// Keeps HTTP requests that were answered with a client error, a status of 400 to 499. Such
    /// requests have not [failed](Self::failed), and [`Policy::default`] does not keep them.
    ///
    /// Anyone who reaches the service can cause any number of them, and they share the recorder's
    /// memory with the other kept requests.
    #[must_use]
    pub fn client_errors(self) -> Self {
        self.rule(KeepRule::ClientErrors)
    }

    /// Keeps requests that allocated more often than this; nothing if no [`Counting`](crate::Counting)
    /// allocator is installed.
    #[must_use]
    pub fn allocates_over(self, limit: u64) -> Self {
        self.rule(KeepRule::AllocatesOver(limit))
    }

    /// Keeps requests that allocated more bytes than this in total; nothing if no
    /// [`Counting`](crate::Counting) allocator is installed.
    #[must_use]
    pub fn bytes_over(self, limit: u64) -> Self {
        self.rule(KeepRule::BytesOver(limit))
    }

    /// Keeps requests with a call whose [peak](crate::CallReport::peak_bytes) was more bytes than this;
    /// nothing if no [`Counting`](crate::Counting) allocator is installed.
    #[must_use]
    pub fn peak_over(self, limit: u64) -> Self {
        self.rule(KeepRule::PeakOver(limit))
    }

    /// Keeps requests that had allocated more bytes than they had freed when they ended, by more than this; nothing
    /// if no [`Counting`](crate::Counting) allocator is installed.
    ///
    /// What they retain is not always lost: it may be in a cache, or freed later outside of the trace, as the
    /// body of a response is by the server. So the limit should be above the size of responses. Compare it with
    /// [what is usual](crate::report::Compared::usual_net_bytes).
    #[must_use]
    pub fn retains_over(self, limit: u64) -> Self {
        self.rule(KeepRule::RetainsOver(limit))
    }

    /// Keeps requests of which a service that was called has kept its part. So a failure deep below keeps the
    /// requests above it, as far up as each service has this rule.
    ///
    /// Callees say so in the response, with [`RecorderLayer::tell_kept`](crate::tower::RecorderLayer::tell_kept);
    /// see there what they can know at that moment. The client must look for it: `PropagationLayer` does, and
    /// `note_kept` for others (feature `propagation`).
    ///
    /// A callee can have any request kept, so it should be one of yours.
    #[must_use]
    pub fn kept_downstream(self) -> Self {
        self.rule(KeepRule::KeptDownstream)
    }

    /// Keeps requests whose caller samples them, by the flag in its header `traceparent` (feature `propagation`).
    /// So of each trace that another tool has chosen at its beginning, the part of this service is kept.
    ///
    /// Anyone who reaches the service can set the flag, and have any number of requests kept.
    #[must_use]
    pub fn sampled_upstream(self) -> Self {
        self.rule(KeepRule::SampledUpstream)
    }

    /// Keeps, for each name, a request that is among the `count` slowest of its window when it ends. So
    /// the first `count` of each window are kept, and after them those that are slower than one of
    /// these. `count` is at most 64; 0 keeps nothing.
    #[must_use]
    pub fn slowest(mut self, count: usize, window: Duration) -> Self {
        self.slowest = Extremes { count, window };
        self
    }

    /// Keeps, for each name, a request that is among the `count` of its window that allocated the most
    /// bytes when it ends, as [`slowest`](Self::slowest) does by time. A request that allocated no bytes
    /// is not among them.
    #[must_use]
    pub fn heaviest(mut self, count: usize, window: Duration) -> Self {
        self.heaviest = Extremes { count, window };
        self
    }

    /// Keeps the requests for which `condition` returns `true`, with this name as the reason. It runs at
    /// the end of every request, on that request's thread, so it should be quick. A panic in it is
    /// [counted](super::Statistics::policy_panics) and means `false`. It is not called for requests that
    /// it ends itself.
    #[must_use]
    pub fn when(
        self,
        name: impl Into<Arc<str>>,
        condition: impl Fn(&Ended<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.rule(KeepRule::When(name.into(), Arc::new(condition)))
    }

    /// Returns whether a request whose head is sent will be kept, whatever happens from now on. A rule of the
    /// program and the comparison with other requests decide at the end only.
    #[cfg(feature = "tower")]
    pub(super) fn keeps_already(&self, so_far: &SoFar<'_>) -> bool {
        self.rules.iter().any(|rule| rule.applies_already(so_far))
    }

    /// Returns whether it has a rule of the program, which may look at all of an [`Ended`].
    pub(super) fn asks(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| matches!(rule, KeepRule::When(..)))
    }

    pub(super) fn extremes(&self) -> (Extremes, Extremes) {
        (self.slowest, self.heaviest)
    }

    /// Returns whether a rule that looks at one request alone may apply to this one. If not, none does.
    #[inline]
    pub(super) fn may_apply(&self, outcome: &Outcome, wall_ns: u64) -> bool {
        self.quick.may_apply(outcome, wall_ns)
    }

    /// Decides by these rules whether the request is kept, and why. `panics` counts panics in those of the program.
    /// Allocates only if there is a reason.
    pub(super) fn judge(&self, ended: &Ended<'_>, panics: &AtomicU64) -> Option<Verdict> {
        let mut verdict = None;
        for rule in self.rules.iter().filter(|it| it.applies(ended, panics)) {
            Verdict::keep(&mut verdict, rule.reason(ended));
        }
        verdict
    }
}

/// The decision to keep a request.
#[derive(Default)]
pub(super) struct Verdict {
    /// Those for which there was memory, by their priority.
    pub(super) reasons: Vec<Reason>,
}

impl Verdict {
    /// Decides to keep the request for one more reason.
    #[cold]
    pub(super) fn keep(verdict: &mut Option<Self>, reason: Reason) {
        let reasons = &mut verdict.get_or_insert_default().reasons;
        if let Err(place) = reasons.binary_search(&reason)
            && reasons.try_reserve(1).is_ok()
        {
            reasons.insert(place, reason);
        }
    }
}

#[expect(clippy::missing_fields_in_debug, reason = "the rules in another form")]
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("rules", &self.rules.len())
            .field("slowest", &self.slowest)
            .field("heaviest", &self.heaviest)
            .finish()
    }
}
