//! Two reports beside each other: their calls by path, on one time axis.

use std::collections::HashMap;
use std::time::Duration;

use alloc_counter::Counts;

use crate::report::{CallReport, FoldedReport, Report};

use super::charts;

/// The calls of both reports that were reached on one path.
pub(super) struct Pair<'a> {
    pub(super) name: &'a str,
    pub(super) module: &'a str,
    pub(super) file: &'a str,
    pub(super) line: u32,
    /// The number of functions around it.
    pub(super) depth: usize,
    /// `None` for a report that has no such call.
    pub(super) sides: [Option<Side>; 2],
}

/// The calls of one report on a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) calls: u64,
    pub(super) failures: u64,
    /// The sum of their times.
    pub(super) wall: Duration,
    /// How often they allocated; `None` if nothing was counted.
    pub(super) allocates: Option<u64>,
    /// What they keep, or return if it is negative; `None` if nothing was counted.
    pub(super) net_bytes: Option<i64>,
    /// From when to when there was such a call, in thousandths of the axis. Folded calls are not in it.
    pub(super) spans: Vec<(u64, u64)>,
}

/// A function's name, module, file and line.
type Place<'a> = (&'a str, &'a str, &'a str, u32);

struct Node<'a> {
    place: Place<'a>,
    sides: [Option<Side>; 2],
    inside: Siblings,
}

/// Paths that begin in the same one, in the order of their first calls.
#[derive(Default)]
struct Siblings {
    numbers: Vec<usize>,
    /// Where the next path of the present report stands: after its one before.
    next: usize,
}

impl Siblings {
    fn meet(&mut self, number: usize) {
        let known = self.numbers.iter().position(|it| *it == number);
        let place = known.unwrap_or(self.next);
        if known.is_none() {
            self.numbers.insert(place, number);
        }
        self.next = place + 1;
    }
}

/// Returns the paths of both reports: each after the one that leads to it, siblings in the order of the first report,
/// and those of the second only after the ones before them there. `whole` is the length of the axis.
pub(super) fn pairs(reports: [&Report; 2], whole: Duration) -> Vec<Pair<'_>> {
    let mut paths = Paths {
        nodes: Vec::new(),
        numbers: HashMap::new(),
        outermost: Siblings::default(),
    };
    for (side, report) in reports.into_iter().enumerate() {
        paths.add(side, report, whole);
    }
    paths.in_order()
}

struct Paths<'a> {
    nodes: Vec<Node<'a>>,
    numbers: HashMap<(Option<usize>, Place<'a>), usize>,
    outermost: Siblings,
}

impl<'a> Paths<'a> {
    /// Returns the path's figures of one of the reports, and its number.
    fn side(&mut self, side: usize, parent: Option<usize>, place: Place<'a>) -> (usize, &mut Side) {
        let nodes = &mut self.nodes;
        let number = *self.numbers.entry((parent, place)).or_insert_with(|| {
            nodes.push(Node {
                place,
                sides: [None, None],
                inside: Siblings::default(),
            });
            nodes.len() - 1
        });
        if nodes[number].sides[side].is_none() {
            let siblings = match parent {
                Some(parent) => &mut nodes[parent].inside,
                None => &mut self.outermost,
            };
            siblings.meet(number);
        }
        (number, nodes[number].sides[side].get_or_insert_default())
    }

    fn add(&mut self, side: usize, report: &'a Report, whole: Duration) {
        self.outermost.next = 0;
        self.nodes.iter_mut().for_each(|node| node.inside.next = 0);
        let mut of_call: Vec<usize> = Vec::with_capacity(report.calls.len());
        for call in &report.calls {
            let parent = call.parent.and_then(|parent| of_call.get(parent).copied());
            let place = (&*call.name, &*call.module, &*call.file, call.line);
            let (number, figures) = self.side(side, parent, place);
            figures.add_call(call, whole);
            of_call.push(number);
        }
        let mut of_folded: Vec<usize> = Vec::with_capacity(report.folded.len());
        for folded in &report.folded {
            let within = folded.within.and_then(|within| of_folded.get(within));
            let around = folded.parent.and_then(|parent| of_call.get(parent));
            let parent = within.or(around).copied();
            let place = (&*folded.name, &*folded.module, &*folded.file, folded.line);
            let (number, figures) = self.side(side, parent, place);
            figures.add_folded(folded);
            of_folded.push(number);
        }
    }

    fn in_order(self) -> Vec<Pair<'a>> {
        let mut nodes: Vec<_> = self.nodes.into_iter().map(Some).collect();
        // The last one is taken first.
        let outermost = self.outermost.numbers.into_iter().rev();
        let mut next: Vec<_> = outermost.map(|number| (number, 0)).collect();
        let mut pairs = Vec::with_capacity(nodes.len());
        while let Some((number, depth)) = next.pop() {
            let Some(node) = nodes[number].take() else {
                continue;
            };
            let inside = node.inside.numbers.into_iter().rev();
            next.extend(inside.map(|inner| (inner, depth + 1)));
            let (name, module, file, line) = node.place;
            pairs.push(Pair {
                name,
                module,
                file,
                line,
                depth,
                sides: node.sides,
            });
        }
        pairs
    }
}

impl Side {
    fn add_call(&mut self, call: &CallReport, whole: Duration) {
        let failures = u64::from(call.outcome.is_failure());
        self.add(1, failures, call.wall, call.total.as_ref());
        let at = |time: Duration| charts::part(time.as_nanos(), whole.as_nanos());
        let (from, to) = (at(call.start), at(call.start.saturating_add(call.wall)));
        // Calls stand in order of start.
        match self.spans.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => self.spans.push((from, to)),
        }
    }

    fn add_folded(&mut self, folded: &FoldedReport) {
        let (calls, failures) = (folded.calls, folded.failures);
        self.add(calls, failures, folded.wall, folded.total.as_ref());
    }

    fn add(&mut self, calls: u64, failures: u64, wall: Duration, total: Option<&Counts>) {
        if self.calls == 0 {
            (self.allocates, self.net_bytes) = (Some(0), Some(0));
        }
        let sums = self.allocates.zip(total);
        self.allocates = sums.map(|(sum, total)| sum.saturating_add(total.allocates()));
        let sums = self.net_bytes.zip(total);
        self.net_bytes = sums.map(|(sum, total)| sum.saturating_add(total.net_bytes()));
        self.calls = self.calls.saturating_add(calls);
        self.failures = self.failures.saturating_add(failures);
        self.wall = self.wall.saturating_add(wall);
    }
}
