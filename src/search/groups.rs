//! Failures that are the same: of one route, and with one message apart from numbers, ids and quoted texts.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::report::Report;

use super::query::{Query, failure};

/// The most groups. Failures of further ones are only counted.
const MOST: usize = 1000;

/// The failures among reports, in groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures {
    /// The largest first; of equal ones, that with the newest failure.
    pub(crate) groups: Vec<Group>,
    /// How many failures there are.
    pub(crate) count: u64,
    /// How many are in no group, because there were too many.
    pub(crate) in_no_group: u64,
}

/// Failures that are the same.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) route: String,
    /// What their messages have in common.
    pub(crate) message: String,
    pub(crate) failures: u64,
    /// When the first began.
    pub(crate) first: SystemTime,
    pub(crate) newest: Arc<Report>,
    pub(crate) slowest: Arc<Report>,
    pub(crate) heaviest: Arc<Report>,
}

impl Failures {
    /// Groups the failures among reports, of one route or of all.
    pub(crate) fn of(reports: &[Arc<Report>], route: Option<&str>) -> Self {
        let mut all = Self::default();
        let mut places: HashMap<(&str, String), usize> = HashMap::new();
        for report in reports {
            let name = report.name();
            if route.is_some_and(|it| it != name) {
                continue;
            }
            let Some(message) = failure(report.outcome()) else {
                continue;
            };
            all.count += 1;
            let key = (name, message);
            if let Some(place) = places.get(&key) {
                all.groups[*place].add(report);
            } else if all.groups.len() < MOST {
                all.groups.push(Group::new(name, &key.1, report));
                places.insert(key, all.groups.len() - 1);
            } else {
                all.in_no_group += 1;
            }
        }
        all.groups
            .sort_by_key(|it| (Reverse(it.failures), Reverse(it.newest.started)));
        all
    }
}

impl Group {
    fn new(route: &str, message: &str, report: &Arc<Report>) -> Self {
        Self {
            route: route.to_owned(),
            message: message.to_owned(),
            failures: 1,
            first: report.started,
            newest: Arc::clone(report),
            slowest: Arc::clone(report),
            heaviest: Arc::clone(report),
        }
    }

    fn add(&mut self, report: &Arc<Report>) {
        self.failures += 1;
        self.first = self.first.min(report.started);
        if report.started > self.newest.started {
            self.newest = Arc::clone(report);
        }
        if report.wall() > self.slowest.wall() {
            self.slowest = Arc::clone(report);
        }
        if report.bytes_allocated() > self.heaviest.bytes_allocated() {
            self.heaviest = Arc::clone(report);
        }
    }

    /// Returns the query that finds them.
    pub(crate) fn query(&self) -> Query {
        Query::new().route(&self.route).failure(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, Request};
    use crate::store::trace::Trace;

    #[test]
    fn the_number_of_groups_is_bounded() {
        let report = |number: usize| {
            let mut report = Trace::empty().report();
            // Words without digits.
            let message = format!("{number:b}").replace('0', "x").replace('1', "y");
            report.request = Some(Box::new(Request {
                name: "GET /".to_owned(),
                id: None,
                labels: Vec::new(),
                wall: report.elapsed,
                outcome: Outcome::Failed(message),
                reasons: Vec::new(),
                compared: None,
            }));
            Arc::new(report)
        };
        let reports: Vec<_> = (0..MOST + 5).chain([0, MOST + 4]).map(report).collect();
        let failures = Failures::of(&reports, None);
        assert_eq!((failures.groups.len(), failures.count), (MOST, 1007));
        assert_eq!((failures.in_no_group, failures.groups[0].failures), (6, 2));
        assert_eq!(Failures::of(&reports, Some("GET /other")).count, 0);
    }
}
