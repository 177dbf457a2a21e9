//! Columns of figures, for a terminal and for Markdown.

use std::cmp::Reverse;
use std::fmt::{self, Write as _};

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

/// Rows of uncut texts; the width decides which columns are shown and where texts are cut.
pub(super) struct Grid {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<String>>,
}

/// A column.
pub(super) struct Column {
    pub(super) title: String,
    pub(super) is_number: bool,
    /// The texts come from outside the program.
    pub(super) is_foreign: bool,
    /// If the width is too small for all columns, those of the lowest rank are left out.
    pub(super) rank: u8,
    /// Texts are cut to this before another column is left out.
    cut: Option<Cut>,
}

/// How a text is cut.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    /// To at most this many characters, with `…` for the middle.
    Middle(usize),
    /// To at most this many characters, with `…` for the beginning.
    Start(usize),
}

impl Cut {
    fn most(&mut self) -> &mut usize {
        let (Self::Middle(most) | Self::Start(most)) = self;
        most
    }

    fn of(self, text: &str) -> String {
        match self {
            Self::Middle(most) => cut_middle(text, most),
            Self::Start(most) => cut_start(text, most),
        }
    }
}

/// Columns of this rank are always shown.
pub(super) const ALWAYS: u8 = u8::MAX;

impl Column {
    pub(super) fn foreign(title: &str, rank: u8) -> Self {
        Self {
            title: title.to_owned(),
            is_number: false,
            is_foreign: true,
            rank,
            cut: None,
        }
    }

    /// Cuts the column's texts; less if the line has room.
    pub(super) fn cut(self, cut: Cut) -> Self {
        Self {
            cut: Some(cut),
            ..self
        }
    }

    pub(super) fn word(title: &str, rank: u8) -> Self {
        Self {
            is_foreign: false,
            ..Self::foreign(title, rank)
        }
    }

    pub(super) fn number(title: impl Into<String>, rank: u8) -> Self {
        Self {
            title: title.into(),
            is_number: true,
            is_foreign: false,
            rank,
            cut: None,
        }
    }
}

/// Separates columns.
const GAP: u16 = 2;

const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

impl Grid {
    /// Renders a line for each row, of at most `width` characters if possible.
    pub(super) fn write(&self, width: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cuts = self.cuts();
        let shown = self.fitting(width, &cuts);
        let cuts = self.grown(&shown, width, cuts);
        for line in self.table(&shown, &cuts).lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn cuts(&self) -> Vec<Option<Cut>> {
        self.columns.iter().map(|column| column.cut).collect()
    }

    /// Returns the columns for which there is room.
    fn fitting(&self, width: usize, cuts: &[Option<Cut>]) -> Vec<usize> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let widths = self.table(&all, cuts).column_max_content_widths();
        // The highest rank first; of equal ranks, the earlier column.
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
        by_rank.sort_unstable();
        by_rank
    }

    /// Gives the rest of a line to the columns whose texts are cut, from the first on.
    fn grown(&self, shown: &[usize], width: usize, mut cuts: Vec<Option<Cut>>) -> Vec<Option<Cut>> {
        let table = self.table(shown, &cuts);
        let longest = table.lines().map(|line| line.chars().count()).max();
        let mut room = width.saturating_sub(longest.unwrap_or(0));
        for column in shown {
            let Some(cut) = &mut cuts[*column] else {
                continue;
            };
            let lengths = self.rows.iter().map(|row| row[*column].chars().count());
            let missing = lengths.max().unwrap_or(0).saturating_sub(*cut.most());
            let more = missing.min(room);
            *cut.most() += more;
            room -= more;
        }
        cuts
    }

    fn table(&self, shown: &[usize], cuts: &[Option<Cut>]) -> Table {
        let mut table = Table::new();
        table.load_style(STYLE);
        table.set_content_arrangement(ContentArrangement::Disabled);
        let cell = |column: usize, text: &str| {
            let cell = match cuts[column] {
                Some(cut) => Cell::new(cut.of(text)),
                None => Cell::new(text),
            };
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
        // Columns are separated by a space as well.
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

    /// Renders a table of GitHub's Markdown, with the columns that a terminal of this width shows. No
    /// text is cut.
    pub(super) fn write_markdown(&self, width: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.fitting(width, &self.cuts());
        for column in &columns {
            write!(f, "| {} ", self.columns[*column].title)?;
        }
        f.write_str("|\n")?;
        for column in &columns {
            let is_number = self.columns[*column].is_number;
            f.write_str(if is_number { "|--:" } else { "|---" })?;
        }
        f.write_str("|\n")?;
        for row in &self.rows {
            for column in &columns {
                if self.columns[*column].is_foreign {
                    write!(f, "| {} ", code(&row[*column]))?;
                } else {
                    write!(f, "| {} ", row[*column])?;
                }
            }
            f.write_str("|\n")?;
        }
        Ok(())
    }
}

/// Renders a text from outside as code, in which GitHub replaces neither mentions (`@someone`) nor
/// issue numbers.
///
/// Backticks can't hold every text (a backtick, a pipe): such a text is written in the HTML element
/// `code`, with special characters as references.
fn code(text: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || ":./-…".contains(it);
    let is_within = |it: char| is_plain(it) || "_ >".contains(it);
    if !text.is_empty() && text.trim() == text && text.chars().all(is_within) {
        return format!("`{text}`");
    }
    let mut code = String::from("<code>");
    for character in text.chars() {
        if character.is_ascii_punctuation() && !is_plain(character) {
            // Writing to a string can't fail.
            let _ = write!(code, "&#{};", u32::from(character));
        } else {
            code.push(character);
        }
    }
    code + "</code>"
}

/// Cuts a text to at most this many characters, with `…` for the middle.
fn cut_middle(text: &str, most: usize) -> String {
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

/// Cuts a text to at most this many characters, with `…` for the beginning.
fn cut_start(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let last: String = text.chars().skip(length + 1 - most.max(1)).collect();
    format!("…{last}")
}
