//! Changes between two sets of reports, as a table.

use std::fmt;

use super::By;
use super::diff::{Change, Diff};
use super::grid::{ALWAYS, Column, Cut, Grid};
use super::table::{NAME, PLACE, place};
use crate::report::names::Names;
use crate::report::units::{count, plural};

/// Table of changes for people; made by [`Diff::table`].
#[derive(Clone, Debug)]
#[must_use = "a table is shown by formatting it"]
pub struct Changes<'a> {
    diff: Diff<'a>,
    by: By,
    top: usize,
    width: usize,
    is_markdown: bool,
}

impl<'a> Diff<'a> {
    /// Returns a table of the functions and paths of which a figure has changed, the largest change
    /// first. By default the figure is allocations, with 20 functions and 20 paths in lines of 120
    /// characters.
    pub fn table(&self) -> Changes<'a> {
        Changes {
            diff: *self,
            by: By::Allocations,
            top: 20,
            width: 120,
            is_markdown: false,
        }
    }
}

impl Changes<'_> {
    /// Sets the figure; [`By::Allocations`] by default.
    pub fn by(self, by: By) -> Self {
        Self { by, ..self }
    }

    /// Sets how many functions and how many paths there are at most; 20 by default.
    pub fn top(self, top: usize) -> Self {
        Self { top, ..self }
    }

    /// Sets the width of a line in characters; 120 by default. Less important columns are left out to
    /// keep to it.
    pub fn width(self, width: usize) -> Self {
        Self { width, ..self }
    }

    /// Renders as tables of [GitHub's Markdown](https://github.github.com/gfm/). The width only decides
    /// which columns there are; no name is cut.
    pub fn markdown(self) -> Self {
        Self {
            is_markdown: true,
            ..self
        }
    }
}

impl fmt::Display for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.diff.sides();
        let reports = plural(before.reports(), "report");
        write!(f, "{reports} before, {} after", count(after.reports()))?;
        if self.diff.is_per_report() {
            f.write_str("; figures are per report")?;
        }
        f.write_str("\n\n")?;
        let names = self.diff.names();
        self.section(f, "function", NAME, &names, self.diff.functions(self.by))?;
        let paths = self.diff.paths(self.by);
        // A path of one function repeats the function, unless there are other paths to it.
        if paths
            .iter()
            .any(|it| it.frames.len() > 1 && self.has_changed(it))
        {
            f.write_str("\n")?;
            self.section(f, "path", PATH, &names, paths)?;
        }
        Ok(())
    }
}

/// Characters of a path that are always shown.
const PATH: Cut = Cut::Start(48);

/// Figures shown beside the chosen one, with the rank of their columns.
const FIGURES: [(By, u8); 9] = [
    (By::Calls, 8),
    (By::Failures, 3),
    (By::Cancelled, 2),
    (By::Allocations, 7),
    (By::Bytes, 7),
    (By::NetBytes, 3),
    (By::Peak, 4),
    (By::Time, 6),
    (By::SelfTime, 2),
];

impl Changes<'_> {
    fn has_changed(&self, change: &Change<'_>) -> bool {
        self.diff.growth(self.by, change) != 0 || change.state() != ""
    }

    fn section(
        &self,
        f: &mut fmt::Formatter<'_>,
        what: &str,
        cut: Cut,
        names: &Names<'_>,
        mut changes: Vec<Change<'_>>,
    ) -> fmt::Result {
        let all = changes.len();
        changes.retain(|change| self.has_changed(change));
        let same = all - changes.len();
        // Growth before an equal decrease.
        changes.sort_by_key(|it| std::cmp::Reverse(self.diff.growth(self.by, it).unsigned_abs()));
        let hidden = changes.len().saturating_sub(self.top);
        changes.truncate(self.top);
        if !changes.is_empty() {
            let grid = self.grid(what, cut, names, &changes);
            if self.is_markdown {
                grid.write_markdown(self.width, f)?;
            } else {
                grid.write(self.width, f)?;
            }
            if hidden > 0 || same > 0 {
                writeln!(f)?;
            }
        }
        if hidden > 0 {
            writeln!(
                f,
                "{} that changed",
                plural(hidden as u64, &format!("more {what}"))
            )?;
        }
        if same > 0 {
            let by = self.by;
            writeln!(
                f,
                "{} with the same {by} as before",
                plural(same as u64, what)
            )?;
        }
        Ok(())
    }

    fn grid(&self, what: &str, cut: Cut, names: &Names<'_>, changes: &[Change<'_>]) -> Grid {
        let by = self.by;
        let mut columns = vec![
            Column::foreign(what, ALWAYS).cut(cut),
            Column::number(format!("{by} ▼"), ALWAYS),
            Column::number("growth", 9),
            Column::number("before", 10),
            Column::number("after", 10),
        ];
        let figures = FIGURES.into_iter().filter(|(figure, _)| {
            *figure != by && changes.iter().any(|it| self.diff.growth(*figure, it) != 0)
        });
        let figures: Vec<(By, u8)> = figures.collect();
        columns.extend(
            figures
                .iter()
                .map(|(by, rank)| Column::number(by.name(), *rank)),
        );
        let has_states = changes.iter().any(|it| it.state() != "");
        if has_states {
            columns.push(Column::word("", 11));
        }
        columns.push(Column::foreign("at", 5).cut(PLACE));
        let row = |change: &Change<'_>| {
            let mut row = vec![
                change.path(names),
                self.diff.shown_growth(by, change),
                self.diff.shown_share(by, change),
                self.diff.shown_side(by, change, 0),
                self.diff.shown_side(by, change, 1),
            ];
            let others = figures.iter();
            row.extend(others.map(|(by, _)| self.diff.shown_growth(*by, change)));
            if has_states {
                row.push(change.state().to_owned());
            }
            row.push(place(change.frame()));
            row
        };
        Grid {
            columns,
            rows: changes.iter().map(row).collect(),
        }
    }
}

/// Displays the [table](Diff::table) with default settings.
impl fmt::Display for Diff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}
