//! The lists as rows of figures with a text, sorted and filtered.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

use tracer::__command::{bytes, count, time};
use tracer::{CallReport, Outcome};

use super::model::{Kept, Key, Route, Running};
use super::text::{Look, ago, escaped};

/// A column of figures. Columns with a lower rank stay longer when the screen is narrow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) heading: &'static str,
    pub(crate) rank: usize,
}

const fn column(heading: &'static str, rank: usize) -> Column {
    Column { heading, rank }
}

/// The heading of the text, which comes after the figures. It may be sorted by, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    pub(crate) figures: &'static [Column],
    pub(crate) text: &'static str,
    /// Columns that the text has at least, if there are twice as many.
    pub(crate) least_text: usize,
}

impl Columns {
    /// Returns the headings of all columns by which rows are sorted.
    pub(crate) fn headings(self) -> impl Iterator<Item = &'static str> {
        self.figures.iter().map(|it| it.heading).chain([self.text])
    }
}

pub(crate) const ROUTES: Columns = Columns {
    figures: &[
        column("REQUESTS", 2),
        column("REQ/S", 5),
        column("FAILED", 1),
        column("P50", 4),
        column("P99", 0),
        column("ALLOCS", 3),
        column("IN FLIGHT", 6),
        column("KEPT", 7),
    ],
    text: "ROUTE",
    least_text: 24,
};

/// Of a file, whose requests are all kept.
pub(crate) const ROUTES_OF_FILE: Columns = Columns {
    figures: &[
        column("KEPT", 2),
        column("FAILED", 1),
        column("P50", 4),
        column("P99", 0),
        column("ALLOCS", 3),
    ],
    text: "ROUTE",
    least_text: 24,
};

pub(crate) const IN_FLIGHT: Columns = Columns {
    figures: &[column("AGE", 0), column("ALLOCS", 1), column("BYTES", 2)],
    text: "REQUEST › WHERE IT IS",
    least_text: 40,
};

pub(crate) const KEPT: Columns = Columns {
    figures: &[
        column("AGO", 1),
        column("UTC", 4),
        column("TIME", 0),
        column("ALLOCS", 2),
        column("BYTES", 3),
    ],
    text: "REQUEST",
    least_text: 40,
};

/// What a row stands for. The selection stays with it, wherever it moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Route(String),
    Kept(Key),
    Running(Key),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) shown: String,
    /// Unknown figures are the smallest.
    value: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) target: Target,
    pub(crate) figures: Vec<Figure>,
    /// Without characters that move the cursor.
    pub(crate) text: String,
    pub(crate) look: Look,
}

/// By which column rows are sorted; the last one is the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) column: usize,
    pub(crate) is_descending: bool,
}

/// Leaves the rows with this text, in either case of letters, and sorts them.
pub(crate) fn arrange(rows: &mut Vec<Row>, order: Order, filter: &str) {
    if !filter.is_empty() {
        rows.retain(|row| contains(&row.text, filter));
    }
    rows.sort_by(|one, other| {
        let figure = |row: &Row| row.figures.get(order.column).map(|it| it.value);
        let by_figure = figure(one).cmp(&figure(other));
        let is_by_text = order.column >= one.figures.len();
        let by_text = one.text.cmp(&other.text);
        let by = if is_by_text { by_text } else { by_figure };
        let by = if order.is_descending {
            by.reverse()
        } else {
            by
        };
        match by {
            Ordering::Equal => by_text,
            by => by,
        }
    });
}

/// Returns whether a text contains another one, in either case of letters.
pub(crate) fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// `rates`: requests in ten seconds, by name.
pub(crate) fn of_route(it: &Route, rates: &HashMap<String, u64>, is_live: bool) -> Row {
    let p50 = duration(it.p50);
    let (p99, allocates) = (duration(it.p99), number(it.allocates));
    let (failed, kept) = (number(Some(it.failed)), number(Some(it.kept)));
    let figures = if is_live {
        vec![
            number(Some(it.ended)),
            rate(rates.get(&it.name).copied()),
            failed,
            p50,
            p99,
            allocates,
            number(Some(it.in_flight)),
            kept,
        ]
    } else {
        vec![kept, failed, p50, p99, allocates]
    };
    Row {
        target: Target::Route(it.name.clone()),
        figures,
        text: escaped(&it.name),
        look: if it.failed > 0 {
            Look::Bad
        } else {
            Look::Plain
        },
    }
}

pub(crate) fn of_running(it: &Running) -> Row {
    let mut text = titled(&it.route, it.id.as_deref());
    for call in &it.report.calls {
        text.push_str(" › ");
        text.push_str(&where_it_is(call));
    }
    Row {
        target: Target::Running(it.key),
        figures: vec![duration(Some(it.age)), number(it.allocates), size(it.bytes)],
        text,
        look: Look::Plain,
    }
}

fn where_it_is(call: &CallReport) -> String {
    let mut place = escaped(&call.name);
    if let Some(last) = call.checkpoints.last() {
        place.push_str(" · ");
        place.push_str(&escaped(&last.name));
    }
    place
}

pub(crate) fn of_kept(it: &Kept, now_unix_ns: i64) -> Row {
    let mut text = titled(&it.route, it.id.as_deref());
    if let Some(ending) = ending(&it.outcome) {
        text.push_str(" · ");
        text.push_str(&ending);
    }
    // Why it was kept, unless its end says so.
    let mut reasons = it.reasons.iter().filter(|_| !it.is_failure()).peekable();
    if reasons.peek().is_some() {
        let reasons: Vec<_> = reasons.map(|it| escaped(it)).collect();
        text.push_str(" · kept: ");
        text.push_str(&reasons.join(", "));
    }
    let started_unix_ns = it.key.started_unix_ns;
    let since_ns = now_unix_ns.saturating_sub(started_unix_ns);
    let since_ns = u64::try_from(since_ns).unwrap_or(0);
    Row {
        target: Target::Kept(it.key),
        figures: vec![
            Figure {
                shown: ago(since_ns / 1_000_000_000),
                // Also of those in the future, if clocks differ.
                value: u64::try_from(i64::MAX.saturating_sub(started_unix_ns)).ok(),
            },
            Figure {
                shown: time_of_day(started_unix_ns),
                value: u64::try_from(started_unix_ns).ok(),
            },
            duration(Some(it.wall)),
            number(it.allocates),
            size(it.bytes),
        ],
        text,
        look: if it.is_failure() {
            Look::Bad
        } else {
            Look::Plain
        },
    }
}

/// Returns a request's route and id.
pub(crate) fn titled(route: &str, id: Option<&str>) -> String {
    match id {
        Some(id) => format!("{} [{}]", escaped(route), escaped(id)),
        None => escaped(route),
    }
}

fn ending(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Ok => None,
        Outcome::Failed(why) if why.is_empty() => Some("failed".to_owned()),
        Outcome::Failed(why) => Some(format!("failed: {}", escaped(why))),
        Outcome::Panicked => Some("panicked".to_owned()),
        Outcome::Cancelled => Some("cancelled".to_owned()),
        Outcome::Running => Some("running".to_owned()),
    }
}

fn time_of_day(unix_ns: i64) -> String {
    let ms = unix_ns.div_euclid(1_000_000).rem_euclid(86_400_000);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{ms:03}")
}

fn figure(value: Option<u64>, show: impl FnOnce(u64) -> String) -> Figure {
    Figure {
        shown: value.map_or_else(|| "n/a".to_owned(), show),
        value,
    }
}

fn number(value: Option<u64>) -> Figure {
    figure(value, count)
}

fn size(value: Option<u64>) -> Figure {
    figure(value, bytes)
}

fn duration(value: Option<Duration>) -> Figure {
    let ns = value.map(|it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX));
    figure(ns, |ns| time(Duration::from_nanos(ns)))
}

/// A rate is not known at the first look.
fn rate(in_ten_seconds: Option<u64>) -> Figure {
    Figure {
        shown: in_ten_seconds.map_or_else(|| "-".to_owned(), per_second),
        value: in_ten_seconds,
    }
}

/// Returns requests in ten seconds as requests per second, with one digit after the point.
pub(crate) fn per_second(in_ten_seconds: u64) -> String {
    format!("{}.{}", count(in_ten_seconds / 10), in_ten_seconds % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str, value: Option<u64>) -> Row {
        Row {
            target: Target::Route(text.to_owned()),
            figures: vec![number(value)],
            text: text.to_owned(),
            look: Look::Plain,
        }
    }

    #[test]
    fn rows_are_sorted_by_a_column_then_by_text_and_filtered() {
        let rows = [
            row("b", Some(2)),
            row("GET a", None),
            row("c", Some(3)),
            row("a", Some(2)),
        ];
        let arranged = |column, is_descending, filter| {
            let mut rows = rows.to_vec();
            let order = Order {
                column,
                is_descending,
            };
            arrange(&mut rows, order, filter);
            rows.into_iter().map(|it| it.text).collect::<Vec<_>>()
        };
        assert_eq!(arranged(0, true, ""), ["c", "a", "b", "GET a"]);
        assert_eq!(arranged(0, false, ""), ["GET a", "a", "b", "c"]);
        assert_eq!(arranged(1, true, ""), ["c", "b", "a", "GET a"]);
        assert_eq!(arranged(0, true, "get"), ["GET a"]);
    }

    #[test]
    fn the_newest_are_first_whatever_the_clock_says() {
        let kept = |started_unix_ns| Kept {
            key: Key {
                started_unix_ns,
                trace: 1,
            },
            route: String::new(),
            id: None,
            wall: Duration::ZERO,
            allocates: None,
            bytes: None,
            outcome: Outcome::Ok,
            reasons: Vec::new(),
        };
        let mut rows: Vec<_> = [2, 9, 5].map(|it| of_kept(&kept(it), 4)).into();
        let order = Order {
            column: 0,
            is_descending: false,
        };
        arrange(&mut rows, order, "");
        let started = |row: &Row| match row.target {
            Target::Kept(key) => key.started_unix_ns,
            _ => 0,
        };
        assert_eq!(rows.iter().map(started).collect::<Vec<_>>(), [9, 5, 2]);
    }

    #[test]
    fn the_time_of_day_is_that_of_utc() {
        assert_eq!(time_of_day(1_763_942_400_000_000_000), "00:00:00.000");
        assert_eq!(time_of_day(-1_000_000), "23:59:59.999");
        assert_eq!(per_second(12_345), "1,234.5");
    }
}
