//! The report as text: a line for each call, in order of start. It is what `{}` shows.

use std::fmt::{self, Display, Write};

use alloc_counter::Counts;

use super::duration::Exactly;
use super::escape::Escaped;
use super::units::plural;
use super::{CallReport, Compared, FoldedReport, Outcome, Report};

pub(super) fn write(report: &Report, out: &mut impl Write) -> fmt::Result {
    if let Some(request) = &report.request {
        writeln!(out, "{request}")?;
    }
    write!(
        out,
        "allocates at call stack: {}{}, detailed call stack:",
        report.grown,
        Subscriber(report)
    )?;
    if report.calls.is_empty() && report.folded.is_empty() {
        out.write_str(" ~")?;
    }
    for call in &report.calls {
        write_call(call, out)?;
    }
    for folded in &report.folded {
        let name = Escaped(&folded.name);
        write!(out, "\n\tfolded {name}: {}", Exactly(folded.wall))?;
        write_allocates(folded.total.as_ref(), out)?;
        write!(out, ", calls: {}{}", folded.calls, Failures(folded))?;
    }
    if report.dropped > 0 {
        write!(out, "\n\t~ {} not recorded: limit reached", report.dropped)?;
    }
    Ok(())
}

/// Writes a call and its checkpoints, each on its own line.
pub(crate) fn write_call(call: &CallReport, out: &mut impl Write) -> fmt::Result {
    write!(out, "\n\tcall {}: {}", Title::of(call), Exactly(call.wall))?;
    if call.outcome == Outcome::Running {
        out.write_str(" running")?;
    }
    write_allocates(call.total.as_ref(), out)?;
    if let Some(ending) = ending(call) {
        write!(out, ", {ending}")?;
    }
    if let Some(compared) = &call.compared {
        write!(out, " · {}", Beside::of(compared))?;
    }
    for checkpoint in &call.checkpoints {
        let name = Escaped(&checkpoint.name);
        let wall = Exactly(checkpoint.wall);
        write!(out, "\n\t\tcheckpoint [{name}]: {wall}")?;
    }
    Ok(())
}

pub(crate) fn write_allocates(total: Option<&Counts>, out: &mut impl Write) -> fmt::Result {
    match total {
        Some(total) => write!(out, ", allocates: {}", total.allocates()),
        None => out.write_str(", allocates: n/a"),
    }
}

/// Displays what the subscriber allocated, if it is known: `, subscriber: 34 allocations (5,100 bytes)`.
pub(super) struct Subscriber<'a>(pub(super) &'a Report);

impl Display for Subscriber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(counts) = &self.0.subscriber else {
            return Ok(());
        };
        let allocations = plural(counts.allocates(), "allocation");
        let bytes = plural(counts.bytes_allocated, "byte");
        write!(f, ", subscriber: {allocations} ({bytes})")
    }
}

/// A call's name, id and labels: `handle [ca7a87c4] rows=3`.
pub(crate) struct Title<'a> {
    name: &'a str,
    call: &'a CallReport,
}

impl<'a> Title<'a> {
    pub(crate) fn of(call: &'a CallReport) -> Self {
        Self::named(&call.name, call)
    }

    /// Makes a title with another name than the call's own.
    pub(crate) fn named(name: &'a str, call: &'a CallReport) -> Self {
        Self { name, call }
    }
}

impl Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(self.name))?;
        if let Some(id) = self.call.id.as_ref().filter(|id| !id.is_empty()) {
            write!(f, " [{}]", Escaped(id))?;
        }
        for (name, value) in &self.call.labels {
            write!(f, " {}={}", Escaped(name), Escaped(value))?;
        }
        Ok(())
    }
}

/// Displays a comparison behind a call's own figures: `▲ all: 10.4 ms (usual 1.20 ms) · …`. The mark is
/// shown if a figure is unusual.
#[derive(Clone, Copy)]
pub(super) struct Beside<'a> {
    pub(super) compared: &'a Compared,
    /// Number of calls of the path in the line.
    calls: u64,
    pub(super) says_n_plus_one: bool,
}

impl<'a> Beside<'a> {
    pub(super) fn of(compared: &'a Compared) -> Self {
        Self {
            compared,
            calls: 1,
            says_n_plus_one: false,
        }
    }

    /// Of a tree's line with this number of the path's calls: `▲ N+1: 480 ms (usual 1.20 ms) · …`. Inside of a line
    /// of several calls, the number follows from that of the calls around.
    pub(super) fn in_tree(compared: &'a Compared, calls: u64, is_inside: bool) -> Self {
        Self {
            compared,
            calls,
            says_n_plus_one: !is_inside && compared.is_n_plus_one(),
        }
    }

    /// Returns whether the comparison is of more calls than those of the line.
    pub(super) fn is_of_others_too(&self) -> bool {
        self.compared.calls > self.calls
    }
}

impl Display for Beside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compared = self.compared;
        let mark = if compared.stands_out() { "▲ " } else { "" };
        let n_plus_one = if self.says_n_plus_one { "N+1: " } else { "" };
        let all = if self.is_of_others_too() { "all: " } else { "" };
        write!(f, "{mark}{n_plus_one}{all}{compared}")
    }
}

/// Displays how folded calls ended, unless all simply stopped.
pub(super) struct Failures<'a>(pub(super) &'a FoldedReport);

impl Display for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.running > 0 {
            write!(f, ", running: {}", self.0.running)?;
        }
        if self.0.failures > 0 {
            write!(f, ", failed: {}", self.0.failures)?;
        }
        if self.0.cancelled > 0 {
            write!(f, ", cancelled: {}", self.0.cancelled)?;
        }
        f.write_str(if self.0.moved { ", moved" } else { "" })?;
        f.write_str(if self.0.partial { ", partial" } else { "" })
    }
}

/// Displays how a call ended, unless it simply stopped.
pub(super) fn ending(call: &CallReport) -> Option<String> {
    let outcome = match &call.outcome {
        Outcome::Ok | Outcome::Running => None,
        Outcome::Failed(why) => Some(format!("failed: {}", Escaped(why))),
        Outcome::Panicked => Some("panicked".to_owned()),
        Outcome::Cancelled => Some("cancelled".to_owned()),
    };
    let marks = [(call.moved, "moved"), (call.partial, "partial")];
    let marks = marks.into_iter().filter(|(is_so, _)| *is_so);
    let marks = marks.map(|(_, mark)| mark.to_owned());
    let all: Vec<String> = outcome.into_iter().chain(marks).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Returns, for each call, whether it failed with the message of a call below it: an error that is
/// propagated from call to call is shown at the innermost one only.
pub(crate) fn messages_below(report: &Report) -> Vec<bool> {
    let message = |index: usize| match &report.calls[index].outcome {
        Outcome::Failed(message) if !message.is_empty() => Some(message),
        _ => None,
    };
    let mut is_below = vec![false; report.calls.len()];
    // The nearest failed call above each. Only calls before it can be above it.
    let mut above: Vec<Option<usize>> = Vec::with_capacity(report.calls.len());
    for (index, call) in report.calls.iter().enumerate() {
        let parent = call.parent.filter(|parent| *parent < index);
        let failed = parent.and_then(|parent| match message(parent) {
            Some(_) => Some(parent),
            None => above[parent],
        });
        above.push(failed);
        if let Some(failed) = failed
            && message(index) == message(failed)
        {
            is_below[failed] = true;
        }
    }
    is_below
}
