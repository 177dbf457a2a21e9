//! From a report to its spans.

use std::time::{Duration, UNIX_EPOCH};

use crate::report::duration::nanoseconds;
use crate::report::{CallReport, Outcome, Report};

use super::attributes::Attributes;
use super::ids::Ids;
use super::span::{Event, Kind, PARENT_IS_KNOWN, PARENT_IS_REMOTE, Span};

/// Returns the spans of a report, that of the request first.
pub(crate) fn spans(report: &Report) -> impl Iterator<Item = Span<'_>> {
    let ids = Ids::of(report);
    let times = Times::of(report);
    let mut folded = Folded::of(report);
    let outside = folded.take(times.end(report), None);
    let root = std::iter::once(root(report, ids, times, outside));
    root.chain(
        { report.calls.iter().enumerate() }.map(move |(place, call)| {
            let end = times.at(call.start.saturating_add(call.wall));
            let folded = folded.take(end, Some(place));
            of_call(report, call, place, ids, times, folded)
        }),
    )
}

/// Converts times of a report to nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Times {
    started: u64,
}

impl Times {
    fn of(report: &Report) -> Self {
        let since = report.started.duration_since(UNIX_EPOCH);
        Self {
            started: nanoseconds(since.unwrap_or_default()),
        }
    }

    fn at(self, since_start: Duration) -> u64 {
        self.started.saturating_add(nanoseconds(since_start))
    }

    /// Returns the end of the request.
    fn end(self, report: &Report) -> u64 {
        let wall = report.request.as_ref().map(|request| request.wall);
        self.at(wall.unwrap_or(report.elapsed))
    }
}

fn root<'a>(report: &'a Report, ids: Ids, times: Times, folded: Vec<Event<'a>>) -> Span<'a> {
    let mut attributes = Attributes::new();
    attributes.report(report);
    let request = report.request.as_deref();
    let is_remote = if report.parent_span.is_some() {
        PARENT_IS_REMOTE
    } else {
        0
    };
    Span {
        trace_id: ids.trace,
        id: ids.root,
        parent: report.parent_span,
        tracestate: report.tracestate.as_deref().unwrap_or_default(),
        flags: PARENT_IS_KNOWN | is_remote,
        name: request.map_or("trace", |request| &request.name),
        kind: if request.is_some() {
            Kind::Server
        } else {
            Kind::Internal
        },
        start_ns: times.started,
        end_ns: times.end(report),
        attributes: attributes.0,
        events: folded,
        error: error(report.outcome()),
    }
}

fn of_call<'a>(
    report: &'a Report,
    call: &'a CallReport,
    place: usize,
    ids: Ids,
    times: Times,
    folded: Vec<Event<'a>>,
) -> Span<'a> {
    let mut attributes = Attributes::new();
    attributes.call(call);
    let mut events = folded;
    if !call.checkpoints.is_empty() {
        let checkpoints = call.checkpoints.iter().map(|checkpoint| {
            let mut attributes = Attributes(Vec::new());
            attributes.number("tracer.wall_ns", nanoseconds(checkpoint.wall));
            attributes.counts(checkpoint.counts.as_ref());
            Event {
                time_ns: times.at(call.start.saturating_add(checkpoint.at)),
                name: &checkpoint.name,
                attributes: attributes.0,
            }
        });
        events = checkpoints.chain(events).collect();
    }
    let parent = call.parent.map(|parent| ids.call(report, parent));
    Span {
        trace_id: ids.trace,
        id: ids.call(report, place),
        parent: Some(parent.unwrap_or(ids.root)),
        tracestate: report.tracestate.as_deref().unwrap_or_default(),
        flags: PARENT_IS_KNOWN,
        name: &call.name,
        kind: if is_outgoing(call) {
            Kind::Client
        } else {
            Kind::Internal
        },
        start_ns: times.at(call.start),
        end_ns: times.at(call.start.saturating_add(call.wall)),
        attributes: attributes.0,
        events,
        error: error(&call.outcome),
    }
}

/// Returns whether it is a request to another service, by the layer for clients.
fn is_outgoing(call: &CallReport) -> bool {
    call.name == "outgoing" && call.module.starts_with("tracer::propagation")
}

fn error(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Failed(why) => Some(why),
        Outcome::Panicked => Some("panicked"),
        Outcome::Ok | Outcome::Cancelled | Outcome::Running => None,
    }
}

/// The sums of folded calls, by the call around them.
struct Folded<'a> {
    report: &'a Report,
    /// The place of the call around, and of the sum; sorted, and taken from the front.
    order: std::iter::Peekable<std::vec::IntoIter<(Option<usize>, usize)>>,
}

impl<'a> Folded<'a> {
    fn of(report: &'a Report) -> Self {
        let around = report.folded.iter().enumerate();
        let mut order: Vec<_> = around.map(|(place, path)| (path.parent, place)).collect();
        order.sort_unstable();
        Self {
            report,
            order: order.into_iter().peekable(),
        }
    }

    /// Returns the events of the span of this call, in its place in the order of calls.
    fn take(&mut self, time_ns: u64, around: Option<usize>) -> Vec<Event<'a>> {
        let mut events = Vec::new();
        while let Some((_, place)) = self.order.next_if(|(other, _)| *other <= around) {
            let Some(path) = self.report.folded.get(place) else {
                continue;
            };
            let within = path.within.and_then(|it| self.report.folded.get(it));
            let mut attributes = Attributes::new();
            attributes.folded(path, within);
            events.push(Event {
                time_ns,
                name: "folded calls",
                attributes: attributes.0,
            });
        }
        events
    }
}
