//! The report as a tree, with the figures in columns: what `{:#}` shows. The `Display` of
//! [`Report`] chooses between it and the lines of `text.rs`.

mod rows;
mod table;
mod walk;

use std::fmt::{self, Display, Write};
use std::io::IsTerminal;

use alloc_counter::Counts;

use super::digits;
use super::escape::Escaped;
use super::outline::Outline;
use super::text::Subscriber;
use super::units::{plural, push_count, push_time};
use super::{Compared, Report, Thread};

use rows::Lines;
use table::{Figure, GAP, Table};

/// Tree of a [`Report`], for people; made by [`Report::tree`].
///
/// Times are rounded to three digits, memory is in bytes. A checkpoint's figures are those since the
/// previous one. Of a call's [sites](crate::CallReport::sites) it shows the three heaviest lines, with `▸`. The
/// thread is named if it differs from that of the call around. If a call failed with the message of a call
/// below it, the message is shown there only.
///
/// If the trace as a whole has allocated more bytes than it has freed, its first line says how many it keeps, and a
/// column how many each call keeps or returns; for a kept request, the column is there if the request or one of its
/// calls keeps [unusually many](crate::report::Compared::net_bytes_stand_out).
///
/// Eight or more calls of one callsite in the same call are one line, with the sums of their figures, their
/// highest peak and their median time, unless the tree is [unfolded](Self::unfolded):
///
/// ```text
/// 480 ms   470 ms     12,360            0  ├─ select_one ×412 · 1.16 ms each (p50), 5.20 ms (max)
///  97 ms    97 ms     11,948       11,948  │  └─ decode ×412 · 231 µs each (p50), 900 µs (max)
/// ```
///
/// Below it the calls inside are added up by callsite, too. A call that did not simply stop, or with such a call
/// inside, has a line of its own. The line of several calls has the labels that all of them have, and no ids.
#[derive(Clone, Copy, Debug)]
#[must_use = "a tree is there to be shown"]
pub struct Tree<'a> {
    report: &'a Report,
    is_coloured: bool,
    is_unfolded: bool,
    columns: Option<usize>,
}

impl<'a> Tree<'a> {
    pub(super) const fn of(report: &'a Report) -> Self {
        Self {
            report,
            is_coloured: false,
            is_unfolded: false,
            columns: None,
        }
    }

    /// Gives each call a line of its own.
    ///
    /// ```
    /// use tracer::{Trace, call};
    ///
    /// let trace = Trace::new();
    /// let scope = trace.inject();
    /// let handle = call!("handle");
    /// (0..412).for_each(|id| call!("{id}").stop());
    /// handle.stop();
    /// drop(scope);
    /// let report = trace.report();
    /// let lines = |text: String| text.lines().count();
    /// assert_eq!(lines(report.tree().to_string()), 2 + 2 + 1);
    /// assert_eq!(lines(report.tree().unfolded().to_string()), 2 + 413 + 1);
    /// ```
    pub fn unfolded(mut self) -> Self {
        self.is_unfolded = true;
        self
    }

    /// Uses colours if `output` is a terminal that shows them and the environment variable `NO_COLOR` is
    /// not set (<https://no-color.org>).
    ///
    /// ```no_run
    /// # let trace = tracer::Trace::new();
    /// println!("{}", trace.report().tree().colour_for(&std::io::stdout()));
    /// ```
    pub fn colour_for(self, output: &impl IsTerminal) -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        self.colour(output.is_terminal() && !is_set("NO_COLOR") && !is_dumb)
    }

    /// Uses colours, or not, whatever the output is; off by default.
    pub fn colour(mut self, yes: bool) -> Self {
        self.is_coloured = yes;
        self
    }

    /// Leaves out figures, the least important first, such that they take at most half of a line of so many
    /// characters, and the calls have the rest; all are shown by default. Lines are not cut.
    ///
    /// ```
    /// let trace = tracer::Trace::new();
    /// let scope = trace.inject();
    /// tracer::call!("load").stop();
    /// drop(scope);
    /// let report = trace.report();
    /// let headings = |tree: tracer::report::Tree<'_>| tree.to_string().lines().nth(1).map(str::to_owned);
    /// assert!(headings(report.tree()).unwrap().contains("self-bytes"));
    /// assert!(!headings(report.tree().within(80)).unwrap().contains("self-bytes"));
    /// ```
    pub fn within(mut self, columns: usize) -> Self {
        self.columns = Some(columns);
        self
    }

    /// Returns the widths of the columns of figures; `None` for those that are left out.
    fn widths(&self, table: &Table, shows_kept: bool) -> [Option<usize>; COLUMNS] {
        let mut widths = HEADINGS.map(str::len);
        for (width, figures) in widths.iter_mut().zip(table.widths()) {
            *width = (*width).max(figures);
        }
        let mut widths = widths.map(Some);
        if !shows_kept {
            widths[KEEPS] = None;
        }
        if let Some(columns) = self.columns {
            for place in LEAST_FIRST {
                let taken: usize = widths.iter().flatten().map(|width| width + GAP).sum();
                if taken <= columns / 2 {
                    break;
                }
                widths[place] = None;
            }
        }
        widths
    }
}

impl Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self))
    }
}

const COLUMNS: usize = 8;
const HEADINGS: [&str; COLUMNS] = [
    "wall",
    "busy",
    "allocates",
    "self-allocs",
    "bytes",
    "self-bytes",
    "peak",
    "keeps",
];
/// The last column, which is not always there.
const KEEPS: usize = COLUMNS - 1;
/// Places in [`HEADINGS`], in the order in which a narrow tree leaves them out.
const LEAST_FIRST: [usize; COLUMNS] = [1, 5, 3, 6, 4, 2, KEEPS, 0];
const HEAVY: &str = "\x1b[1m";
const BAD: &str = "\x1b[31m";
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// About the bytes of the lines around the table.
const HEAD_AND_FACTS: usize = 256;

/// Returns the tree as a text.
pub(super) fn text(tree: &Tree<'_>) -> String {
    let report = tree.report;
    let shows_kept = shows_kept(report);
    let outline = if tree.is_unfolded {
        Outline::unfolded(report)
    } else {
        Outline::of(report)
    };
    let table = Lines::of(report, shows_kept).table(&outline);
    let widths = tree.widths(&table, shows_kept);
    let mut text = String::with_capacity(HEAD_AND_FACTS + table.most_bytes(&widths));
    push_head(report, &mut text);
    if !table.is_empty() {
        table.push_to(&widths, tree.is_coloured, &mut text);
    }
    push_facts(report, &mut text);
    table.marks.push_to(&mut text);
    text
}

/// Appends the first lines: the request and the trace.
fn push_head(report: &Report, text: &mut String) {
    // Writing to a string can't fail.
    if let Some(request) = &report.request {
        let _ = writeln!(text, "{request}");
    }
    text.push_str("trace ");
    digits::push(report.trace, text);
    // A report without a request has no use for it: it leaves the process by a recorder.
    if let (Some(id), Some(_)) = (report.trace_id, &report.request) {
        let _ = write!(text, " {id}");
    }
    text.push_str(": ");
    push_time(report.elapsed, text);
    text.push_str(", allocates ");
    let total = report.total.as_ref();
    Figure::of(total, Counts::allocates).push_to(text);
    text.push_str(" (");
    Figure::of(total, |it| it.bytes_allocated).push_to(text);
    text.push_str(" bytes)");
    if let Some(net_bytes) = total.map(Counts::net_bytes).filter(|net| *net > 0) {
        let bytes = plural(net_bytes.unsigned_abs(), "byte");
        let _ = write!(text, ", keeps {bytes}");
    }
    if report.subscriber.is_some() {
        let _ = write!(text, "{}", Subscriber(report));
    }
    text.push('\n');
}

/// Returns whether it is of interest which calls keep memory. Most requests keep a little: a response is freed after
/// their end.
fn shows_kept(report: &Report) -> bool {
    let Some(request) = &report.request else {
        return report.total.is_some_and(|total| total.net_bytes() > 0);
    };
    let of_calls = { report.calls.iter() }.filter_map(|call| call.compared.as_deref());
    { request.compared.iter() }
        .chain(of_calls)
        .any(Compared::net_bytes_stand_out)
}

/// Appends the last line: what was recorded and the memory that it took.
fn push_facts(report: &Report, text: &mut String) {
    match report.calls.len() {
        0 => text.push_str("no calls recorded"),
        calls => {
            text.push_str("calls recorded: ");
            push_count(calls as u64, text);
        }
    }
    let folded = { report.folded.iter() }.map(|folded| folded.calls);
    for (fact, figure, unit) in [
        (", folded: ", folded.fold(0, u64::saturating_add), ""),
        (", not recorded: ", report.dropped, ""),
        (", memory: ", report.memory_bytes, " bytes"),
        (", times grown: ", report.grown, ""),
    ] {
        if figure > 0 {
            text.push_str(fact);
            push_count(figure, text);
            text.push_str(unit);
        }
    }
}

/// Displays a thread as `worker #3`.
pub(crate) struct OnThread<'a>(pub(crate) &'a Thread);

impl OnThread<'_> {
    pub(crate) fn push_to(&self, text: &mut String) {
        match &self.0.name {
            Some(name) => Escaped(name).push_to(text),
            None => text.push_str("thread"),
        }
        text.push_str(" #");
        digits::push(self.0.number.into(), text);
    }
}

impl Display for OnThread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.push_to(&mut text);
        f.write_str(&text)
    }
}
