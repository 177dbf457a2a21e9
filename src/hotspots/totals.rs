//! Totals of several calls.

use std::time::Duration;

use alloc_counter::Counts;

use crate::report::FoldedReport;
use crate::report::call_sum::CallSum;

/// Totals of several calls.
///
/// Wall time, busy time and allocations are given twice: with the calls inside, and without them
/// ("self"). If a function calls itself, directly or through others, the totals of the outer call
/// include those of the inner one: they are not added again to the function's totals, nor to its
/// paths'. So no total exceeds what really happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Number of calls.
    pub calls: u64,
    /// Number of calls that failed or panicked.
    pub failures: u64,
    /// Number of calls that were cancelled, such as branches of a `select!` that are dropped.
    pub cancelled: u64,
    /// Time from start to stop.
    pub wall: Duration,
    /// Time from start to stop in which no call inside was open, on this strand or on spawned ones.
    pub self_wall: Duration,
    /// Time in which the calls were polled.
    pub busy: Duration,
    /// Time in which the calls were polled, without the calls inside on the same strand.
    pub self_busy: Duration,
    /// What the calls allocated and freed; `None` if nothing was counted.
    pub total: Option<Counts>,
    /// What the calls allocated and freed, without the calls inside.
    pub self_counts: Option<Counts>,
    /// Bytes that the calls allocated minus those that they freed, with the calls inside and spawned strands;
    /// negative if more was freed. `None` if nothing was counted, and for lines of
    /// [sites](super::Hotspots::with_sites), of which no frees are known.
    pub net_bytes: Option<i64>,
    /// Highest peak of a single call, in live bytes above those at its start.
    pub peak_bytes: Option<u64>,
    /// Number of calls of which some figure is not exact: see [`partial`](crate::CallReport::partial). Peaks of
    /// [folded](crate::Report::folded) calls are not known.
    pub partial: u64,
    /// What sites have in their figures and was not yet in `self_counts`: an estimate may be above what was
    /// allocated.
    pub(crate) ahead: Counts,
}

impl Totals {
    /// `is_within`: the call is inside a call of the same function.
    pub(super) fn add_call(&mut self, call: &CallSum<'_>, is_within: bool) {
        self.calls += 1;
        self.failures += u64::from(call.is_failure);
        self.cancelled += u64::from(call.is_cancelled);
        self.self_wall = self.self_wall.saturating_add(call.self_wall);
        self.self_busy = self.self_busy.saturating_add(call.self_busy);
        self.add_own(call.self_counts);
        if !is_within {
            self.wall = self.wall.saturating_add(call.wall);
            self.busy = self.busy.saturating_add(call.busy);
            self.add_total(call.total);
        } else if call.total.is_some() {
            self.add_total(Some(Counts::ZERO));
        }
        self.peak_bytes = self.peak_bytes.max(call.peak_bytes);
        self.partial += u64::from(call.partial);
    }

    pub(super) fn add_folded(&mut self, folded: &FoldedReport, is_within: bool) {
        self.calls = self.calls.saturating_add(folded.calls);
        self.failures = self.failures.saturating_add(folded.failures);
        self.cancelled = self.cancelled.saturating_add(folded.cancelled);
        self.self_wall = self.self_wall.saturating_add(folded.self_wall);
        self.self_busy = self.self_busy.saturating_add(folded.self_busy);
        self.add_own(folded.self_counts);
        if !is_within {
            self.wall = self.wall.saturating_add(folded.wall);
            self.busy = self.busy.saturating_add(folded.busy);
            self.add_total(folded.total);
        } else if folded.total.is_some() {
            self.add_total(Some(Counts::ZERO));
        }
        if folded.partial {
            self.partial = self.partial.saturating_add(folded.calls);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failures = self.failures.saturating_add(other.failures);
        self.cancelled = self.cancelled.saturating_add(other.cancelled);
        self.wall = self.wall.saturating_add(other.wall);
        self.self_wall = self.self_wall.saturating_add(other.self_wall);
        self.busy = self.busy.saturating_add(other.busy);
        self.self_busy = self.self_busy.saturating_add(other.self_busy);
        add_counts(&mut self.total, other.total);
        if let Some(net) = other.net_bytes {
            let sum = self.net_bytes.get_or_insert_default();
            *sum = sum.saturating_add(net);
        }
        self.ahead += other.ahead;
        self.add_own(other.self_counts);
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
        self.partial = self.partial.saturating_add(other.partial);
    }

    /// Adds what was allocated at a site to which this leads; `is_within` as of a call.
    pub(super) fn add_site(&mut self, counts: Counts, is_within: bool) {
        let total = if is_within { Counts::ZERO } else { counts };
        add_counts(&mut self.total, Some(total));
        add_counts(&mut self.self_counts, Some(Counts::ZERO));
    }

    /// Adds what was allocated at this very site.
    pub(super) fn own_site(&mut self, counts: Counts) {
        self.add_own(Some(counts));
    }

    /// Takes from a call's own figures what a site below it has in its figures.
    pub(super) fn give_to_site(&mut self, counts: Counts) {
        self.ahead += counts;
        self.add_own(None);
    }

    fn add_total(&mut self, total: Option<Counts>) {
        add_counts(&mut self.total, total);
        if let Some(total) = total {
            let sum = self.net_bytes.get_or_insert_default();
            *sum = sum.saturating_add(total.net_bytes());
        }
    }

    fn add_own(&mut self, counts: Option<Counts>) {
        add_counts(&mut self.self_counts, counts);
        if self.ahead != Counts::ZERO
            && let Some(own) = &mut self.self_counts
        {
            let (had, ahead) = (*own, self.ahead);
            *own = had.saturating_sub(ahead);
            self.ahead = ahead.saturating_sub(had);
        }
    }
}

/// Adds known counts; unknown counts add nothing.
pub(super) fn add_counts(sum: &mut Option<Counts>, more: Option<Counts>) {
    if let Some(more) = more {
        *sum.get_or_insert_default() += more;
    }
}
