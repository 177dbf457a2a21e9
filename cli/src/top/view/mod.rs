//! Draws the screen from the state. Nothing is changed here.

mod list;
mod popup;
mod style;
mod trace;

use std::cell::LazyCell;
use std::fmt::Write as _;
use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tracer::__command::{bytes, count};

use super::rows::per_second;
use super::state::{Input, List, State};
use super::text::{Look, ago, cut, escaped, width, wrapped};

pub(crate) use style::Colours;

/// The moment that is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) at: Instant,
    pub(crate) unix_ns: i64,
}

/// What each line of the screen is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Title,
    Totals,
    Tabs,
    Heading,
    Body,
    Status,
    Keys,
}

/// The lines around the body, those first that a low screen keeps.
const AROUND: [Part; 6] = [
    Part::Status,
    Part::Tabs,
    Part::Heading,
    Part::Keys,
    Part::Totals,
    Part::Title,
];
/// From top to bottom.
const TOP_DOWN: [Part; 7] = [
    Part::Title,
    Part::Totals,
    Part::Tabs,
    Part::Heading,
    Part::Body,
    Part::Status,
    Part::Keys,
];

/// The most lines of a message, and the lines of a screen that has room for them.
const MOST_STATUS: usize = 3;
const ROOMY: u16 = 12;
/// The lines of a screen that has all of its parts.
const FULL: u16 = 8;

/// Returns the parts of the screen and their places.
fn places(state: &State, now: Now, area: Rect) -> Vec<(Part, Rect)> {
    let status = status(state, now).map_or(0, |(text, _)| width(&text));
    let has_status = status > 0;
    // A long message has up to three lines, on a screen that has enough of them.
    let most = if area.height < ROOMY { 1 } else { MOST_STATUS };
    let of_status = status.div_ceil(area.width.max(1).into()).clamp(1, most);
    let of_status = u16::try_from(of_status).unwrap_or(1);
    let is_there = |part: &Part| match part {
        Part::Status => has_status,
        Part::Heading => state.trace.is_none(),
        Part::Totals | Part::Title => area.height >= FULL,
        _ => true,
    };
    // The body has two lines, if possible, and all that are left.
    let around = usize::from(area.height.saturating_sub(1));
    let around = if around > 1 { around - 1 } else { around };
    let shown: Vec<_> = AROUND.into_iter().filter(is_there).take(around).collect();
    let height = |part: Part| match part {
        Part::Status => of_status,
        _ => 1,
    };
    let taken: u16 = shown.iter().map(|part| height(*part)).sum();
    let body = area.height.saturating_sub(taken);
    let mut y = area.y;
    let parts = TOP_DOWN.into_iter();
    let parts = parts.filter(|part| *part == Part::Body || shown.contains(part));
    parts
        .map(|part| {
            let height = if part == Part::Body {
                body
            } else {
                height(part)
            };
            let place = Rect { y, height, ..area };
            y += height;
            (part, place)
        })
        .collect()
}

/// Returns the number of lines of the body.
pub(crate) fn page(state: &State, now: Now, area: Rect) -> usize {
    let places = places(state, now, area);
    let body = places.iter().find(|(part, _)| *part == Part::Body);
    body.map_or(0, |(_, place)| place.height.into())
}

pub(crate) fn draw(frame: &mut Frame<'_>, state: &State, now: Now, colours: Colours) {
    let area = frame.area();
    let columns = usize::from(area.width);
    // Not needed for a trace.
    let table = LazyCell::new(|| list::Table::new(state, now, columns));
    for (part, place) in places(state, now, area) {
        let lines = match part {
            Part::Title => vec![title(state, columns).into()],
            Part::Totals => vec![totals(state).into()],
            Part::Tabs => vec![tabs(state, columns)],
            Part::Heading => vec![list::heading(state, &table, columns, colours)],
            Part::Body => match &state.trace {
                Some(trace) => trace::lines(trace, place, colours),
                None => list::lines(state, &table, place, colours),
            },
            Part::Status => {
                let (text, style) = status(state, now).unwrap_or_default();
                wrapped(&text, columns, place.height.into())
                    .map(|line| Line::styled(line, colours.of(style)))
                    .collect()
            }
            Part::Keys => vec![keys(state, columns, colours)],
        };
        frame.render_widget(ratatui::text::Text::from(lines), place);
    }
    popup::draw(frame, state, colours);
}

fn title(state: &State, columns: usize) -> String {
    let what = "tracer top ";
    cut(&format!("{what} {}", escaped(&state.source)), 0, columns)
}

fn totals(state: &State) -> String {
    let Some(overview) = &state.overview.data else {
        return String::new();
    };
    let totals = overview.totals;
    if !state.is_live {
        let failed = overview.routes.iter().map(|it| it.failed).sum();
        return format!(
            "{} kept requests, {} failed · sums over this file, not over all requests",
            count(totals.ended),
            count(failed)
        );
    }
    let mut shown = format!("{} requests", count(totals.ended));
    if !state.rates.is_empty() {
        let rate = state.rates.values().sum();
        let _ = write!(shown, " · {}/s", per_second(rate));
    }
    let _ = write!(
        shown,
        " · {} in flight · {} kept ({} in memory)",
        count(totals.in_flight),
        count(totals.kept),
        bytes(totals.in_memory_bytes)
    );
    if totals.dropped > 0 {
        let _ = write!(shown, " · {} dropped", count(totals.dropped));
    }
    if !overview.is_counted {
        shown += " · allocations are not counted";
    }
    shown
}

fn name(list: List) -> &'static str {
    match list {
        List::Routes => "Routes",
        List::InFlight => "In flight",
        List::Kept => "Kept",
        List::Failures => "Failures",
        List::OfRoute => "Route",
    }
}

fn tabs(state: &State, columns: usize) -> Line<'static> {
    let is_open = |list: List| list == state.tab;
    let path = path(state);
    let mut spans = Vec::new();
    let names: usize = { state.tabs().iter() }.map(|it| name(*it).len() + 3).sum();
    // A narrow screen names the list that is shown only.
    let shown = state.tabs().iter().copied().enumerate();
    for (place, list) in shown.filter(|(_, list)| is_open(*list) || names <= columns) {
        let text = format!(" {} {} ", place + 1, name(list));
        let text = cut(&text, 0, columns);
        let style = if is_open(list) {
            style::tab()
        } else {
            Style::new()
        };
        spans.push(Span::styled(text, style));
    }
    let taken: usize = spans.iter().map(Span::width).sum();
    if !path.is_empty() {
        spans.push(Span::raw(cut(&path, 0, columns.saturating_sub(taken))));
    }
    Line::from(spans)
}

/// Returns what is open, from the list on.
fn path(state: &State) -> String {
    let mut path = String::new();
    if let Some(route) = &state.route {
        let _ = write!(path, " › {}", escaped(route));
    }
    if let Some(trace) = &state.trace {
        let _ = write!(path, " › trace {}", trace.key.trace);
    }
    path
}

/// Returns the line above the keys: what is typed, what is wrong, or what has to be known.
fn status(state: &State, now: Now) -> Option<(String, Look)> {
    if let Some(input) = &state.input {
        let text = match input {
            Input::Search(text) => format!("Search: {}_", escaped(text)),
            Input::Filter(text) => format!("Filter: {}_", escaped(text)),
        };
        return Some((text, Look::Typed));
    }
    let age = |at: Instant| ago(now.at.saturating_duration_since(at).as_secs());
    if let Some((problem, at)) = state.trouble() {
        let age = at.map_or_else(String::new, |at| format!("{} old: ", age(at)));
        return Some((format!("! {age}{problem}"), Look::Bad));
    }
    if let Some(at) = state.late_since(now.at) {
        let text = format!("! {} old: expected an answer by now", age(at));
        return Some((text, Look::Bad));
    }
    let filter = &state.list_state().filter;
    if !filter.is_empty() && state.trace.is_none() {
        let text = format!("Only lines with {} (Esc: all)", escaped(filter));
        return Some((text, Look::Typed));
    }
    if state.is_waiting() {
        return Some(("Waiting for the answer…".to_owned(), Look::Faint));
    }
    if state.trace.is_some() {
        return None;
    }
    let note = state.overview.data.as_ref()?.note.as_ref()?;
    Some((format!("! {note}"), Look::Bad))
}

fn keys(state: &State, columns: usize, colours: Colours) -> Line<'static> {
    let keys: &[(&str, &str)] = if state.input.is_some() {
        &[("Enter", "Done"), ("Esc", "Cancel"), ("F3", "Next")]
    } else if let Some(trace) = &state.trace {
        let fold = match (trace.is_foldable, trace.is_unfolded) {
            (false, _) => None,
            (true, false) => Some(("+", "Unfold")),
            (true, true) => Some(("-", "Fold")),
        };
        let keys = [("Esc", "Back"), ("F10", "Quit"), ("F1", "Help")];
        let others = [("F3", "Search"), ("←→", "Sideways")];
        &keys
            .into_iter()
            .chain(fold)
            .chain(others)
            .collect::<Vec<_>>()
    } else {
        &[
            ("F1", "Help"),
            ("F10", "Quit"),
            ("Enter", "Open"),
            ("Esc", "Back"),
            ("Tab", "Next"),
            ("F3", "Search"),
            ("F4", "Filter"),
            ("F6", "Sort"),
            ("I", "Invert"),
        ]
    };
    let mut spans = Vec::new();
    let mut taken = 0;
    for (key, what) in keys {
        taken += width(key) + width(what) + 1;
        if taken > columns {
            break;
        }
        spans.push(Span::raw(*key));
        spans.push(Span::styled(format!("{what} "), colours.key()));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests;
