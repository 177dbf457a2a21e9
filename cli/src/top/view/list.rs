//! A list: figures on the left, the text behind them.

use std::fmt::Write as _;

use ratatui::layout::Rect;
use ratatui::text::Line;

use super::style::Colours;
use super::{Now, width};
use crate::top::rows::Row;
use crate::top::state::{List, State};
use crate::top::text::{Look, cut};

const GAP: usize = 2;

/// What the heading and the lines are made of.
pub(super) struct Table {
    rows: Vec<Row>,
    /// Of the columns of figures; `None` for those for which there is no room.
    widths: Vec<Option<usize>>,
}

impl Table {
    pub(super) fn new(state: &State, now: Now, of: usize) -> Self {
        let rows = state.rows(now.unix_ns);
        let widths = widths(state, &rows, of);
        Self { rows, widths }
    }
}

fn widths(state: &State, rows: &[Row], of: usize) -> Vec<Option<usize>> {
    let (columns, order) = (state.columns(), state.list_state().order);
    let figures = columns.figures.iter().enumerate();
    let mut widths: Vec<_> = figures
        .map(|(place, column)| {
            let shown = rows.iter().map(|row| width(&row.figures[place].shown));
            // With the mark of the order.
            let mark = usize::from(place == order.column);
            let heading = column.heading.len() + mark;
            Some(shown.max().unwrap_or(0).max(heading))
        })
        .collect();
    let for_text = columns.least_text.min(of / 2);
    loop {
        let taken: usize = widths.iter().flatten().map(|width| width + GAP).sum();
        let shown = columns.figures.iter().zip(&widths);
        let shown = shown.enumerate().filter(|(_, (_, width))| width.is_some());
        let last = shown.max_by_key(|(_, (column, _))| column.rank);
        match last {
            Some((place, _)) if taken + for_text > of => widths[place] = None,
            _ => return widths,
        }
    }
}

pub(super) fn heading(state: &State, table: &Table, of: usize, colours: Colours) -> Line<'static> {
    let columns = state.columns();
    let order = state.list_state().order;
    let mark = if order.is_descending { "▼" } else { "▲" };
    let mut line = String::new();
    let marked = |place: usize, heading: &str| {
        let mark = if place == order.column { mark } else { "" };
        format!("{heading}{mark}")
    };
    for (place, (column, width)) in columns.figures.iter().zip(&table.widths).enumerate() {
        if let Some(width) = width {
            let _ = write!(line, "{:>width$}  ", marked(place, column.heading));
        }
    }
    line += &marked(columns.figures.len(), columns.text);
    let line = format!("{:<of$}", cut(&line, 0, of));
    Line::styled(line, colours.heading())
}

pub(super) fn lines(
    state: &State,
    table: &Table,
    place: Rect,
    colours: Colours,
) -> Vec<Line<'static>> {
    let Table { rows, widths } = table;
    let (of, height) = (usize::from(place.width), usize::from(place.height));
    if rows.is_empty() {
        let why = cut(nothing(state), 0, of);
        return vec![Line::styled(why, colours.of(Look::Faint))];
    }
    let selected = state.list_state().selected(rows);
    // The selected row is in the middle, unless the list begins or ends there.
    let most = rows.len().saturating_sub(height);
    let top = selected.saturating_sub(height / 2).min(most);
    let shown = rows.iter().enumerate().skip(top).take(height);
    shown
        .map(|(number, row)| {
            let line = line(row, widths, of);
            if number == selected {
                let pad = of.saturating_sub(width(&line));
                let line = line + &" ".repeat(pad);
                return Line::styled(line, colours.selected());
            }
            Line::styled(line, colours.of(row.look))
        })
        .collect()
}

fn line(row: &Row, widths: &[Option<usize>], of: usize) -> String {
    let mut line = String::new();
    for (figure, width) in row.figures.iter().zip(widths) {
        if let Some(width) = width {
            let _ = write!(line, "{:>width$}  ", figure.shown);
        }
    }
    line += &row.text;
    cut(&line, 0, of)
}

/// Says why a list is empty.
fn nothing(state: &State) -> &'static str {
    let is_filtered = !state.list_state().filter.is_empty();
    match state.list() {
        _ if state.overview.data.is_none() => "",
        _ if is_filtered => "No line has this text.",
        List::Routes => "No request has ended yet.",
        List::InFlight if state.in_flight.data.is_none() => "",
        List::OfRoute if state.of_route.data.is_none() => "",
        List::InFlight => "No request is in flight.",
        List::Failures => "No failure is kept.",
        List::Kept | List::OfRoute => "No request is kept.",
    }
}
