//! The lines of a tree.

use std::fmt::Write as _;
use std::time::Duration;

use alloc_counter::Counts;

use crate::report::escape::Escaped;
use crate::report::names::Names;
use crate::report::outline::{Entry, Outline};
use crate::report::site::SiteReport;
use crate::report::text::{Beside, Failures, Title, ending, messages_below};
use crate::report::together::{self, CheckpointsTogether, Together};
use crate::report::units::{count, or_unknown, plural, time};
use crate::report::{CallReport, CheckpointReport, FoldedReport, Outcome, Report, Thread};

use super::{BAD, COLUMNS, FAINT, HEAVY, KEEPS, OnThread, Row};

/// Deeper levels are not indented further, so that lines of a deep recursion stay short.
const MAX_INDENT: usize = 40;

const PEAK: usize = KEEPS - 1;

/// The sites of a call that are shown.
const MOST_SITES: usize = 3;

/// A line below a call.
enum Item<'a> {
    Entry(Entry),
    Checkpoint(&'a CheckpointReport),
    /// Of a site, or of several checkpoints, without what stands before its text.
    Leaf(Box<Row<'static>>),
}

/// One level of the tree while it is walked: the items still to come.
struct Level<'a> {
    rest: std::vec::IntoIter<Item<'a>>,
    indent: String,
    around: Around<'a>,
}

/// What a line needs to know of the one around it.
#[derive(Clone, Copy, Default)]
struct Around<'a> {
    /// The thread, if it is of one.
    thread: Option<&'a Thread>,
    /// Whether it is of several calls.
    is_repeated: bool,
}

/// Makes the lines of a report.
pub(super) struct Lines<'a> {
    report: &'a Report,
    names: Names<'a>,
    /// Whether the column of what calls keep is shown.
    shows_kept: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn of(report: &'a Report, shows_kept: bool) -> Self {
        Self {
            report,
            names: Names::in_report(report),
            shows_kept,
        }
    }

    /// Returns the lines in order. Does not recurse, as a trace may be ten thousand calls deep.
    pub(super) fn rows(&self, outline: &Outline<'_>) -> Vec<Row<'a>> {
        let report = self.report;
        let is_below = messages_below(report);
        let outermost = outline.outermost().into_iter().map(Item::Entry);
        let roots = site_rows(report.sites.as_deref()).map(leaf);
        let mut rows = Vec::with_capacity(report.calls.len());
        let mut levels = vec![Level {
            rest: roots.chain(outermost).collect::<Vec<_>>().into_iter(),
            indent: String::new(),
            around: Around::default(),
        }];
        while let Some(level) = levels.last_mut() {
            let Some(item) = level.rest.next() else {
                levels.pop();
                continue;
            };
            let is_last = level.rest.len() == 0;
            let (around, indent) = (level.around, level.indent.clone());
            let depth = levels.len() - 1;
            let mut text = indent.clone();
            if depth > 0 {
                text += if is_last { "└─ " } else { "├─ " };
            }
            if depth > MAX_INDENT {
                let _ = write!(text, "({depth}) ");
            }
            let entry = match item {
                Item::Leaf(leaf) => {
                    text += &leaf.text;
                    rows.push(Row { text, ..*leaf });
                    continue;
                }
                Item::Checkpoint(checkpoint) => {
                    rows.push(self.checkpoint(checkpoint, text));
                    continue;
                }
                Item::Entry(entry) => entry,
            };
            let inside = outline.inside(&entry);
            let (below, around) = match entry {
                Entry::Call(index) => {
                    let call = &report.calls[index];
                    rows.push(self.call(call, around, is_below[index], text));
                    let around = Around {
                        thread: Some(&call.thread),
                        is_repeated: false,
                    };
                    (below(outline, call, inside), around)
                }
                Entry::Repeated(calls) => {
                    let together = Together::of(report, &calls);
                    rows.push(self.repeated(&together, around, text));
                    let below = self.below_repeated(&together, inside);
                    let around = Around {
                        thread: together.threads().0,
                        is_repeated: true,
                    };
                    (below, around)
                }
                Entry::Folded(first, others) => {
                    let folded = together::folded(report, first, &others);
                    rows.push(self.folded(&folded, text));
                    let sites = site_rows(folded.sites.as_deref()).map(leaf);
                    let inside = inside.into_iter().map(Item::Entry);
                    (sites.chain(inside).collect(), Around::default())
                }
            };
            levels.push(Level {
                rest: below.into_iter(),
                indent: indent_below(depth, is_last, indent),
                around,
            });
        }
        rows
    }
}

fn leaf<'a>(row: Row<'static>) -> Item<'a> {
    Item::Leaf(Box::new(row))
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

/// Returns a call's heaviest sites, and its checkpoints and the entries inside, in order of time.
fn below<'a>(outline: &Outline<'_>, call: &'a CallReport, inside: Vec<Entry>) -> Vec<Item<'a>> {
    let sites = site_rows(call.sites.as_deref()).map(|row| (Duration::ZERO, leaf(row)));
    // Checkpoints first: a checkpoint at the time of a call's start was set before it.
    let checkpoints = call.checkpoints.iter().map(|checkpoint| {
        let at = call.start.saturating_add(checkpoint.at);
        (at, Item::Checkpoint(checkpoint))
    });
    let entries = inside.into_iter();
    let entries = entries.map(|entry| (outline.start(&entry), Item::Entry(entry)));
    let mut items: Vec<_> = sites.chain(checkpoints).chain(entries).collect();
    items.sort_by_key(|(at, _)| *at);
    items.into_iter().map(|(_, item)| item).collect()
}

/// Returns lines of the heaviest of a call's sites, and one for the others.
fn site_rows(of_call: Option<&[SiteReport]>) -> impl Iterator<Item = Row<'static>> + use<> {
    // Most calls have none.
    let sites = of_call.filter(|sites| !sites.is_empty());
    let sites = sites.map_or_else(Vec::new, |sites| SiteReport::by_line(Some(sites)));
    let (shown, more) = sites.split_at(sites.len().min(MOST_SITES));
    let mut rows: Vec<_> = shown.iter().map(site_row).collect();
    rows.extend((!more.is_empty()).then(|| more_sites_row(more)));
    rows.into_iter()
}

impl<'a> Lines<'a> {
    fn call(
        &self,
        call: &'a CallReport,
        around: Around<'_>,
        is_message_below: bool,
        mut text: String,
    ) -> Row<'a> {
        let name = self.names.get(&call.module, &call.name);
        let _ = write!(text, "{}", Title::named(&name, call));
        if around.thread != Some(&call.thread) {
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
        let beside = call.compared.as_deref();
        let beside = beside.map(|compared| Beside::in_tree(compared, 1, around.is_repeated));
        if let Some(beside) = &beside {
            let _ = write!(text, " · {beside}");
        }
        let (total, own) = (call.total.as_ref(), call.self_counts.as_ref());
        Row {
            figures: self.figures(call.wall, call.busy, total, own, call.peak_bytes),
            text,
            colour: if call.outcome.is_failure() {
                Some(BAD)
            } else {
                self.is_heavy(own).then_some(HEAVY)
            },
            beside,
        }
    }

    /// Makes the line of several calls: `select_one ×412 · 1.16 ms each (p50), 5.20 ms (max)`.
    fn repeated(&self, together: &Together<'a>, around: Around<'_>, mut text: String) -> Row<'a> {
        let first = together.first();
        let name = self.names.get(&first.module, &first.name);
        let _ = write!(text, "{} ×{}", Escaped(&name), count(together.len()));
        for (name, value) in together.labels() {
            let _ = write!(text, " {}={}", Escaped(name), Escaped(value));
        }
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
        text += if together.is_moved { ", moved" } else { "" };
        text += if together.is_partial { ", partial" } else { "" };
        let (total, own) = (together.total.as_ref(), together.self_counts.as_ref());
        let (wall, busy, peak_bytes) = (together.wall, together.busy, together.peak_bytes);
        Row {
            figures: self.figures(wall, busy, total, own, peak_bytes),
            text,
            colour: self.is_heavy(own).then_some(HEAVY),
            beside,
        }
    }

    /// Returns the sites, the checkpoints and the entries inside several calls.
    fn below_repeated(&self, together: &Together<'_>, inside: Vec<Entry>) -> Vec<Item<'a>> {
        let sites = site_rows(Some(&together.sites())).map(leaf);
        let checkpoints = together.checkpoints();
        let checkpoints = checkpoints.iter().map(|it| leaf(self.checkpoints(it)));
        let inside = inside.into_iter().map(Item::Entry);
        sites.chain(checkpoints).chain(inside).collect()
    }

    fn folded(&self, folded: &FoldedReport, mut text: String) -> Row<'static> {
        let calls = count(folded.calls);
        let name = self.names.get(&folded.module, &folded.name);
        let name = Escaped(&name);
        let _ = write!(text, "{name}, folded calls: {calls}{}", Failures(folded));
        let (total, own) = (folded.total.as_ref(), folded.self_counts.as_ref());
        let mut figures = self.figures(folded.wall, folded.busy, total, own, None);
        figures[PEAK].clear();
        Row {
            figures,
            text,
            colour: (folded.failures > 0).then_some(BAD),
            beside: None,
        }
    }

    fn figures(
        &self,
        wall: Duration,
        busy: Duration,
        total: Option<&Counts>,
        own: Option<&Counts>,
        peak_bytes: Option<u64>,
    ) -> [String; COLUMNS] {
        [
            time(wall),
            time(busy),
            or_unknown(total, |it| count(it.allocates())),
            or_unknown(own, |it| count(it.allocates())),
            or_unknown(total, |it| count(it.bytes_allocated)),
            or_unknown(own, |it| count(it.bytes_allocated)),
            or_unknown(peak_bytes, count),
            self.kept(total),
        ]
    }

    fn kept(&self, total: Option<&Counts>) -> String {
        if self.shows_kept {
            or_unknown(total, |it| signed(it.net_bytes()))
        } else {
            String::new()
        }
    }

    fn checkpoint(&self, checkpoint: &CheckpointReport, mut text: String) -> Row<'static> {
        let _ = write!(text, "· {}", Escaped(&checkpoint.name));
        self.row_of_checkpoints(checkpoint.wall, checkpoint.counts, text)
    }

    fn checkpoints(&self, checkpoints: &CheckpointsTogether<'_>) -> Row<'static> {
        let calls = count(checkpoints.count);
        let text = if checkpoints.is_of_several_names {
            format!("· other checkpoints ×{calls}")
        } else {
            format!("· {} ×{calls}", Escaped(checkpoints.name))
        };
        self.row_of_checkpoints(checkpoints.wall, checkpoints.counts, text)
    }

    fn row_of_checkpoints(
        &self,
        wall: Duration,
        counts: Option<Counts>,
        text: String,
    ) -> Row<'static> {
        let none = String::new;
        let counts = counts.as_ref();
        Row {
            figures: [
                time(wall),
                none(),
                or_unknown(counts, |it| count(it.allocates())),
                none(),
                or_unknown(counts, |it| count(it.bytes_allocated)),
                none(),
                none(),
                self.kept(counts),
            ],
            text,
            colour: Some(FAINT),
            beside: None,
        }
    }

    /// Returns whether calls themselves allocated a quarter or more of the trace's bytes.
    fn is_heavy(&self, own: Option<&Counts>) -> bool {
        let bytes = |counts: Option<&Counts>| counts.map_or(0, |it| it.bytes_allocated);
        let (own, total) = (bytes(own), bytes(self.report.total.as_ref()));
        own > 0 && own >= total / 4
    }
}

/// Returns a number as `-1,234`.
fn signed(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", count(number.unsigned_abs()))
}

fn site_row(site: &SiteReport) -> Row<'static> {
    let text = format!("▸ {}", site.described());
    row_of_sites(site.allocates(), site.shown_bytes(), text)
}

fn more_sites_row(sites: &[SiteReport]) -> Row<'static> {
    let text = format!("▸ {}", plural(sites.len() as u64, "more site"));
    let sum = |of: fn(&SiteReport) -> u64| sites.iter().map(of).fold(0, u64::saturating_add);
    let bytes = count(sum(|site| site.bytes_allocated));
    row_of_sites(sum(SiteReport::allocates), bytes, text)
}

/// A site is a part of its call's own figures.
fn row_of_sites(allocates: u64, bytes: String, text: String) -> Row<'static> {
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
            none(),
        ],
        text,
        colour: Some(FAINT),
        beside: None,
    }
}
