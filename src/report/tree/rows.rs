//! The texts and figures of a tree's lines.

use std::fmt::Write as _;
use std::time::Duration;

use alloc_counter::Counts;

use crate::report::digits;
use crate::report::escape::Escaped;
use crate::report::names::Names;
use crate::report::text::{Beside, Failures, push_ending, push_labels, push_marks, push_title};
use crate::report::together::Together;
use crate::report::units::{count, push_count, time};
use crate::report::{CallReport, CheckpointReport, FoldedReport, Outcome, Report, Thread};

use super::table::{Figure, Table};
use super::{BAD, COLUMNS, FAINT, HEAVY, KEEPS, OnThread};

/// Deeper levels are not indented further, so that lines of a deep recursion stay short.
pub(super) const MAX_INDENT: usize = 40;

const OWN_ALLOCATES: usize = 3;
const OWN_BYTES: usize = 5;
const PEAK: usize = KEEPS - 1;

/// Makes the lines of a report.
pub(super) struct Lines<'a> {
    pub(super) report: &'a Report,
    names: Names<'a>,
    /// Whether the column of what calls keep is shown.
    shows_kept: bool,
}

/// What a line needs to know of the one around it.
#[derive(Clone, Copy, Default)]
pub(super) struct Around<'a> {
    /// The thread, if it is of one.
    pub(super) thread: Option<&'a Thread>,
    /// Whether it is of several calls.
    pub(super) is_repeated: bool,
}

/// What stands before a line's own text.
#[derive(Clone, Copy)]
pub(super) struct Before<'b> {
    pub(super) indent: &'b str,
    pub(super) depth: usize,
    pub(super) is_last: bool,
}

impl Before<'_> {
    fn push_to(self, text: &mut String) {
        text.push_str(self.indent);
        if self.depth > 0 {
            text.push_str(if self.is_last { "└─ " } else { "├─ " });
        }
        if self.depth > MAX_INDENT {
            text.push('(');
            digits::push(self.depth as u64, text);
            text.push_str(") ");
        }
    }
}

/// A line with nothing below it.
pub(super) struct Leaf {
    pub(super) figures: LeafFigures,
    /// Without what stands before it.
    pub(super) text: String,
}

pub(super) enum LeafFigures {
    Sites { allocates: u64, bytes: String },
    Checkpoints(Duration, Option<Counts>),
}

impl<'a> Lines<'a> {
    pub(super) fn of(report: &'a Report, shows_kept: bool) -> Self {
        Self {
            report,
            names: Names::in_report(report),
            shows_kept,
        }
    }

    pub(super) fn call(
        &self,
        call: &'a CallReport,
        around: Around<'_>,
        is_message_below: bool,
        before: Before<'_>,
        table: &mut Table,
    ) {
        let (total, own) = (call.total.as_ref(), call.self_counts.as_ref());
        let colour = if call.outcome.is_failure() {
            Some(BAD)
        } else {
            self.is_heavy(own).then_some(HEAVY)
        };
        let figures = self.figures(call.wall, call.busy, total, own, call.peak_bytes);
        let text = table.begin(&figures, colour);
        before.push_to(text);
        push_title(&self.names.get(&call.module, &call.name), call, text);
        if around.thread != Some(&call.thread) {
            text.push_str(" @ ");
            OnThread(&call.thread).push_to(text);
        }
        if call.outcome == Outcome::Running {
            text.push_str(", running");
        }
        if is_message_below {
            text.push_str(", failed: see below");
            push_marks(call, text);
        } else {
            push_ending(call, text);
        }
        if let Some(compared) = call.compared.as_deref() {
            let beside = Beside::in_tree(compared, 1, around.is_repeated);
            let _ = write!(text, " · {beside}");
            table.marks.add(&beside);
        }
    }

    /// Makes the line of several calls: `select_one ×412 · 1.16 ms each (p50), 5.20 ms (max)`.
    pub(super) fn repeated(
        &self,
        together: &Together<'a>,
        around: Around<'_>,
        before: Before<'_>,
        table: &mut Table,
    ) {
        let first = together.first();
        let (total, own) = (together.total.as_ref(), together.self_counts.as_ref());
        let (wall, busy, peak_bytes) = (together.wall, together.busy, together.peak_bytes);
        let figures = self.figures(wall, busy, total, own, peak_bytes);
        let text = table.begin(&figures, self.is_heavy(own).then_some(HEAVY));
        before.push_to(text);
        Escaped(&self.names.get(&first.module, &first.name)).push_to(text);
        text.push_str(" ×");
        push_count(together.len(), text);
        push_labels(together.labels(), text);
        match together.threads() {
            (Some(thread), _) if around.thread == Some(thread) => {}
            (Some(thread), _) => _ = write!(text, " @ {}", OnThread(thread)),
            (None, threads) => _ = write!(text, " @ {threads} threads"),
        }
        // What is unusual first: a terminal may cut the rest.
        let beside = together.compared();
        let (calls, is_inside) = (together.len(), around.is_repeated);
        let beside = beside.map(|compared| Beside::in_tree(compared, calls, is_inside));
        if let Some(beside) = &beside {
            let _ = write!(text, " · {beside}");
        }
        if together.len() > 1 {
            let (p50, max) = (time(together.each.p50), time(together.each.max));
            let _ = write!(text, " · {p50} each (p50), {max} (max)");
        }
        let at_once = together.most_at_once();
        if at_once > 1 {
            let _ = write!(text, ", up to {} at once", count(at_once as u64));
        }
        text.push_str(if together.is_moved { ", moved" } else { "" });
        text.push_str(if together.is_partial { ", partial" } else { "" });
        if let Some(beside) = &beside {
            table.marks.add(beside);
        }
    }

    pub(super) fn folded(&self, folded: &FoldedReport, before: Before<'_>, table: &mut Table) {
        let (total, own) = (folded.total.as_ref(), folded.self_counts.as_ref());
        let mut figures = self.figures(folded.wall, folded.busy, total, own, None);
        figures[PEAK] = Figure::Blank;
        let text = table.begin(&figures, (folded.failures > 0).then_some(BAD));
        before.push_to(text);
        let calls = count(folded.calls);
        let name = self.names.get(&folded.module, &folded.name);
        let name = Escaped(&name);
        let _ = write!(text, "{name}, folded calls: {calls}{}", Failures(folded));
    }

    fn figures(
        &self,
        wall: Duration,
        busy: Duration,
        total: Option<&Counts>,
        own: Option<&Counts>,
        peak_bytes: Option<u64>,
    ) -> [Figure<'static>; COLUMNS] {
        [
            Figure::Time(wall),
            Figure::Time(busy),
            Figure::of(total, Counts::allocates),
            Figure::of(own, Counts::allocates),
            Figure::of(total, |it| it.bytes_allocated),
            Figure::of(own, |it| it.bytes_allocated),
            peak_bytes.map_or(Figure::Unknown, Figure::Count),
            self.kept(total),
        ]
    }

    fn kept(&self, total: Option<&Counts>) -> Figure<'static> {
        match total {
            _ if !self.shows_kept => Figure::Blank,
            Some(total) => Figure::Signed(total.net_bytes()),
            None => Figure::Unknown,
        }
    }

    pub(super) fn checkpoint(
        &self,
        checkpoint: &CheckpointReport,
        before: Before<'_>,
        table: &mut Table,
    ) {
        let figures = self.of_checkpoints(checkpoint.wall, checkpoint.counts.as_ref());
        let text = table.begin(&figures, Some(FAINT));
        before.push_to(text);
        text.push_str("· ");
        Escaped(&checkpoint.name).push_to(text);
    }

    pub(super) fn leaf(&self, leaf: &Leaf, before: Before<'_>, table: &mut Table) {
        let figures = match &leaf.figures {
            LeafFigures::Sites { allocates, bytes } => of_sites(*allocates, bytes),
            LeafFigures::Checkpoints(wall, counts) => self.of_checkpoints(*wall, counts.as_ref()),
        };
        let text = table.begin(&figures, Some(FAINT));
        before.push_to(text);
        text.push_str(&leaf.text);
    }

    fn of_checkpoints(
        &self,
        wall: Duration,
        counts: Option<&Counts>,
    ) -> [Figure<'static>; COLUMNS] {
        [
            Figure::Time(wall),
            Figure::Blank,
            Figure::of(counts, Counts::allocates),
            Figure::Blank,
            Figure::of(counts, |it| it.bytes_allocated),
            Figure::Blank,
            Figure::Blank,
            self.kept(counts),
        ]
    }

    /// Returns whether calls themselves allocated a quarter or more of the trace's bytes.
    fn is_heavy(&self, own: Option<&Counts>) -> bool {
        let bytes = |counts: Option<&Counts>| counts.map_or(0, |it| it.bytes_allocated);
        let (own, total) = (bytes(own), bytes(self.report.total.as_ref()));
        own > 0 && own >= total / 4
    }
}

/// A site is a part of its call's own figures.
fn of_sites(allocates: u64, bytes: &str) -> [Figure<'_>; COLUMNS] {
    let mut figures = [Figure::Blank; COLUMNS];
    (figures[OWN_ALLOCATES], figures[OWN_BYTES]) = (Figure::Count(allocates), Figure::Text(bytes));
    figures
}
