//! Charts of a route's last hours, minute by minute: SVG without scripts, and the figures as a table.

mod scale;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{Markup, html};

use crate::recorder::Minute;
use crate::report::Report;
use crate::report::duration::nanoseconds;
use crate::report::units::{count, or_unknown, plural, time};

use super::layout::{cell, shown};
use super::requests::ended;
use super::when::When;
use super::{Asked, charts};

use scale::Scale;

/// Number of minutes that are shown, and of those between two times on the axis: of a route whose requests are all of
/// the last half hour, as after a start, and of others.
const SPANS: [(u64, u64); 2] = [(30, 5), (180, 30)];
/// The marks of a chart, at most one for each minute.
const MOST_MARKS: usize = 60;

/// In pixels: the area of the figures, from the top to the bottom, and the whole.
const TOP: u64 = 8;
const BOTTOM: u64 = 102;
const HEIGHT: u64 = 120;

/// The last hours of a route.
pub(super) struct Timeline<'a> {
    asked: &'a Asked,
    when: &'a When,
    /// The number of minutes, and of those between two times on the axis.
    span: u64,
    tick: u64,
    /// The first minute, since the epoch.
    first: u64,
    minutes: Vec<Option<&'a Minute>>,
    /// Requests that ended after the last minute.
    ahead: u64,
    /// Kept requests by the minutes in which they ended.
    kept: Vec<Vec<&'a Report>>,
}

/// A figure at its place in time.
struct Drawn {
    minute: usize,
    value: u64,
    says: String,
}

/// A link to a kept request.
struct Mark<'a> {
    report: &'a Report,
    value: u64,
    says: String,
}

/// A chart before it is drawn.
struct Chart<'a> {
    title: &'static str,
    sum: String,
    /// That of the bars.
    class: &'static str,
    figures: Vec<Drawn>,
    marks: Vec<Mark<'a>>,
    scale: Scale,
}

impl<'a> Timeline<'a> {
    pub(super) fn of(asked: &'a Asked, minutes: &'a [Minute], kept: &'a [Arc<Report>]) -> Self {
        let when = asked.when();
        let next = number(when.moment()) + 1;
        let [short, long] = SPANS;
        let is_short = |(span, _): &(u64, u64)| {
            let mut minutes = minutes
                .iter()
                .map(|minute| next.saturating_sub(number(minute.started)));
            // Those before the longest span are never shown.
            minutes.all(|before| before <= *span || before > long.0)
        };
        let (span, tick) = Some(short).filter(is_short).unwrap_or(long);
        let first = next.saturating_sub(span);
        let places = usize::try_from(span).unwrap_or(0);
        let place = |at: SystemTime| {
            let place = usize::try_from(number(at).checked_sub(first)?).ok()?;
            (place < places).then_some(place)
        };
        let mut by_place = vec![None; places];
        let mut ahead = 0;
        for minute in minutes {
            match place(minute.started) {
                Some(place) => by_place[place] = Some(minute),
                None if number(minute.started) >= first => ahead += minute.requests,
                None => {}
            }
        }
        let mut kept_by_place = vec![Vec::new(); places];
        for report in kept {
            if let Some(place) = place(ended(report)) {
                kept_by_place[place].push(&**report);
            }
        }
        Self {
            asked,
            when,
            span,
            tick,
            first,
            minutes: by_place,
            ahead,
            kept: kept_by_place,
        }
    }

    /// Draws the requests of some minutes a bar, for a cell of a table.
    pub(super) fn small(&self) -> Markup {
        let sums = |figure: fn(&Minute) -> u64| {
            let of_bar =
                |minutes: &[Option<&Minute>]| minutes.iter().flatten().copied().map(figure).sum();
            self.minutes
                .chunks((self.minutes.len() / charts::BARS).max(1))
                .map(of_bar)
                .collect::<Vec<u64>>()
        };
        let (requests, errors) = (sums(|it| it.requests), sums(errors));
        let says = format!(
            "Requests of {}: {}, errors: {}",
            self.shown_time(),
            count(requests.iter().sum()),
            count(errors.iter().sum())
        );
        charts::pair(&says, &requests, &errors)
    }

    /// Draws the charts; `here` is a request that is marked in all of them.
    pub(super) fn draw(&self, here: Option<&Report>) -> Markup {
        let shown = || self.minutes.iter().flatten();
        let is_counted = shown().any(|it| it.allocates.is_some());
        html! {
            @if shown().next().is_none() { p { "No request has ended in the last 3 hours." } }
            @else {
                div.timelines {
                    (self.requests(here))
                    (self.errors(here))
                    (self.times(here))
                    @if is_counted { (self.allocations(here)) }
                }
                p.faint { "Each minute of " (self.shown_time()) "; a gap is one in which no request ended. A dot is a kept request: follow it." }
            }
            @if self.ahead > 0 {
                p.warm { "Not shown: " (plural(self.ahead, "request")) " in minutes that are yet to come. The clock was set back." }
            }
            @if shown().next().is_some() { details { summary { "Minutes as a table" } (self.table()) } }
        }
    }

    fn figures(&self, figure: impl Fn(&Minute) -> Option<(u64, String)>) -> Vec<Drawn> {
        let places = self.minutes.iter().enumerate();
        let minutes = places.filter_map(|(place, minute)| Some((place, (*minute)?)));
        minutes
            .filter_map(|(minute, it)| {
                let (value, shown) = figure(it)?;
                let says = format!("{} {shown}", self.when.minute(it.started));
                Some(Drawn {
                    minute,
                    value,
                    says,
                })
            })
            .collect()
    }

    /// Returns the highest of the kept requests of each minute, but only the highest of these if there are many.
    fn marks(&self, value: impl Fn(&Report) -> Option<(u64, String)>) -> Vec<Mark<'a>> {
        let of_minute = |reports: &Vec<&'a Report>| {
            let values = reports
                .iter()
                .filter_map(|report| Some((*report, value(report)?)));
            let (report, (value, figure)) = values.max_by_key(|(_, (value, _))| *value)?;
            let id = report
                .request
                .as_ref()
                .and_then(|it| it.id.as_deref())
                .unwrap_or_default();
            let says = format!("{} {figure} {}", self.when.minute(ended(report)), shown(id));
            Some(Mark {
                report,
                value,
                says: says.trim_end().to_owned(),
            })
        };
        let mut marks: Vec<_> = self.kept.iter().filter_map(of_minute).collect();
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.value));
        marks.truncate(MOST_MARKS);
        marks.sort_by_key(|mark| ended(mark.report));
        marks
    }

    fn requests(&self, here: Option<&Report>) -> Markup {
        let figures = self.figures(|it| Some((it.requests, plural(it.requests, "request"))));
        let sum = figures.iter().map(|it| it.value).sum();
        let chart = Chart {
            title: "Requests",
            sum: plural(sum, "request"),
            class: "time",
            scale: Scale::bars(&figures, count),
            figures,
            marks: Vec::new(),
        };
        self.chart(&chart, here)
    }

    fn errors(&self, here: Option<&Report>) -> Markup {
        let figures = self.figures(|it| Some((errors(it), plural(errors(it), "error"))));
        let marks = self
            .marks(|report| { report.outcome().is_failure() }.then(|| (1, "failed".to_owned())));
        let sum = figures.iter().map(|it| it.value).sum();
        let chart = Chart {
            title: "Errors",
            sum: plural(sum, "error"),
            class: "failed",
            scale: Scale::bars(&figures, count),
            figures,
            marks,
        };
        self.chart(&chart, here)
    }

    fn times(&self, here: Option<&Report>) -> Markup {
        let figures = self.figures(|it| Some((nanoseconds(it.p99_wall), p99(it))));
        let marks = self.marks(|report| Some((nanoseconds(report.wall()), time(report.wall()))));
        let scale = Scale::decades(&figures, &marks, |ns| {
            // A power of ten.
            time(Duration::from_nanos(ns))
                .replace(".00 ", " ")
                .replace(".0 ", " ")
        });
        let most = figures.iter().map(|it| it.value).max().unwrap_or(0);
        let chart = Chart {
            title: "p99",
            sum: format!("at most {}", time(Duration::from_nanos(most))),
            class: "time",
            scale,
            figures,
            marks,
        };
        self.chart(&chart, here)
    }

    fn allocations(&self, here: Option<&Report>) -> Markup {
        let figures = self.figures(|it| {
            let (all, each) = (it.allocates?, per_request(it)?);
            Some((
                each,
                format!("allocates {} a request, {} in all", count(each), count(all)),
            ))
        });
        let marks = self.marks(|report| {
            let allocates = report.total?.allocates();
            Some((allocates, format!("allocates {}", count(allocates))))
        });
        let scale = Scale::decades(&figures, &marks, count);
        let most = figures.iter().map(|it| it.value).max().unwrap_or(0);
        let chart = Chart {
            title: "Allocations of a request",
            sum: format!("at most {}", count(most)),
            class: "heap",
            scale,
            figures,
            marks,
        };
        self.chart(&chart, here)
    }

    fn chart(&self, chart: &Chart<'_>, here: Option<&Report>) -> Markup {
        let Chart {
            title,
            sum,
            class,
            figures,
            marks,
            scale,
        } = chart;
        let times = [self.started(0), self.started(self.span - 1)].map(|at| self.when.minute(at));
        let says = format!(
            "{title} of each minute from {} to {}: {sum}",
            times[0], times[1]
        );
        html! {
            figure {
                figcaption { (title) " " span.faint { (sum) } }
                svg width="100%" height=(HEIGHT) role="group" aria-label=(says) {
                    @for (value, label) in &scale.lines {
                        @let y = scale.y(*value);
                        line class="grid" x1="0" x2="100%" y1=(y) y2=(y) {}
                        @if !label.is_empty() { text x="-6" y=(y + 4) text-anchor="end" { (label) } }
                    }
                    @for (x, label) in self.ticks() {
                        line class="grid" x1=(x) x2=(x) y1=(BOTTOM) y2=(BOTTOM + 4) {}
                        text x=(x) y=(HEIGHT - 3) text-anchor="middle" { (label) }
                    }
                    @if let Some(x) = here.and_then(|report| self.x(ended(report))) {
                        line class="here" x1=(x) x2=(x) y1="0" y2=(BOTTOM) {}
                    }
                    @for it in figures {
                        @let (from, to) = scale.span(it.value);
                        @if to > from {
                            rect class=(class) x=(self.percent(it.minute as u64 * 1000)) y=(from) width=(self.percent(900)) height=(to - from) {
                                title { (it.says) }
                            }
                        }
                    }
                    @for it in marks {
                        @if let Some(x) = self.x(ended(it.report)) {
                            a href=(self.asked.trace(it.report.trace)) aria-label=(it.says) {
                                title { (it.says) }
                                circle cx=(x) cy=(scale.y(it.value)) r="4" {}
                            }
                        }
                    }
                }
            }
        }
    }

    /// Returns a place on the axis, or a width, of so many thousandths of a minute.
    fn percent(&self, thousandths: u64) -> String {
        let part = thousandths * 100 / self.span;
        format!("{}.{:03}%", part / 1000, part % 1000)
    }

    fn shown_time(&self) -> String {
        match self.span {
            hours if hours.is_multiple_of(60) => format!("the last {} hours", hours / 60),
            minutes => format!("the last {minutes} minutes"),
        }
    }

    /// Returns when one of the minutes begins.
    fn started(&self, place: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs((self.first + place) * 60)
    }

    /// Returns the place of a moment on the axis.
    fn x(&self, at: SystemTime) -> Option<String> {
        let since = at.duration_since(self.started(0)).ok()?;
        let thousandths = u64::try_from(since.as_millis() / 60).ok()?;
        (thousandths < self.span * 1000).then(|| self.percent(thousandths))
    }

    /// Returns the places and the texts of the times on the axis, as local clocks show them.
    fn ticks(&self) -> Vec<(String, String)> {
        let minutes = (0..self.span).map(|place| (place, self.when.minute(self.started(place))));
        let is_round = |text: &str| {
            { text.get(3..) }
                .and_then(|it| it.parse().ok())
                .is_some_and(|it: u64| it.is_multiple_of(self.tick))
        };
        // Those at the ends would be cut off.
        let edge = self.span / 20;
        let shown = minutes
            .filter(|(place, text)| is_round(text) && (edge..self.span - edge).contains(place));
        shown
            .map(|(place, text)| (self.percent(place * 1000), text))
            .collect()
    }

    fn table(&self) -> Markup {
        let places = self.minutes.iter().zip(&self.kept).rev();
        let minutes = places.filter_map(|(minute, kept)| Some(((*minute)?, kept)));
        html! {
            div.wide tabindex="0" role="region" aria-label="Minutes" {
                table {
                    thead { tr {
                        th.text { "Minute" } th { "Requests" } th { "Errors" } th { "Cancelled" } th { "p99" } th { "Max" }
                        th { "Mean" } th { "Allocates" } th { "A request" } th.text { "Slowest kept" }
                    } }
                    tbody {
                        @for (minute, kept) in minutes {
                            tr {
                                th.text { (self.when.minute(minute.started)) }
                                (cell("Requests", &count(minute.requests)))
                                td.bad[errors(minute) > 0] data-of="Errors" { (count(errors(minute))) }
                                (cell("Cancelled", &count(minute.cancelled)))
                                (cell("p99", &p99(minute)))
                                (cell("Max", &time(minute.max_wall)))
                                (cell("Mean", &time(mean(minute))))
                                (cell("Allocates", &or_unknown(minute.allocates, count)))
                                (cell("A request", &or_unknown(per_request(minute), count)))
                                td.text {
                                    @if let Some(slowest) = kept.iter().max_by_key(|report| report.wall()) {
                                        a href=(self.asked.trace(slowest.trace)) { (time(slowest.wall())) }
                                        @if let Some(id) = slowest.request.as_ref().and_then(|it| it.id.as_ref()) { " " span.faint { (shown(id)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn errors(minute: &Minute) -> u64 {
    minute.failed + minute.panicked
}

fn mean(minute: &Minute) -> Duration {
    let requests = u32::try_from(minute.requests).unwrap_or(u32::MAX);
    minute.wall.checked_div(requests).unwrap_or_default()
}

fn per_request(minute: &Minute) -> Option<u64> {
    minute.allocates?.checked_div(minute.requests)
}

fn p99(minute: &Minute) -> String {
    let bound = if minute.p99_is_bound { "≤ " } else { "" };
    format!("{bound}{}", time(minute.p99_wall))
}

/// Returns the number of the minute of a moment, since the epoch.
fn number(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |it| it.as_secs() / 60)
}
