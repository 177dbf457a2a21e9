//! Columns of figures, for a terminal and for Markdown.

use std::cmp::Reverse;
use std::fmt;

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

/// Rows of cells; which columns there are depends on the width.
pub(super) struct Grid {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<String>>,
}

/// What stands in a column.
pub(super) struct Column {
    pub(super) title: String,
    pub(super) is_number: bool,
    /// Where there is no room for all columns, those of higher rank have it.
    pub(super) rank: u8,
}

/// Columns of this rank are always there.
pub(super) const ALWAYS: u8 = u8::MAX;

impl Column {
    pub(super) fn text(title: &str, rank: u8) -> Self {
        Self {
            title: title.to_owned(),
            is_number: false,
            rank,
        }
    }

    pub(super) fn number(title: impl Into<String>, rank: u8) -> Self {
        Self {
            title: title.into(),
            is_number: true,
            rank,
        }
    }
}

/// Between columns.
const GAP: u16 = 2;

const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

impl Grid {
    /// A line for each row, no longer than `width` if that can be.
    pub(super) fn write(&self, width: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let widths = self.table(&all).column_max_content_widths();
        // Those of the highest rank first; of two of the same, the earlier one.
        let mut by_rank = all;
        by_rank.sort_by_key(|column| Reverse(self.columns[*column].rank));
        let mut room = width + usize::from(GAP);
        by_rank.retain(|column| {
            let needed = usize::from(widths[*column] + GAP);
            let is_shown = self.columns[*column].rank == ALWAYS || needed <= room;
            if is_shown {
                room = room.saturating_sub(needed);
            }
            is_shown
        });
        let mut shown = by_rank;
        shown.sort_unstable();
        let table = self.table(&shown);
        for line in table.lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn table(&self, shown: &[usize]) -> Table {
        let mut table = Table::new();
        table.load_style(STYLE);
        table.set_content_arrangement(ContentArrangement::Disabled);
        let cell = |column: usize, text: &str| {
            let cell = Cell::new(text);
            if self.columns[column].is_number {
                cell.set_alignment(CellAlignment::Right)
            } else {
                cell
            }
        };
        let titles = { shown.iter() }.map(|column| cell(*column, &self.columns[*column].title));
        table.set_header(titles.collect::<Vec<_>>());
        for row in &self.rows {
            let cells = shown.iter().map(|column| cell(*column, &row[*column]));
            table.add_row(cells.collect::<Vec<_>>());
        }
        // Between columns there is a space besides.
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP - 1));
        }
        if let Some(last) = shown
            .len()
            .checked_sub(1)
            .and_then(|last| table.column_mut(last))
        {
            last.set_padding((0, 0));
        }
        table
    }

    /// A table of GitHub's Markdown, with all columns.
    pub(super) fn write_markdown(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for column in &self.columns {
            write!(f, "| {} ", markdown(&column.title))?;
        }
        f.write_str("|\n")?;
        for column in &self.columns {
            f.write_str(if column.is_number { "|--:" } else { "|---" })?;
        }
        f.write_str("|\n")?;
        for row in &self.rows {
            for cell in row {
                write!(f, "| {} ", markdown(cell))?;
            }
            f.write_str("|\n")?;
        }
        Ok(())
    }
}

/// The text as it is: what could mean something gets a backslash before it, as the
/// [specification](https://github.github.com/gfm/#backslash-escapes) allows for all punctuation.
fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let means_something = match character {
            // These do so only before a link or the name of a picture.
            ':' => rest[1..].starts_with(|next: char| next == '/' || next.is_ascii_alphabetic()),
            '.' => escaped.ends_with("www"),
            '-' | '+' | '=' | ',' | '/' | '%' | ';' | '\'' | '"' | '?' => false,
            _ => character.is_ascii_punctuation(),
        };
        if means_something {
            escaped.push('\\');
        }
        escaped.push(character);
        rest = &rest[character.len_utf8()..];
    }
    escaped
}

/// At most so many characters, with `…` where some were left out in the middle.
pub(super) fn cut_middle(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let tail = most.saturating_sub(1) / 2;
    let head = most.saturating_sub(1) - tail;
    let first: String = text.chars().take(head).collect();
    let last: String = text.chars().skip(length - tail).collect();
    format!("{first}…{last}")
}

/// At most so many characters, with `…` where some were left out at the beginning.
pub(super) fn cut_start(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let last: String = text.chars().skip(length + 1 - most.max(1)).collect();
    format!("…{last}")
}
