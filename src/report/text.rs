//! The report as text: a line for each call, in order of start. It is what `{}` shows.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};

use alloc_counter::Counts;

use super::digits;
use super::duration::push_exactly;
use super::escape::Escaped;
use super::units::plural;
use super::{CallReport, Compared, FoldedReport, Outcome, Report};

/// About the bytes of a line.
const LINE: usize = 64;

/// Returns the lines.
pub(super) fn lines(report: &Report) -> String {
    let checkpoints = report.calls.iter().map(|call| call.checkpoints.len());
    let lines = 1 + report.calls.len() + checkpoints.sum::<usize>() + report.folded.len();
    let mut text = String::with_capacity(LINE * lines);
    if let Some(request) = &report.request {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{request}");
    }
    text.push_str("allocates at call stack: ");
    digits::push(report.grown, &mut text);
    if report.subscriber.is_some() {
        let _ = write!(text, "{}", Subscriber(report));
    }
    text.push_str(", detailed call stack:");
    if report.calls.is_empty() && report.folded.is_empty() {
        text.push_str(" ~");
    }
    for call in &report.calls {
        push_call(call, &mut text);
    }
    for folded in &report.folded {
        text.push_str("\n\tfolded ");
        Escaped(&folded.name).push_to(&mut text);
        text.push_str(": ");
        push_exactly(folded.wall, &mut text);
        push_allocates(folded.total.as_ref(), &mut text);
        let _ = write!(text, ", calls: {}{}", folded.calls, Failures(folded));
    }
    if report.dropped > 0 {
        let _ = write!(text, "\n\t~ {} not recorded: limit reached", report.dropped);
    }
    text
}

/// Appends a call and its checkpoints, each on its own line.
pub(crate) fn push_call(call: &CallReport, text: &mut String) {
    text.push_str("\n\tcall ");
    push_title(&call.name, call, text);
    text.push_str(": ");
    push_exactly(call.wall, text);
    if call.outcome == Outcome::Running {
        text.push_str(" running");
    }
    push_allocates(call.total.as_ref(), text);
    push_ending(call, text);
    if let Some(compared) = &call.compared {
        let _ = write!(text, " · {}", Beside::of(compared));
    }
    for checkpoint in &call.checkpoints {
        text.push_str("\n\t\tcheckpoint [");
        Escaped(&checkpoint.name).push_to(text);
        text.push_str("]: ");
        push_exactly(checkpoint.wall, text);
    }
}

pub(crate) fn push_allocates(total: Option<&Counts>, text: &mut String) {
    text.push_str(", allocates: ");
    match total {
        Some(total) => digits::push(total.allocates(), text),
        None => text.push_str("n/a"),
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

/// Appends a call's name, id and labels: `handle [ca7a87c4] rows=3`. The name may be another one than its own.
pub(crate) fn push_title(name: &str, call: &CallReport, text: &mut String) {
    Escaped(name).push_to(text);
    if let Some(id) = call.id.as_ref().filter(|id| !id.is_empty()) {
        text.push_str(" [");
        Escaped(id).push_to(text);
        text.push(']');
    }
    push_labels(call.labels.iter(), text);
}

/// Appends labels: ` rows=3 user=7`.
pub(super) fn push_labels<'a>(
    labels: impl Iterator<Item = &'a (Cow<'static, str>, String)>,
    text: &mut String,
) {
    for (name, value) in labels {
        text.push(' ');
        Escaped(name).push_to(text);
        text.push('=');
        Escaped(value).push_to(text);
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

/// Appends how a call ended, unless it simply stopped: `, failed: no such order, partial`.
pub(super) fn push_ending(call: &CallReport, text: &mut String) {
    match &call.outcome {
        Outcome::Ok | Outcome::Running => {}
        Outcome::Failed(why) => {
            text.push_str(", failed: ");
            Escaped(why).push_to(text);
        }
        Outcome::Panicked => text.push_str(", panicked"),
        Outcome::Cancelled => text.push_str(", cancelled"),
    }
    push_marks(call, text);
}

/// Appends what is to be known of a call's figures: `, moved, partial`.
pub(super) fn push_marks(call: &CallReport, text: &mut String) {
    if call.moved {
        text.push_str(", moved");
    }
    if call.partial {
        text.push_str(", partial");
    }
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
