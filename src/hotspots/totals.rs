//! What several calls did together.

use std::time::Duration;

use alloc_counter::Counts;

use crate::report::{CallReport, FoldedReport, Outcome};

/// What several calls did together.
///
/// Wall and busy times and allocations come twice: with the calls inside, and without ("self").
/// Where a function calls itself, directly or through others, the inner calls are within the outer
/// one's totals already: they are not added to the totals of the function again, nor to those of
/// its paths. So no total exceeds what there was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// How many calls there were.
    pub calls: u64,
    /// How many of them failed or panicked.
    pub failures: u64,
    /// How many of them were cancelled, as is each branch of a `select!` that is dropped.
    pub cancelled: u64,
    /// From start to stop.
    pub wall: Duration,
    /// The part of that in which no call inside was open, be it on this strand or on one spawned.
    pub self_wall: Duration,
    /// The part of the time in which they were being polled.
    pub busy: Duration,
    /// The same without that of the calls inside, on the same strand.
    pub self_busy: Duration,
    /// What they allocated and freed; `None` where nothing was counted.
    pub total: Option<Counts>,
    /// The same without the calls inside.
    pub self_counts: Option<Counts>,
    /// The highest peak of a single call, in live bytes above those at its start.
    pub peak_bytes: Option<u64>,
    /// How many calls have a figure that is not known to the last: see
    /// [`partial`](CallReport::partial). Of [folded](crate::Report::folded) ones, no peaks are known.
    pub partial: u64,
}

impl Totals {
    /// `is_within`: a call of the same function is around.
    pub(super) fn add_call(&mut self, call: &CallReport, is_within: bool) {
        self.calls += 1;
        self.failures += u64::from(call.outcome.is_failure());
        self.cancelled += u64::from(call.outcome == Outcome::Cancelled);
        self.self_wall = self.self_wall.saturating_add(call.self_wall);
        self.self_busy = self.self_busy.saturating_add(call.self_busy);
        add_counts(&mut self.self_counts, call.self_counts);
        if !is_within {
            self.wall = self.wall.saturating_add(call.wall);
            self.busy = self.busy.saturating_add(call.busy);
            add_counts(&mut self.total, call.total);
        } else if call.total.is_some() {
            add_counts(&mut self.total, Some(Counts::ZERO));
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
        add_counts(&mut self.self_counts, folded.self_counts);
        if !is_within {
            self.wall = self.wall.saturating_add(folded.wall);
            self.busy = self.busy.saturating_add(folded.busy);
            add_counts(&mut self.total, folded.total);
        } else if folded.total.is_some() {
            add_counts(&mut self.total, Some(Counts::ZERO));
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
        add_counts(&mut self.self_counts, other.self_counts);
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
        self.partial = self.partial.saturating_add(other.partial);
    }
}

/// Adds what is known; what is not counted adds nothing.
pub(super) fn add_counts(sum: &mut Option<Counts>, more: Option<Counts>) {
    if let Some(more) = more {
        *sum.get_or_insert_default() += more;
    }
}
