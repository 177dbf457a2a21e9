//! Lanes: which call is drawn on which track. Viewers draw a bar inside another or after it, so a strand
//! gets as many lanes as it has overlapping calls.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::report::{CallReport, Outcome, Report};

/// One track: calls of one strand that nest or follow each other.
pub(super) struct Lane {
    pub(super) strand: u32,
    /// Number among the strand's lanes, from 0.
    pub(super) number: usize,
    /// In order of time, except for moments.
    pub(super) steps: Vec<Step>,
    open: Vec<usize>,
    /// Time of the last opening or closing; nothing may be opened before it.
    last: Duration,
}

/// A step on a lane; calls are indices into [`Report::calls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Open(usize),
    Close(usize),
    /// A call that took no time: a bar of no width would be invisible.
    Moment(usize),
}

/// Returns a call's end, from the trace's beginning; that of the report for a running call.
pub(super) fn end(report: &Report, call: &CallReport) -> Duration {
    let end = call.start.saturating_add(call.wall);
    match call.outcome {
        Outcome::Running => end.max(report.elapsed),
        _ => end,
    }
}

/// Returns all lanes, strand by strand. A call is on the lane of the call around if that has room, else
/// on the strand's first lane with room.
pub(super) fn lanes(report: &Report) -> Vec<Lane> {
    let mut strands: BTreeMap<u32, Vec<Lane>> = BTreeMap::new();
    let mut numbers = Vec::with_capacity(report.calls.len());
    for (index, call) in report.calls.iter().enumerate() {
        let lanes = strands.entry(call.strand).or_default();
        // A report may come from a file; only calls before a call can be above it.
        let parent = call.parent.filter(|parent| *parent < index);
        let parent = parent.filter(|parent| report.calls[*parent].strand == call.strand);
        let beside: Option<usize> = parent.map(|parent| numbers[parent]);
        let is_moment = end(report, call) == call.start;
        let number = if is_moment {
            beside.unwrap_or(0)
        } else {
            let mut candidates = beside.into_iter().chain(0..lanes.len());
            let found = candidates.find(|number| lanes[*number].has_room(report, index));
            found.unwrap_or(lanes.len())
        };
        if number == lanes.len() {
            lanes.push(Lane::new(call.strand, number));
        }
        let lane = &mut lanes[number];
        if is_moment {
            lane.moment(report, index);
        } else {
            lane.open(index, call.start);
        }
        numbers.push(number);
    }
    let mut lanes: Vec<_> = strands.into_values().flatten().collect();
    for lane in &mut lanes {
        while let Some(call) = lane.open.pop() {
            lane.steps.push(Step::Close(call));
        }
    }
    lanes
}

impl Lane {
    const fn new(strand: u32, number: usize) -> Self {
        Self {
            strand,
            number,
            steps: Vec::new(),
            open: Vec::new(),
            last: Duration::ZERO,
        }
    }

    fn open(&mut self, call: usize, start: Duration) {
        self.steps.push(Step::Open(call));
        self.open.push(call);
        self.last = start;
    }

    fn moment(&mut self, report: &Report, call: usize) {
        self.close(report, report.calls[call].start);
        self.steps.push(Step::Moment(call));
    }

    /// Closes the calls that ended by then.
    fn close(&mut self, report: &Report, now: Duration) {
        while let Some(call) = self
            .open
            .pop_if(|top| end(report, &report.calls[*top]) <= now)
        {
            self.last = end(report, &report.calls[call]);
            self.steps.push(Step::Close(call));
        }
    }

    /// Returns whether the call would be drawn inside a call around it, or outside all.
    fn has_room(&mut self, report: &Report, index: usize) -> bool {
        let call = &report.calls[index];
        self.close(report, call.start);
        // Clocks of two processors may differ by a few ticks, so a start may be before another one.
        self.last <= call.start
            && self.open.last().is_none_or(|&top| {
                is_within(report, index, top)
                    && end(report, call) <= end(report, &report.calls[top])
            })
    }
}

/// Returns whether `outer` is among the calls around. Each is before the last, so this terminates.
fn is_within(report: &Report, mut call: usize, outer: usize) -> bool {
    while let Some(parent) = report.calls[call].parent {
        if parent == outer {
            return true;
        }
        if parent < outer || parent >= call {
            return false;
        }
        call = parent;
    }
    false
}
