//! What a search finds: the first requests in an order, and how many there are.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::report::json::head::Head;
use crate::report::json::report::unix_ns;
use crate::report::{Outcome, Report};

use super::files::{Line, OpenFile, Progress, each_line};
use super::line::LineFilter;
use super::query::Query;

/// A request that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) head: Head,
    /// Whether it is in memory. If not, it is in a file.
    pub(crate) is_in_memory: bool,
}

/// The order of what is found. Requests that are equal in it are in order of time, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) by: Column,
    /// The least first.
    pub(crate) is_ascending: bool,
}

/// A column by which what is found is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Started,
    Route,
    Wall,
    Allocates,
    Bytes,
    Outcome,
}

impl Column {
    pub(crate) const ALL: [Self; 6] = [
        Self::Started,
        Self::Route,
        Self::Wall,
        Self::Allocates,
        Self::Bytes,
        Self::Outcome,
    ];

    /// Returns its name in a URL.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Route => "route",
            Self::Wall => "wall",
            Self::Allocates => "allocates",
            Self::Bytes => "bytes",
            Self::Outcome => "outcome",
        }
    }

    /// Returns whether the least comes first unless the other order is asked for.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Route | Self::Outcome)
    }
}

impl Order {
    /// The newest first.
    pub(crate) const NEWEST: Self = Self {
        by: Column::Started,
        is_ascending: false,
    };

    fn compare(self, one: &Head, other: &Head) -> Ordering {
        let total = |head: &Head| head.total.unwrap_or_default();
        let order = match self.by {
            Column::Started => one.started.cmp(&other.started),
            Column::Route => one.name().cmp(other.name()),
            Column::Wall => one.wall().cmp(&other.wall()),
            Column::Allocates => total(one).allocates().cmp(&total(other).allocates()),
            Column::Bytes => total(one)
                .bytes_allocated
                .cmp(&total(other).bytes_allocated),
            Column::Outcome => outcome(one).cmp(&outcome(other)),
        };
        let order = if self.is_ascending {
            order
        } else {
            order.reverse()
        };
        // A process has no two requests with one number.
        order.then_with(|| (other.started, other.trace).cmp(&(one.started, one.trace)))
    }
}

fn outcome(head: &Head) -> (u8, &str) {
    match head.request.as_ref().map(|it| &it.outcome) {
        Some(Outcome::Failed(message)) => (0, message),
        Some(Outcome::Panicked) => (1, ""),
        Some(Outcome::Cancelled) => (2, ""),
        Some(Outcome::Running) => (3, ""),
        Some(Outcome::Ok) | None => (4, ""),
    }
}

/// A search.
pub(crate) struct Search<'a> {
    query: &'a Query,
    now: SystemTime,
    order: Order,
    /// The most requests that are kept.
    most: usize,
    found: Vec<Found>,
    matched: u64,
    /// The requests that were found in memory; they are in the files, too.
    known: HashSet<(u64, SystemTime)>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(query: &'a Query, now: SystemTime, order: Order, most: usize) -> Self {
        Self {
            query,
            now,
            order,
            most,
            found: Vec::new(),
            matched: 0,
            known: HashSet::new(),
        }
    }

    /// Searches reports in memory.
    pub(crate) fn memory(&mut self, reports: &[Arc<Report>]) {
        for report in reports {
            if self.query.matches(report, self.now) {
                let head = Head::of(report);
                self.known.insert(head.key());
                self.add(head, true);
            }
        }
    }

    /// Searches files for at most this long.
    pub(crate) fn files(&mut self, files: &[OpenFile], time: Duration) -> Progress {
        let query = self.query;
        let filter = LineFilter::of(query);
        each_line(files, time, |line, _| {
            if filter.may_find(line) {
                return ControlFlow::Continue(self.line(line));
            }
            ControlFlow::Continue(Line::Read)
        })
    }

    fn line(&mut self, line: &[u8]) -> Line {
        let Some(head) = Head::of_line(line) else {
            return Line::Unreadable;
        };
        let is_it = self.query.matches_head(&head, self.now);
        let is_it = match is_it {
            Some(is_it) => is_it,
            None => match serde_json::from_slice::<Report>(line) {
                Ok(report) => self.query.matches(&report, self.now),
                Err(_) => return Line::Unreadable,
            },
        };
        if is_it && !self.known.contains(&head.key()) {
            self.add(head, false);
        }
        Line::Read
    }

    fn add(&mut self, mut head: Head, is_in_memory: bool) {
        self.matched += 1;
        // Lists don't show them.
        if let Some(request) = &mut head.request {
            request.labels = Vec::new();
        }
        self.found.push(Found { head, is_in_memory });
        if self.found.len() >= 2 * self.most {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let order = self.order;
        self.found
            .sort_by(|one, other| order.compare(&one.head, &other.head));
        self.found.truncate(self.most);
    }

    /// Returns the first requests, and how many there are in all.
    pub(crate) fn finish(mut self) -> (Vec<Found>, u64) {
        self.cut();
        (self.found, self.matched)
    }
}

/// Returns the report of a trace that started at this time, in nanoseconds since 1970.
pub(crate) fn report_in(
    files: &[OpenFile],
    trace: u64,
    started_unix_ns: i64,
    time: Duration,
) -> (Option<Report>, Progress) {
    let digits = started_unix_ns.to_string();
    let digits = memchr::memmem::Finder::new(&digits);
    let mut report = None;
    let progress = each_line(files, time, |line, _| {
        if digits.find(line).is_none() {
            return ControlFlow::Continue(Line::Read);
        }
        match serde_json::from_slice::<Report>(line) {
            Ok(found) if found.trace == trace && unix_ns(found.started) == started_unix_ns => {
                report = Some(found);
                ControlFlow::Break(())
            }
            Ok(_) => ControlFlow::Continue(Line::Read),
            Err(_) => ControlFlow::Continue(Line::Unreadable),
        }
    });
    (report, progress)
}
