//! Which call is drawn on which track. The viewers draw one bar inside another or behind it, so
//! each strand gets as many lanes as it has calls beside one another.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::report::{CallReport, Outcome, Report};

/// One track: calls of one strand that lie within one another or one behind the other.
pub(super) struct Lane {
    pub(super) strand: u32,
    /// Which of the strand's lanes it is, from 0.
    pub(super) number: usize,
    /// In order of time, but for the moments.
    pub(super) steps: Vec<Step>,
    open: Vec<usize>,
    /// Nothing may be opened before: something was opened or closed then.
    last: Duration,
}

/// What happens on a lane; calls are indices into [`Report::calls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Open(usize),
    Close(usize),
    /// A call that took no time: a bar without a width can't be told from its neighbours.
    Moment(usize),
}

/// A call's end, from the trace's beginning; a running call's is that of the report.
pub(super) fn end(report: &Report, call: &CallReport) -> Duration {
    let end = call.start.saturating_add(call.wall);
    match call.outcome {
        Outcome::Running => end.max(report.elapsed),
        _ => end,
    }
}

/// All lanes, strand by strand. A call is on the lane of the call around where there is room, else
/// on the strand's first that has some.
pub(super) fn lanes(report: &Report) -> Vec<Lane> {
    let mut strands: BTreeMap<u32, Vec<Lane>> = BTreeMap::new();
    let mut numbers = Vec::with_capacity(report.calls.len());
    for (index, call) in report.calls.iter().enumerate() {
        let lanes = strands.entry(call.strand).or_default();
        // A report may come from elsewhere; only what stands before a call can be above it.
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

    /// Closes what is over by then.
    fn close(&mut self, report: &Report, now: Duration) {
        while let Some(call) = self
            .open
            .pop_if(|top| end(report, &report.calls[*top]) <= now)
        {
            self.last = end(report, &report.calls[call]);
            self.steps.push(Step::Close(call));
        }
    }

    /// Whether the call would be drawn inside one that is around it, or inside none.
    fn has_room(&mut self, report: &Report, index: usize) -> bool {
        let call = &report.calls[index];
        self.close(report, call.start);
        // Clocks of two processors may differ by a few ticks, so a start may lie before another's.
        self.last <= call.start
            && self.open.last().is_none_or(|&top| {
                is_within(report, index, top)
                    && end(report, call) <= end(report, &report.calls[top])
            })
    }
}

/// Whether `outer` is among the calls around. They stand before a call, so none is passed twice.
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
