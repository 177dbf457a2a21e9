//! The ring of reports in memory, bounded in bytes.
//!
//! If there is no room for another report, the oldest of the largest group is evicted: a group holds the
//! reports of one name that were kept for one reason. So ten thousand failures of one route evict each
//! other, and not the one slow request of another.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::report::Report;

use super::policy::Reason;

/// The reports that evict each other: the route's number and the first reason; no reason for typical requests.
type Group = (usize, Option<Reason>);

pub(super) struct Ring {
    most_bytes: usize,
    bytes: usize,
    evicted: u64,
    /// In order of arrival.
    reports: BTreeMap<u64, Arc<Report>>,
    groups: HashMap<Group, OfGroup>,
    came: u64,
}

#[derive(Default)]
struct OfGroup {
    bytes: usize,
    /// The arrival number and the bytes of each report.
    oldest: VecDeque<(u64, usize)>,
}

/// The memory that it takes to find one report.
const PLACE_BYTES: usize = 160;

impl Ring {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            bytes: 0,
            evicted: 0,
            reports: BTreeMap::new(),
            groups: HashMap::new(),
            came: 0,
        }
    }

    /// Adds a report, which takes this many bytes.
    pub(super) fn push(
        &mut self,
        report: Arc<Report>,
        bytes: usize,
        route: usize,
        reason: Option<Reason>,
    ) {
        let bytes = PLACE_BYTES + bytes;
        if bytes > self.most_bytes {
            return self.lose();
        }
        while self.bytes + bytes > self.most_bytes {
            self.evict();
        }
        let came = self.came;
        self.came += 1;
        self.bytes += bytes;
        self.reports.insert(came, report);
        let group = self.groups.entry((route, reason)).or_default();
        group.bytes += bytes;
        group.oldest.push_back((came, bytes));
    }

    /// Counts a report that could not be kept as evicted.
    pub(super) fn lose(&mut self) {
        self.evicted += 1;
    }

    fn evict(&mut self) {
        let most = self.groups.iter_mut();
        // Of two groups of one size, the one with the older report.
        let most =
            most.max_by_key(|(_, it)| (it.bytes, std::cmp::Reverse(it.oldest.front().copied())));
        let Some((key, group)) = most else { return };
        let Some((came, bytes)) = group.oldest.pop_front() else {
            return;
        };
        group.bytes -= bytes;
        if group.oldest.is_empty() {
            let key = key.clone();
            self.groups.remove(&key);
        }
        self.bytes -= bytes;
        self.evicted += 1;
        self.reports.remove(&came);
    }

    /// Returns the reports, the last that came first.
    pub(super) fn reports(&self) -> Vec<Arc<Report>> {
        self.reports.values().rev().cloned().collect()
    }

    pub(super) fn get(&self, trace: u64) -> Option<Arc<Report>> {
        let mut reports = self.reports.values().rev();
        reports.find(|report| report.trace == trace).cloned()
    }

    pub(super) fn load(&self) -> (usize, usize, u64) {
        (self.reports.len(), self.bytes, self.evicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::bytes::bytes_of;
    use crate::store::trace::Trace;

    fn report(trace: u64) -> Arc<Report> {
        let mut report = Trace::empty().report();
        report.trace = trace;
        Arc::new(report)
    }

    fn push(ring: &mut Ring, trace: u64, route: usize, reason: Reason) {
        let report = report(trace);
        let bytes = bytes_of(&report);
        ring.push(report, bytes, route, Some(reason));
    }

    fn traces(ring: &Ring) -> Vec<u64> {
        ring.reports().iter().map(|report| report.trace).collect()
    }

    #[test]
    fn the_oldest_of_those_of_which_there_is_most_goes_first() {
        let each = PLACE_BYTES + bytes_of(&report(0));
        let mut ring = Ring::new(4 * each + 1);
        push(&mut ring, 1, 1, Reason::Failed);
        push(&mut ring, 2, 2, Reason::Slowest);
        for trace in 3..=6 {
            push(&mut ring, trace, 1, Reason::Failed);
        }
        assert_eq!(
            (traces(&ring), ring.load()),
            (vec![6, 5, 4, 2], (4, 4 * each, 2))
        );
        for trace in 7..=9 {
            push(&mut ring, trace, 3, Reason::Cancelled);
        }
        assert_eq!(traces(&ring), [9, 8, 6, 2]);
        assert!(ring.get(8).is_some() && ring.get(7).is_none());
    }

    #[test]
    fn what_is_larger_than_all_is_not_kept() {
        let mut ring = Ring::new(0);
        push(&mut ring, 1, 1, Reason::Failed);
        assert_eq!((traces(&ring), ring.load()), (vec![], (0, 0, 1)));
    }
}
