//! The figures of several calls, or paths of folded calls, that are shown as one entry.

use std::borrow::Cow;
use std::time::Duration;

use alloc_counter::Counts;

use super::site::SiteReport;
use super::{CallReport, CheckpointReport, Compared, FoldedReport, Percentiles, Report, Thread};

/// Several calls of one callsite.
pub(crate) struct Together<'a> {
    /// In order of start; at least one.
    pub(crate) calls: Vec<&'a CallReport>,
    /// Sum of their times, which may be more than the time that passed.
    pub(crate) wall: Duration,
    pub(crate) busy: Duration,
    #[cfg(feature = "web")]
    pub(crate) self_busy: Duration,
    /// Distribution of their times.
    pub(crate) each: Percentiles<Duration>,
    pub(crate) total: Option<Counts>,
    pub(crate) self_counts: Option<Counts>,
    /// The highest of their peaks.
    pub(crate) peak_bytes: Option<u64>,
    pub(crate) is_moved: bool,
    pub(crate) is_partial: bool,
}

impl<'a> Together<'a> {
    /// Adds up calls by their indexes in a report, of which there is at least one.
    pub(crate) fn of(report: &'a Report, calls: &[usize]) -> Self {
        let calls: Vec<_> = calls.iter().map(|call| &report.calls[*call]).collect();
        let times = |of: fn(&CallReport) -> Duration| {
            let times = calls.iter().map(|call| of(call));
            times.fold(Duration::ZERO, Duration::saturating_add)
        };
        let mut walls: Vec<Duration> = calls.iter().map(|call| call.wall).collect();
        walls.sort_unstable();
        Self {
            wall: times(|call| call.wall),
            busy: times(|call| call.busy),
            #[cfg(feature = "web")]
            self_busy: times(|call| call.self_busy),
            each: Percentiles::of_sorted(&walls),
            total: calls.iter().map(|call| call.total).sum(),
            self_counts: calls.iter().map(|call| call.self_counts).sum(),
            peak_bytes: { calls.iter() }
                .map(|call| call.peak_bytes)
                .try_fold(0, |highest, peak| Some(peak?.max(highest))),
            is_moved: calls.iter().any(|call| call.moved),
            is_partial: calls.iter().any(|call| call.partial),
            calls,
        }
    }

    pub(crate) fn first(&self) -> &'a CallReport {
        self.calls[0]
    }

    /// Returns their number.
    pub(crate) fn len(&self) -> u64 {
        self.calls.len() as u64
    }

    /// Returns when the last one stopped.
    #[cfg(feature = "web")]
    pub(crate) fn stop(&self) -> Duration {
        let stops = self.calls.iter().map(|it| it.start.saturating_add(it.wall));
        stops.max().unwrap_or_default()
    }

    /// Returns how many of them were open at once.
    pub(crate) fn most_at_once(&self) -> usize {
        let mut stops: Vec<_> = { self.calls.iter() }
            .map(|it| it.start.saturating_add(it.wall))
            .collect();
        stops.sort_unstable();
        let mut stopped = 0;
        let opened = self.calls.iter().enumerate().map(|(opened, call)| {
            // One that stops when another one starts is not open together with it.
            while stops[stopped] <= call.start && stopped < opened {
                stopped += 1;
            }
            opened + 1 - stopped
        });
        opened.max().unwrap_or(0)
    }

    /// Returns the thread, if all began on the same one, and the number of threads.
    pub(crate) fn threads(&self) -> (Option<&'a Thread>, usize) {
        let mut threads: Vec<_> = self.calls.iter().map(|call| &call.thread).collect();
        threads.sort_unstable_by_key(|thread| thread.number);
        threads.dedup();
        let one = threads.first().copied().filter(|_| threads.len() == 1);
        (one, threads.len())
    }

    /// Returns the labels that all of them have, with the same values.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &'a (Cow<'static, str>, String)> {
        let labels = self.first().labels.iter();
        labels.filter(|label| self.calls.iter().all(|call| call.labels.contains(label)))
    }

    /// Returns the comparison of their path with what is usual, which the first call of the path has.
    pub(crate) fn compared(&self) -> Option<&'a Compared> {
        self.calls.iter().find_map(|call| call.compared.as_deref())
    }

    /// Returns the checkpoints, those of one name added up, in the order of their first ones.
    pub(crate) fn checkpoints(&self) -> Vec<CheckpointsTogether<'a>> {
        let mut all: Vec<CheckpointsTogether<'_>> = Vec::new();
        for checkpoint in self.calls.iter().flat_map(|call| &call.checkpoints) {
            let known = all.iter().position(|it| checkpoint.name == it.name);
            // So there are never more than a few to look through.
            let is_one_more = known.is_none() && all.len() <= CheckpointsTogether::MOST;
            if is_one_more {
                all.push(CheckpointsTogether::of(checkpoint));
            } else {
                let place = known.unwrap_or(CheckpointsTogether::MOST);
                all[place].is_of_several_names |= known.is_none();
                all[place].add(checkpoint);
            }
        }
        all
    }

    /// Returns the sites, those of one line added up.
    pub(crate) fn sites(&self) -> Vec<SiteReport> {
        let sites = self.calls.iter().filter_map(|call| call.sites.as_ref());
        let sites: Vec<_> = sites.flatten().cloned().collect();
        SiteReport::by_line(Some(&sites))
    }
}

/// Checkpoints of one name in several calls.
pub(crate) struct CheckpointsTogether<'a> {
    pub(crate) name: &'a str,
    /// Whether further names are added up here, too: those beyond [`MOST`](Self::MOST).
    pub(crate) is_of_several_names: bool,
    pub(crate) count: u64,
    pub(crate) wall: Duration,
    pub(crate) counts: Option<Counts>,
}

impl<'a> CheckpointsTogether<'a> {
    /// The most names that are told apart.
    const MOST: usize = 3;

    fn of(checkpoint: &'a CheckpointReport) -> Self {
        Self {
            name: &checkpoint.name,
            is_of_several_names: false,
            count: 1,
            wall: checkpoint.wall,
            counts: checkpoint.counts,
        }
    }

    fn add(&mut self, checkpoint: &CheckpointReport) {
        self.count += 1;
        self.wall = self.wall.saturating_add(checkpoint.wall);
        self.counts = [self.counts, checkpoint.counts].into_iter().sum();
    }
}

/// Adds up paths of folded calls.
pub(crate) fn folded<'a>(
    report: &'a Report,
    first: usize,
    others: &[usize],
) -> Cow<'a, FoldedReport> {
    let mut sum = Cow::Borrowed(&report.folded[first]);
    for other in others.iter().map(|path| &report.folded[*path]) {
        let sum = sum.to_mut();
        for (sum, more) in [
            (&mut sum.calls, other.calls),
            (&mut sum.running, other.running),
            (&mut sum.failures, other.failures),
            (&mut sum.cancelled, other.cancelled),
        ] {
            *sum = sum.saturating_add(more);
        }
        for (sum, more) in [
            (&mut sum.wall, other.wall),
            (&mut sum.self_wall, other.self_wall),
            (&mut sum.busy, other.busy),
            (&mut sum.self_busy, other.self_busy),
        ] {
            *sum = sum.saturating_add(more);
        }
        sum.total = [sum.total, other.total].into_iter().sum();
        sum.self_counts = [sum.self_counts, other.self_counts].into_iter().sum();
        sum.moved |= other.moved;
        sum.partial |= other.partial;
        if let Some(sites) = &other.sites {
            sum.sites.get_or_insert_default().extend_from_slice(sites);
        }
    }
    sum
}
