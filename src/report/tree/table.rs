//! The lines of a tree with their figures in columns, as one text.

use std::time::Duration;

use alloc_counter::Counts;

use crate::report::text::Beside;
use crate::report::units::{push_count, push_time};

use super::{COLUMNS, HEADINGS, PLAIN};

/// One figure of a line.
#[derive(Clone, Copy)]
pub(super) enum Figure<'a> {
    Blank,
    Unknown,
    Time(Duration),
    Count(u64),
    Signed(i64),
    Text(&'a str),
}

impl Figure<'_> {
    /// Returns a figure of counts, which may not be known.
    pub(super) fn of(counts: Option<&Counts>, figure: fn(&Counts) -> u64) -> Self {
        counts.map_or(Self::Unknown, |counts| Self::Count(figure(counts)))
    }

    pub(super) fn push_to(self, text: &mut String) {
        match self {
            Self::Blank => {}
            Self::Unknown => text.push_str("n/a"),
            Self::Time(time) => push_time(time, text),
            Self::Count(number) => push_count(number, text),
            Self::Signed(number) => {
                text.push_str(if number < 0 { "-" } else { "" });
                push_count(number.unsigned_abs(), text);
            }
            Self::Text(shown) => text.push_str(shown),
        }
    }
}

/// All lines.
#[derive(Default)]
pub(super) struct Table {
    /// Of each line, its figures and then the text behind them.
    text: String,
    rows: Vec<Row>,
    widths: [usize; COLUMNS],
    /// Which marks of comparisons are in the lines.
    pub(super) marks: Marks,
}

/// Where a line is in the text.
struct Row {
    start: usize,
    cells: [Cell; COLUMNS],
    colour: Option<&'static str>,
}

/// The length of a figure in bytes, and its width in characters.
#[derive(Clone, Copy, Default)]
struct Cell {
    bytes: u16,
    width: u16,
}

/// About the bytes of a line.
const LINE: usize = 64;
/// The bytes of a line's colours and its end.
const COLOURS: usize = 10;

impl Table {
    pub(super) fn with_capacity(lines: usize) -> Self {
        Self {
            text: String::with_capacity(LINE * lines),
            rows: Vec::with_capacity(lines),
            ..Self::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the widths of the columns.
    pub(super) fn widths(&self) -> [usize; COLUMNS] {
        self.widths
    }

    /// Begins a line with its figures. Returns the text to which the rest of the line is appended.
    pub(super) fn begin(
        &mut self,
        figures: &[Figure<'_>; COLUMNS],
        colour: Option<&'static str>,
    ) -> &mut String {
        let Self { text, widths, .. } = self;
        let start = text.len();
        let mut cells = [Cell::default(); COLUMNS];
        for ((figure, cell), widest) in figures.iter().zip(&mut cells).zip(widths) {
            let start = text.len();
            figure.push_to(text);
            *cell = Cell::of(*figure, &text[start..]);
            *widest = (*widest).max(cell.width.into());
        }
        self.rows.push(Row {
            start,
            cells,
            colour,
        });
        text
    }

    /// Returns the most bytes of the lines and their headings.
    pub(super) fn most_bytes(&self, widths: &[Option<usize>; COLUMNS]) -> usize {
        let figures: usize = widths.iter().flatten().map(|width| width + GAP).sum();
        self.text.len() + (self.rows.len() + 1) * (figures + COLOURS)
    }

    /// Appends the lines below their headings. Columns without a width are left out.
    pub(super) fn push_to(
        &self,
        widths: &[Option<usize>; COLUMNS],
        is_coloured: bool,
        out: &mut String,
    ) {
        let headings = HEADINGS.iter().map(|heading| (*heading, heading.len()));
        push_figures(headings, widths, out);
        out.push_str("call\n");
        let ends = self.rows.iter().skip(1).map(|row| row.start);
        for (row, end) in self.rows.iter().zip(ends.chain([self.text.len()])) {
            let colour = row.colour.filter(|_| is_coloured);
            out.push_str(colour.unwrap_or_default());
            let mut text = &self.text[row.start..end];
            let figures = row.cells.iter().map(|cell| {
                let (figure, rest) = text.split_at(cell.bytes.into());
                text = rest;
                (figure, cell.width.into())
            });
            push_figures(figures, widths, out);
            out.push_str(text);
            out.push_str(if colour.is_some() { PLAIN } else { "" });
            out.push('\n');
        }
    }
}

impl Cell {
    fn of(figure: Figure<'_>, text: &str) -> Self {
        let width = match figure {
            Figure::Time(_) => text.len() - usize::from(text.ends_with("µs")),
            Figure::Text(_) => text.chars().count(),
            // ASCII.
            Figure::Blank | Figure::Unknown | Figure::Count(_) | Figure::Signed(_) => text.len(),
        };
        // Figures are short.
        let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        Self {
            bytes: short(text.len()),
            width: short(width),
        }
    }
}

/// Appends figures, each with its width, to the right in their columns.
fn push_figures<'a>(
    figures: impl Iterator<Item = (&'a str, usize)>,
    widths: &[Option<usize>; COLUMNS],
    line: &mut String,
) {
    let mut gap = 0;
    for ((figure, width), column) in figures.zip(widths) {
        if let Some(column) = column {
            push_spaces(gap + column.saturating_sub(width), line);
            line.push_str(figure);
            gap = GAP;
        }
    }
    push_spaces(gap, line);
}

/// The spaces behind each column.
pub(super) const GAP: usize = 2;

const SPACES: &str = "                                ";

fn push_spaces(mut count: usize, line: &mut String) {
    while count > SPACES.len() {
        line.push_str(SPACES);
        count -= SPACES.len();
    }
    line.push_str(&SPACES[..count]);
}

/// The marks of comparisons in a tree, each of which is explained below it.
#[derive(Default)]
pub(super) struct Marks {
    stands_out: bool,
    is_of_others_too: bool,
    says_n_plus_one: bool,
}

impl Marks {
    pub(super) fn add(&mut self, beside: &Beside<'_>) {
        self.stands_out |= beside.compared.stands_out();
        self.is_of_others_too |= beside.is_of_others_too();
        self.says_n_plus_one |= beside.says_n_plus_one;
    }

    /// Appends what they mean.
    pub(super) fn push_to(&self, text: &mut String) {
        if self.stands_out {
            text.push_str("\n▲: a figure above that of 95 in 100 recent requests, and at least twice the usual one");
        }
        if self.is_of_others_too {
            text.push_str("\nall: the calls of this path together, of which this is the first");
        }
        if self.says_n_plus_one {
            text.push_str(
                "\nN+1: many calls where requests usually have one to three, often a query in a loop",
            );
        }
    }
}
