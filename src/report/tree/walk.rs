//! The order of a tree's lines: each call, what is below it, and the next one.

use std::time::Duration;

use crate::report::CheckpointReport;
use crate::report::escape::Escaped;
use crate::report::outline::{Entry, Outline};
use crate::report::site::SiteReport;
use crate::report::text::messages_below;
use crate::report::together::{self, CheckpointsTogether, Together};
use crate::report::units::{count, plural};

use super::rows::{Around, Before, Leaf, LeafFigures, Lines, MAX_INDENT};
use super::table::Table;

/// The sites of a call that are shown.
const MOST_SITES: usize = 3;

/// A line that is still to come.
struct Next<'a> {
    item: Item<'a>,
    /// When it began, if it is sorted among those beside it.
    at: Duration,
    depth: usize,
    is_last: bool,
}

enum Item<'a> {
    Entry(Entry),
    Checkpoint(&'a CheckpointReport),
    /// Rare, so it has memory of its own.
    Leaf(Box<Leaf>),
}

/// One level of the tree while it is walked.
struct Level<'a> {
    /// The length of the text with which its lines begin.
    indent: usize,
    around: Around<'a>,
}

/// Where the walk is. One list and one text serve all levels.
struct Walk<'a> {
    /// The lines still to come, those of the innermost level last; in each level, the first one last.
    next: Vec<Next<'a>>,
    /// The levels around the next line.
    levels: Vec<Level<'a>>,
    /// The text with which the innermost level's lines begin.
    indent: String,
}

impl<'a> Walk<'a> {
    /// Adds what is below a line, from `start` of the list on, as the next level.
    fn descend(&mut self, start: usize, depth: usize, is_last: bool, around: Around<'a>) {
        self.next[start..].reverse();
        if let Some(last) = self.next.get_mut(start) {
            last.is_last = true;
            self.indent += indent_below(depth, is_last);
            self.levels.push(Level {
                indent: self.indent.len(),
                around,
            });
        }
    }

    /// Takes the next line, and leaves the levels that are done.
    fn take(&mut self) -> Option<(Next<'a>, Around<'a>)> {
        let next = self.next.pop()?;
        self.levels.truncate(next.depth + 1);
        let level = self.levels.last()?;
        self.indent.truncate(level.indent);
        Some((next, level.around))
    }

    fn push(&mut self, item: Item<'a>, at: Duration, depth: usize) {
        self.next.push(Next {
            item,
            at,
            depth,
            is_last: false,
        });
    }
}

impl Lines<'_> {
    /// Makes the lines in order. Does not recurse, as a trace may be ten thousand calls deep.
    pub(super) fn table(&self, outline: &Outline<'_>) -> Table {
        let report = self.report;
        let is_below = messages_below(report);
        let checkpoints = report.calls.iter().map(|call| call.checkpoints.len());
        let mut table = Table::with_capacity(report.calls.len() + checkpoints.sum::<usize>());
        let mut walk = Walk {
            next: Vec::with_capacity(report.calls.len()),
            levels: Vec::new(),
            indent: String::new(),
        };
        // Of one line at a time.
        let mut entries = Vec::new();
        push_sites(report.sites.as_deref(), &mut walk, 0);
        outline.push_outermost(&mut entries);
        for entry in entries.drain(..) {
            walk.push(Item::Entry(entry), Duration::MAX, 0);
        }
        walk.descend(0, 0, false, Around::default());
        while let Some((next, around)) = walk.take() {
            let (depth, is_last) = (next.depth, next.is_last);
            let before = Before {
                indent: &walk.indent,
                depth,
                is_last,
            };
            let entry = match next.item {
                Item::Leaf(leaf) => {
                    self.leaf(&leaf, before, &mut table);
                    continue;
                }
                Item::Checkpoint(checkpoint) => {
                    self.checkpoint(checkpoint, before, &mut table);
                    continue;
                }
                Item::Entry(entry) => entry,
            };
            outline.push_inside(&entry, &mut entries);
            let (start, below) = (walk.next.len(), depth + 1);
            let around = match entry {
                Entry::Call(index) => {
                    let call = &report.calls[index];
                    self.call(call, around, is_below[index], before, &mut table);
                    push_sites(call.sites.as_deref(), &mut walk, below);
                    // Checkpoints first: a checkpoint at the time of a call's start was set before it.
                    for checkpoint in &call.checkpoints {
                        let at = call.start.saturating_add(checkpoint.at);
                        walk.push(Item::Checkpoint(checkpoint), at, below);
                    }
                    for entry in entries.drain(..) {
                        let at = outline.start(&entry);
                        walk.push(Item::Entry(entry), at, below);
                    }
                    walk.next[start..].sort_by_key(|next| next.at);
                    Around {
                        thread: Some(&call.thread),
                        is_repeated: false,
                    }
                }
                Entry::Repeated(calls) => {
                    let together = Together::of(report, &calls);
                    self.repeated(&together, around, before, &mut table);
                    push_sites(Some(&together.sites()), &mut walk, below);
                    for checkpoints in together.checkpoints() {
                        walk.push(leaf_of_checkpoints(&checkpoints), Duration::ZERO, below);
                    }
                    Around {
                        thread: together.threads().0,
                        is_repeated: true,
                    }
                }
                Entry::Folded(first, others) => {
                    let folded = together::folded(report, first, &others);
                    self.folded(&folded, before, &mut table);
                    push_sites(folded.sites.as_deref(), &mut walk, below);
                    Around::default()
                }
            };
            for entry in entries.drain(..) {
                walk.push(Item::Entry(entry), Duration::ZERO, below);
            }
            walk.descend(start, depth, is_last, around);
        }
        table
    }
}

/// Returns what stands before the lines below a line, behind what stands before that line itself.
fn indent_below(depth: usize, is_last: bool) -> &'static str {
    match (depth, is_last) {
        (1..MAX_INDENT, true) => "   ",
        (1..MAX_INDENT, false) => "│  ",
        _ => "",
    }
}

/// Adds lines of the heaviest of a call's sites, and one for the others.
fn push_sites(of_call: Option<&[SiteReport]>, walk: &mut Walk<'_>, depth: usize) {
    // Most calls have none.
    let Some(sites) = of_call.filter(|sites| !sites.is_empty()) else {
        return;
    };
    let sites = SiteReport::by_line(Some(sites));
    let (shown, more) = sites.split_at(sites.len().min(MOST_SITES));
    for site in shown {
        let text = format!("▸ {}", site.described());
        let leaf = leaf_of_sites(site.allocates(), site.shown_bytes(), text);
        walk.push(leaf, Duration::ZERO, depth);
    }
    if !more.is_empty() {
        let text = format!("▸ {}", plural(more.len() as u64, "more site"));
        let sum = |of: fn(&SiteReport) -> u64| more.iter().map(of).fold(0, u64::saturating_add);
        let bytes = count(sum(|site| site.bytes_allocated));
        let leaf = leaf_of_sites(sum(SiteReport::allocates), bytes, text);
        walk.push(leaf, Duration::ZERO, depth);
    }
}

fn leaf_of_sites<'a>(allocates: u64, bytes: String, text: String) -> Item<'a> {
    let figures = LeafFigures::Sites { allocates, bytes };
    Item::Leaf(Box::new(Leaf { figures, text }))
}

fn leaf_of_checkpoints<'a>(checkpoints: &CheckpointsTogether<'_>) -> Item<'a> {
    let calls = count(checkpoints.count);
    let text = if checkpoints.is_of_several_names {
        format!("· other checkpoints ×{calls}")
    } else {
        format!("· {} ×{calls}", Escaped(checkpoints.name))
    };
    let figures = LeafFigures::Checkpoints(checkpoints.wall, checkpoints.counts);
    Item::Leaf(Box::new(Leaf { figures, text }))
}
