//! Hotspots as a table.

use std::fmt;

use crate::report::escape::Escaped;
use crate::report::names::Names;

use super::by::Unit;
use super::grid::{ALWAYS, Column, Cut, Grid};
use super::{By, Frame, Hotspot, Hotspots};
use crate::report::units::{bytes, count, percent, plural, time};

/// Table of hotspots for people; made by [`Hotspots::table`].
#[derive(Clone, Debug)]
#[must_use = "a table is shown by formatting it"]
pub struct Table<'a> {
    pub(super) hotspots: &'a Hotspots,
    by: By,
    top: usize,
    width: usize,
    is_markdown: bool,
}

impl Hotspots {
    /// Returns a table of the functions. By default the first 20 by [`By::SelfBytes`], in lines of 120
    /// characters.
    pub fn table(&self) -> Table<'_> {
        Table {
            hotspots: self,
            by: By::SelfBytes,
            top: 20,
            width: 120,
            is_markdown: false,
        }
    }
}

impl Table<'_> {
    /// Sets the figure to sort by, which is the first column; [`By::SelfBytes`] by default.
    pub fn by(self, by: By) -> Self {
        Self { by, ..self }
    }

    /// Sets how many functions there are at most; 20 by default.
    pub fn top(self, top: usize) -> Self {
        Self { top, ..self }
    }

    /// Sets the width of a line in characters; 120 by default. Less important columns are left out to
    /// keep to it.
    pub fn width(self, width: usize) -> Self {
        Self { width, ..self }
    }

    /// Renders as a table of [GitHub's Markdown](https://github.github.com/gfm/), for a comment on a pull
    /// request. The width only decides which columns there are; no name is cut.
    pub fn markdown(self) -> Self {
        Self {
            is_markdown: true,
            ..self
        }
    }
}

/// Characters of a function's name and of its place that are always shown.
pub(super) const NAME: Cut = Cut::Middle(32);
pub(super) const PLACE: Cut = Cut::Start(30);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hotspots = self.hotspots;
        writeln!(f, "{}\n", Summary(hotspots))?;
        let (functions, hidden) = self.functions();
        if functions.is_empty() {
            return Ok(());
        }
        let grid = self.grid(&functions);
        if self.is_markdown {
            grid.write_markdown(self.width, f)?;
        } else {
            grid.write(self.width, f)?;
        }
        let partial = hotspots.functions.iter().map(|it| it.totals.partial);
        let partial = partial.fold(0, u64::saturating_add);
        if hidden > 0 || partial > 0 {
            writeln!(f)?;
        }
        if hidden > 0 {
            let what = if hotspots.has_sites {
                "more row"
            } else {
                "more function"
            };
            writeln!(f, "{}", plural(hidden as u64, what))?;
        }
        if partial > 0 {
            let partial = count(partial);
            writeln!(
                f,
                "calls of which not all figures are known to the last: {partial}"
            )?;
        }
        Ok(())
    }
}

/// A figure of the table, with the rank of its column.
const FIGURES: [(By, u8); 13] = [
    (By::Calls, 10),
    (By::Failures, 7),
    (By::Cancelled, 4),
    (By::Time, 8),
    (By::SelfTime, 6),
    (By::Busy, 1),
    (By::SelfBusy, 1),
    (By::Allocations, 8),
    (By::SelfAllocations, 7),
    (By::Bytes, 6),
    (By::SelfBytes, 7),
    (By::NetBytes, 4),
    (By::Peak, 5),
];

impl Table<'_> {
    /// Returns the functions that are shown, and the number of others. Lines without any of the figure count as
    /// neither: they only lead to others.
    pub(super) fn functions(&self) -> (Vec<Hotspot<'_>>, usize) {
        let mut functions = self.hotspots.functions(self.by);
        functions.retain(|it| !it.frame.is_site || self.by.of(it.totals) > 0);
        let hidden = functions.len().saturating_sub(self.top);
        functions.truncate(self.top);
        (functions, hidden)
    }

    fn grid(&self, functions: &[Hotspot<'_>]) -> Grid {
        let by = self.by;
        let whole = self.whole();
        let mut columns = vec![
            Column::foreign("function", ALWAYS).cut(NAME),
            Column::number(format!("{by} ▼"), ALWAYS),
        ];
        if whole.is_some() {
            columns.push(Column::number("share", ALWAYS));
        }
        let is_any = |figure: By| functions.iter().any(|it| figure.of(it.totals) > 0);
        let figures = FIGURES.into_iter().filter(|(figure, _)| match figure {
            figure if *figure == by => false,
            By::Failures | By::Cancelled | By::NetBytes => is_any(*figure),
            _ => true,
        });
        let figures: Vec<(By, u8)> = figures.collect();
        // Lines have no other figures than these.
        let of_sites = |figure: By| self.hotspots.has_sites && figure.is_of_sites();
        for (figure, rank) in &figures {
            let more = if of_sites(*figure) { 10 } else { 0 };
            columns.push(Column::number(figure.name(), rank + more));
        }
        // A table sorted by time shows its distribution.
        let more = if by.unit() == Unit::Nanoseconds { 6 } else { 0 };
        for (title, rank) in [
            ("time p50", 3),
            ("time p95", 4),
            ("time p99", 2),
            ("time max", 3),
        ] {
            columns.push(Column::number(title, rank + more));
        }
        for (title, rank) in [
            ("allocs p50", 1),
            ("allocs p95", 1),
            ("allocs p99", 0),
            ("allocs max", 2),
        ] {
            columns.push(Column::number(title, rank));
        }
        let rank = if self.is_markdown || self.hotspots.has_sites {
            ALWAYS
        } else {
            9
        };
        columns.push(Column::foreign("at", rank).cut(PLACE));
        let names = self.hotspots.names();
        let row = |it: &Hotspot<'_>| {
            let mut row = vec![name(&names, it.frame), shown(by, it)];
            if let Some(whole) = whole {
                row.push(percent(by.of(it.totals), whole));
            }
            row.extend(figures.iter().map(|(figure, _)| shown(*figure, it)));
            let wall = it
                .wall
                .map(|wall| [wall.p50, wall.p95, wall.p99, wall.max].map(time));
            let allocates = it
                .allocates
                .map(|it| [it.p50, it.p95, it.p99, it.max].map(count));
            let none = if it.frame.is_site { "" } else { NONE };
            for spread in [wall, allocates] {
                row.extend(spread.unwrap_or_else(|| [none; 4].map(str::to_owned)));
            }
            row.push(place(it.frame));
            row
        };
        Grid {
            columns,
            rows: functions.iter().map(row).collect(),
        }
    }

    /// Returns the whole of which shares are shown; `None` if the figure does not add up.
    fn whole(&self) -> Option<u64> {
        let own = self.by.own()?;
        let is_counted = self.hotspots.counts().is_some();
        let counts = matches!(own, By::SelfAllocations | By::SelfBytes);
        (is_counted || !counts).then(|| self.hotspots.whole(own))
    }
}

/// Stands for an unknown figure.
const NONE: &str = "n/a";

fn shown(by: By, it: &Hotspot<'_>) -> String {
    if it.frame.is_site && !by.is_of_sites() {
        return String::new();
    }
    let is_known = match by {
        By::Allocations | By::Bytes => it.totals.total.is_some(),
        By::SelfAllocations | By::SelfBytes => it.totals.self_counts.is_some(),
        By::Peak => it.totals.peak_bytes.is_some(),
        By::NetBytes => match it.totals.net_bytes {
            Some(net) if net < 0 => return format!("-{}", by.shown(net.unsigned_abs())),
            net => net.is_some(),
        },
        _ => true,
    };
    if is_known {
        by.shown(by.of(it.totals))
    } else {
        NONE.to_owned()
    }
}

/// Returns the function's name, on one line; a site is marked.
pub(super) fn name(names: &Names<'_>, frame: Frame<'_>) -> String {
    let mark = if frame.is_site { "▸ " } else { "" };
    let name = names.get(frame.module, frame.name);
    format!("{mark}{}", Escaped(&name))
}

/// Returns the function's place in the code, on one line; nothing if it is not known.
pub(super) fn place(frame: Frame<'_>) -> String {
    if frame.is_site && frame.line == 0 {
        return Escaped(frame.file).to_string();
    }
    format!("{}:{}", Escaped(frame.file), frame.line)
}

/// Returns the number of reports and their totals.
struct Summary<'a>(&'a Hotspots);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(hotspots) = self;
        let calls = hotspots.paths.iter().map(|path| path.totals.calls);
        let calls = calls.fold(0, u64::saturating_add);
        let reports = plural(hotspots.reports(), "report");
        write!(f, "{reports}, {}", plural(calls, "call"))?;
        let (Some(counts), Some(outside)) = (hotspots.counts(), hotspots.outside_calls()) else {
            return f.write_str(", allocations not counted");
        };
        let (all, beyond) = (counts.allocates(), outside.allocates());
        let allocations = plural(all, "allocation");
        write!(f, ", {allocations} ({})", bytes(counts.bytes_allocated))?;
        if beyond > 0 {
            let share = percent(beyond, all);
            write!(f, ", of which outside calls {} ({share})", count(beyond))?;
        }
        Ok(())
    }
}

/// Displays the [table](Hotspots::table) with default settings.
impl fmt::Display for Hotspots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}
