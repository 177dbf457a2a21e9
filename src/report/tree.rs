//! The report as a tree, with the figures in columns: what `{:#}` shows. The `Display` of
//! [`Report`] in `mod.rs` chooses between it and the lines of `text.rs`.

use std::fmt::{self, Display, Write};
use std::io::IsTerminal;
use std::time::Duration;

use alloc_counter::Counts;

use super::escape::Escaped;
use super::names::Names;
use super::site::SiteReport;
use super::text::{Beside, Failures, Subscriber, Title, ending, messages_below};
use super::units::{count, or_unknown, plural, time};
use super::{CallReport, CheckpointReport, Compared, FoldedReport, Outcome, Report, Thread};

/// Tree of a [`Report`], for people; made by [`Report::tree`].
///
/// Times are rounded to three digits, memory is in bytes. A checkpoint's figures are those since the
/// previous one. Of a call's [sites](CallReport::sites) it shows the three heaviest lines, with `▸`. The
/// thread is named if it differs from that of the call around. If a call failed with the message of a call
/// below it, the message is shown there only.
#[derive(Clone, Copy, Debug)]
#[must_use = "a tree is there to be shown"]
pub struct Tree<'a> {
    report: &'a Report,
    is_coloured: bool,
    columns: Option<usize>,
}

impl<'a> Tree<'a> {
    pub(super) const fn of(report: &'a Report) -> Self {
        Self {
            report,
            is_coloured: false,
            columns: None,
        }
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
    fn widths(&self, rows: &[Row]) -> [Option<usize>; COLUMNS] {
        let mut widths = HEADINGS.map(|heading| heading.chars().count());
        for row in rows {
            for (width, figure) in widths.iter_mut().zip(&row.figures) {
                *width = (*width).max(figure.chars().count());
            }
        }
        let mut widths = widths.map(Some);
        if let Some(columns) = self.columns {
            for place in LEAST_FIRST {
                let taken: usize = widths.iter().flatten().map(|width| width + 2).sum();
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
        write(self, f)
    }
}

const COLUMNS: usize = 7;
const HEADINGS: [&str; COLUMNS] = [
    "wall",
    "busy",
    "allocates",
    "self-allocs",
    "bytes",
    "self-bytes",
    "peak",
];
/// Places in [`HEADINGS`], in the order in which a narrow tree leaves them out.
const LEAST_FIRST: [usize; COLUMNS] = [1, 5, 3, 6, 4, 2, 0];
const HEAVY: &str = "\x1b[1m";
const BAD: &str = "\x1b[31m";
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// One line: its figures, and the text behind them.
struct Row {
    figures: [String; COLUMNS],
    text: String,
    colour: Option<&'static str>,
}

fn write(tree: &Tree<'_>, out: &mut impl Write) -> fmt::Result {
    let report = tree.report;
    if let Some(request) = &report.request {
        writeln!(out, "{request}")?;
    }
    write!(out, "trace {}", report.trace)?;
    // A report without a request has no use for it: it leaves the process by a recorder.
    if let (Some(id), Some(_)) = (report.trace_id, &report.request) {
        write!(out, " {id}")?;
    }
    write!(out, ": {}", time(report.elapsed))?;
    write!(
        out,
        ", allocates {}",
        or_unknown(report.total.as_ref(), |it| count(it.allocates()))
    )?;
    let bytes = or_unknown(report.total.as_ref(), |it| count(it.bytes_allocated));
    writeln!(out, " ({bytes} bytes){}", Subscriber(report))?;
    let rows = rows(report);
    let widths = tree.widths(&rows);
    if !rows.is_empty() {
        write_row(out, &HEADINGS.map(str::to_owned), &widths, "call")?;
        writeln!(out)?;
    }
    for row in &rows {
        let colour = row.colour.filter(|_| tree.is_coloured);
        out.write_str(colour.unwrap_or_default())?;
        write_row(out, &row.figures, &widths, &row.text)?;
        writeln!(out, "{}", if colour.is_some() { PLAIN } else { "" })?;
    }
    write_facts(report, out)?;
    write_legend(report, out)
}

/// Writes the last lines: what was recorded and the memory that it took.
fn write_facts(report: &Report, out: &mut impl Write) -> fmt::Result {
    match report.calls.len() {
        0 => out.write_str("no calls recorded")?,
        calls => write!(out, "calls recorded: {}", count(calls as u64))?,
    }
    let folded = { report.folded.iter() }.map(|folded| folded.calls);
    for (fact, figure, unit) in [
        ("folded", folded.fold(0, u64::saturating_add), ""),
        ("not recorded", report.dropped, ""),
        ("memory", report.memory_bytes, " bytes"),
        ("times grown", report.grown, ""),
    ] {
        if figure > 0 {
            write!(out, ", {fact}: {}{unit}", count(figure))?;
        }
    }
    Ok(())
}

/// Writes what the marks of comparisons mean, for those that are in the tree.
fn write_legend(report: &Report, out: &mut impl Write) -> fmt::Result {
    let compared = || { report.calls.iter() }.filter_map(|call| call.compared.as_deref());
    if compared().any(Compared::stands_out) {
        out.write_str("\n▲: a figure above that of 95 in 100 recent requests, and at least twice the usual one")?;
    }
    if compared().any(|it| it.calls > 1) {
        out.write_str("\nall: the calls of this path together, of which this is the first")?;
    }
    Ok(())
}

fn write_row(
    out: &mut impl Write,
    figures: &[String; COLUMNS],
    widths: &[Option<usize>; COLUMNS],
    text: &str,
) -> fmt::Result {
    for (figure, width) in figures.iter().zip(widths) {
        if let Some(width) = width {
            write!(out, "{figure:>width$}  ")?;
        }
    }
    out.write_str(text)
}

/// Deeper levels are not indented further, so that lines of a deep recursion stay short.
const MAX_INDENT: usize = 40;

/// An entry below a call, in order of time.
#[derive(Clone, Copy)]
enum Item<'a> {
    Call(usize),
    Checkpoint(&'a CheckpointReport),
    /// Comes last, as it has no single time.
    Folded(usize),
    /// A call's own heaviest sites come first.
    Site(&'a SiteReport),
    MoreSites(&'a [SiteReport]),
}

/// The sites of a call that are shown.
const MOST_SITES: usize = 3;

/// One level of the tree while it is walked: the entries still to come.
struct Level<'a> {
    rest: std::vec::IntoIter<Item<'a>>,
    indent: String,
    parent: Option<&'a CallReport>,
}

/// Returns the lines in order. Does not recurse, as a trace may be ten thousand calls deep.
fn rows(report: &Report) -> Vec<Row> {
    let children = Children::of(report);
    let names = Names::in_report(report);
    let is_below = messages_below(report);
    let of_calls = report.calls.iter().map(|call| call.sites.as_deref());
    let of_calls: Vec<_> = of_calls.map(SiteReport::by_line).collect();
    let of_folded = report.folded.iter().map(|folded| folded.sites.as_deref());
    let of_folded: Vec<_> = of_folded.map(SiteReport::by_line).collect();
    let outside = SiteReport::by_line(report.sites.as_deref());
    let outermost = children.outermost.iter().copied();
    let roots: Vec<_> = site_items(&outside).chain(outermost).collect();
    let mut rows = Vec::with_capacity(report.calls.len());
    let mut levels = vec![Level {
        rest: roots.into_iter(),
        indent: String::new(),
        parent: None,
    }];
    while let Some(level) = levels.last_mut() {
        let Some(item) = level.rest.next() else {
            levels.pop();
            continue;
        };
        let is_last = level.rest.len() == 0;
        let (parent, indent) = (level.parent, level.indent.clone());
        let depth = levels.len() - 1;
        let mut text = indent.clone();
        if depth > 0 {
            text += if is_last { "└─ " } else { "├─ " };
        }
        if depth > MAX_INDENT {
            let _ = write!(text, "({depth}) ");
        }
        match item {
            Item::Checkpoint(checkpoint) => {
                let _ = write!(text, "· {}", Escaped(&checkpoint.name));
                rows.push(checkpoint_row(checkpoint, text));
            }
            Item::Site(site) => rows.push(site_row(site, text)),
            Item::MoreSites(sites) => rows.push(more_sites_row(sites, text)),
            Item::Folded(index) => {
                rows.push(folded_row(&report.folded[index], &names, text));
                levels.push(Level {
                    rest: {
                        let inside = children.folded[index].iter().copied();
                        let items = site_items(&of_folded[index]).chain(inside);
                        items.collect::<Vec<_>>().into_iter()
                    },
                    indent: indent_below(depth, is_last, indent),
                    parent: None,
                });
            }
            Item::Call(index) => {
                let call = &report.calls[index];
                rows.push(call_row(
                    report,
                    index,
                    parent,
                    &names,
                    is_below[index],
                    text,
                ));
                levels.push(Level {
                    rest: below(report, call, &children.calls[index], &of_calls[index]).into_iter(),
                    indent: indent_below(depth, is_last, indent),
                    parent: Some(call),
                });
            }
        }
    }
    rows
}

/// Returns the text with which the lines below a line begin.
fn indent_below(depth: usize, is_last: bool, indent: String) -> String {
    match (depth, is_last) {
        (0, _) => String::new(),
        (1..MAX_INDENT, true) => indent + "   ",
        (1..MAX_INDENT, false) => indent + "│  ",
        _ => indent,
    }
}

/// Children of each call and of each path of folded calls.
struct Children<'a> {
    calls: Vec<Vec<Item<'a>>>,
    folded: Vec<Vec<Item<'a>>>,
    outermost: Vec<Item<'a>>,
}

impl Children<'_> {
    fn of(report: &Report) -> Self {
        let mut children = Self {
            calls: vec![Vec::new(); report.calls.len()],
            folded: vec![Vec::new(); report.folded.len()],
            outermost: Vec::new(),
        };
        // A report may come from a file; only what comes before something can be above it.
        for (index, call) in report.calls.iter().enumerate() {
            let parent = call.parent.filter(|parent| *parent < index);
            let below = parent.map(|parent| &mut children.calls[parent]);
            below
                .unwrap_or(&mut children.outermost)
                .push(Item::Call(index));
        }
        for (index, folded) in report.folded.iter().enumerate() {
            let within = folded.within.filter(|within| *within < index);
            let below = match (within, folded.parent) {
                (Some(within), _) => children.folded.get_mut(within),
                (None, Some(parent)) => children.calls.get_mut(parent),
                (None, None) => None,
            };
            below
                .unwrap_or(&mut children.outermost)
                .push(Item::Folded(index));
        }
        children
    }
}

/// Returns a call's heaviest sites, and its checkpoints and children, in order of time.
fn below<'a>(
    report: &Report,
    call: &'a CallReport,
    children: &[Item<'a>],
    sites: &'a [SiteReport],
) -> Vec<Item<'a>> {
    // Checkpoints first: a checkpoint at the time of a call's start was set before it.
    let checkpoints = call.checkpoints.iter().map(Item::Checkpoint);
    let items = site_items(sites)
        .chain(checkpoints)
        .chain(children.iter().copied());
    let mut items: Vec<_> = items.collect();
    items.sort_by_key(|item| match item {
        Item::Checkpoint(checkpoint) => call.start.saturating_add(checkpoint.at),
        Item::Call(index) => report.calls[*index].start,
        Item::Folded(_) => Duration::MAX,
        Item::Site(..) | Item::MoreSites(_) => Duration::ZERO,
    });
    items
}

/// Returns the heaviest of a call's sites, and the others as one entry.
fn site_items(sites: &[SiteReport]) -> impl Iterator<Item = Item<'_>> {
    let (shown, more) = sites.split_at(sites.len().min(MOST_SITES));
    let more = (!more.is_empty()).then_some(Item::MoreSites(more));
    shown.iter().map(Item::Site).chain(more)
}

fn call_row(
    report: &Report,
    index: usize,
    parent: Option<&CallReport>,
    names: &Names<'_>,
    is_message_below: bool,
    mut text: String,
) -> Row {
    let call = &report.calls[index];
    let name = names.get(&call.module, &call.name);
    let _ = write!(text, "{}", Title::named(&name, call));
    if parent.is_none_or(|parent| parent.thread != call.thread) {
        let _ = write!(text, " @ {}", OnThread(&call.thread));
    }
    if call.outcome == Outcome::Running {
        text += ", running";
    }
    if is_message_below {
        text += ", failed: see below";
        text += if call.partial { ", partial" } else { "" };
    } else if let Some(ending) = ending(call) {
        text += ", ";
        text += &ending;
    }
    if let Some(compared) = &call.compared {
        let _ = write!(text, " · {}", Beside(compared));
    }
    let (total, own) = (call.total.as_ref(), call.self_counts.as_ref());
    Row {
        figures: [
            time(call.wall),
            time(call.busy),
            or_unknown(total, |it| count(it.allocates())),
            or_unknown(own, |it| count(it.allocates())),
            or_unknown(total, |it| count(it.bytes_allocated)),
            or_unknown(own, |it| count(it.bytes_allocated)),
            or_unknown(call.peak_bytes, count),
        ],
        text,
        colour: if call.outcome.is_failure() {
            Some(BAD)
        } else {
            is_heavy(report, call).then_some(HEAVY)
        },
    }
}

fn folded_row(folded: &FoldedReport, names: &Names<'_>, mut text: String) -> Row {
    let calls = count(folded.calls);
    let name = names.get(&folded.module, &folded.name);
    let name = Escaped(&name);
    let _ = write!(text, "{name}, folded calls: {calls}{}", Failures(folded));
    let (total, own) = (folded.total.as_ref(), folded.self_counts.as_ref());
    Row {
        figures: [
            time(folded.wall),
            time(folded.busy),
            or_unknown(total, |it| count(it.allocates())),
            or_unknown(own, |it| count(it.allocates())),
            or_unknown(total, |it| count(it.bytes_allocated)),
            or_unknown(own, |it| count(it.bytes_allocated)),
            String::new(),
        ],
        text,
        colour: (folded.failures > 0).then_some(BAD),
    }
}

fn checkpoint_row(checkpoint: &CheckpointReport, text: String) -> Row {
    let counts = checkpoint.counts.as_ref();
    let none = String::new;
    Row {
        figures: [
            time(checkpoint.wall),
            none(),
            or_unknown(counts, |it| count(it.allocates())),
            none(),
            or_unknown(counts, |it| count(it.bytes_allocated)),
            none(),
            none(),
        ],
        text,
        colour: Some(FAINT),
    }
}

fn site_row(site: &SiteReport, mut text: String) -> Row {
    text += "▸ ";
    text += &site.described();
    row_of_sites(site.allocates(), site.shown_bytes(), text)
}

fn more_sites_row(sites: &[SiteReport], mut text: String) -> Row {
    let _ = write!(text, "▸ {}", plural(sites.len() as u64, "more site"));
    let sum = |of: fn(&SiteReport) -> u64| sites.iter().map(of).fold(0, u64::saturating_add);
    let bytes = count(sum(|site| site.bytes_allocated));
    row_of_sites(sum(SiteReport::allocates), bytes, text)
}

/// A site is a part of its call's own figures.
fn row_of_sites(allocates: u64, bytes: String, text: String) -> Row {
    let none = String::new;
    Row {
        figures: [
            none(),
            none(),
            none(),
            count(allocates),
            none(),
            bytes,
            none(),
        ],
        text,
        colour: Some(FAINT),
    }
}

/// Returns whether the call itself allocated a quarter or more of the trace's bytes.
fn is_heavy(report: &Report, call: &CallReport) -> bool {
    let bytes = |counts: &Option<Counts>| counts.as_ref().map_or(0, |it| it.bytes_allocated);
    let (own, total) = (bytes(&call.self_counts), bytes(&report.total));
    own > 0 && own >= total / 4
}

/// Displays a thread as `worker #3`.
pub(crate) struct OnThread<'a>(pub(crate) &'a Thread);

impl Display for OnThread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.name {
            Some(name) => write!(f, "{} #{}", Escaped(name), self.0.number),
            None => write!(f, "thread #{}", self.0.number),
        }
    }
}
