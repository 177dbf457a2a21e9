//! Charts of a route's last hours, minute by minute: SVG without scripts, and the figures as a table.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{Markup, html};

use crate::recorder::Minute;
use crate::report::Report;
use crate::report::units::{count, or_unknown, plural, time};

use super::layout::{cell, shown};
use super::requests::{ended, is_ok, wall};
use super::when::When;
use super::{Asked, charts};

/// Number of minutes that are shown.
const SPAN: u64 = 180;
/// The marks of a chart, at most one for each minute.
const MOST_MARKS: usize = 60;
/// Minutes between two times on the axis.
const TICK: u64 = 30;

/// In pixels: the area of the figures, from the top to the bottom, and the whole.
const TOP: u64 = 8;
const BOTTOM: u64 = 102;
const HEIGHT: u64 = 120;

/// The last hours of a route.
pub(super) struct Timeline<'a> {
    asked: &'a Asked,
    when: &'a When,
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

impl<'a> Timeline<'a> {
    pub(super) fn of(asked: &'a Asked, minutes: &'a [Minute], kept: &'a [Arc<Report>]) -> Self {
        let when = asked.when();
        let first = (number(when.moment()) + 1).saturating_sub(SPAN);
        let place = |at: SystemTime| {
            let place = number(at).checked_sub(first)?;
            usize::try_from(place)
                .ok()
                .filter(|place| *place < SPAN as usize)
        };
        let mut by_place = vec![None; SPAN as usize];
        let mut ahead = 0;
        for minute in minutes {
            match place(minute.started) {
                Some(place) => by_place[place] = Some(minute),
                None if number(minute.started) >= first => ahead += minute.requests,
                None => {}
            }
        }
        let mut kept_by_place = vec![Vec::new(); SPAN as usize];
        for report in kept {
            if let Some(place) = place(ended(report)) {
                kept_by_place[place].push(&**report);
            }
        }
        Self {
            asked,
            when,
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
                .chunks(SPAN as usize / charts::BARS)
                .map(of_bar)
                .collect::<Vec<u64>>()
        };
        let (requests, errors) = (sums(|it| it.requests), sums(errors));
        let says = format!(
            "Requests of the last 3 hours: {}, errors: {}",
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
                p.faint { "Each minute of the last 3 hours; a gap is one in which no request ended. A dot is a kept request: follow it." }
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
            let (report, (value, shown)) = values.max_by_key(|(_, (value, _))| *value)?;
            let id = report
                .request
                .as_ref()
                .and_then(|it| it.id.as_deref())
                .unwrap_or_default();
            let says = format!(
                "{} {shown} {}",
                self.when.minute(ended(report)),
                super::layout::shown(id)
            );
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
        self.chart(
            "Requests",
            &plural(sum, "request"),
            "time",
            &figures,
            &[],
            here,
            Scale::bars(&figures, count),
        )
    }

    fn errors(&self, here: Option<&Report>) -> Markup {
        let figures = self.figures(|it| Some((errors(it), plural(errors(it), "error"))));
        let marks = self.marks(|report| (!is_ok(report)).then(|| (1, "failed".to_owned())));
        let sum = figures.iter().map(|it| it.value).sum();
        self.chart(
            "Errors",
            &plural(sum, "error"),
            "failed",
            &figures,
            &marks,
            here,
            Scale::bars(&figures, count),
        )
    }

    fn times(&self, here: Option<&Report>) -> Markup {
        let figures = self.figures(|it| Some((nanoseconds(it.p99_wall), p99(it))));
        let marks = self.marks(|report| Some((nanoseconds(wall(report)), time(wall(report)))));
        let scale = Scale::decades(&figures, &marks, |ns| {
            // A power of ten.
            time(Duration::from_nanos(ns))
                .replace(".00 ", " ")
                .replace(".0 ", " ")
        });
        let most = figures.iter().map(|it| it.value).max().unwrap_or(0);
        let says = format!("at most {}", time(Duration::from_nanos(most)));
        self.chart("p99", &says, "time", &figures, &marks, here, scale)
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
        let says = format!("at most {}", count(most));
        self.chart(
            "Allocations of a request",
            &says,
            "heap",
            &figures,
            &marks,
            here,
            scale,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "each chart names its parts once")]
    fn chart(
        &self,
        title: &str,
        sum: &str,
        class: &str,
        figures: &[Drawn],
        marks: &[Mark<'_>],
        here: Option<&Report>,
        scale: Scale,
    ) -> Markup {
        let times = [self.started(0), self.started(SPAN - 1)].map(|at| self.when.minute(at));
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
                            rect class=(class) x=(percent(it.minute as u64 * 1000)) y=(from) width="0.5%" height=(to - from) {
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

    /// Returns when one of the minutes begins.
    fn started(&self, place: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs((self.first + place) * 60)
    }

    /// Returns the place of a moment on the axis.
    fn x(&self, at: SystemTime) -> Option<String> {
        let since = at.duration_since(self.started(0)).ok()?;
        let thousandths = u64::try_from(since.as_millis() / 60).ok()?;
        (thousandths < SPAN * 1000).then(|| percent(thousandths))
    }

    /// Returns the places and the texts of the times on the axis, as local clocks show them.
    fn ticks(&self) -> Vec<(String, String)> {
        let minutes = (0..SPAN).map(|place| (place, self.when.minute(self.started(place))));
        let is_round = |text: &str| {
            { text.get(3..) }
                .and_then(|it| it.parse().ok())
                .is_some_and(|it: u64| it % TICK == 0)
        };
        // Those at the ends would be cut off.
        let shown = minutes.filter(|(place, text)| is_round(text) && (8..SPAN - 8).contains(place));
        shown
            .map(|(place, text)| (percent(place * 1000), text))
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
                                    @if let Some(slowest) = kept.iter().max_by_key(|report| wall(report)) {
                                        a href=(self.asked.trace(slowest.trace)) { (time(wall(slowest))) }
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

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the number of the minute of a moment, since the epoch.
fn number(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |it| it.as_secs() / 60)
}

/// Returns a place on the axis, in thousandths of a minute.
fn percent(thousandths: u64) -> String {
    let part = thousandths * 100 / SPAN;
    format!("{}.{:03}%", part / 1000, part % 1000)
}

/// How high a figure is drawn.
struct Scale {
    /// Values with a line and a text.
    lines: Vec<(u64, String)>,
    kind: Kind,
}

enum Kind {
    /// Bars from 0 to the highest value.
    Bars(u64),
    /// Strokes, from one power of ten to another.
    Decades(u32, u32),
}

impl Scale {
    fn bars(figures: &[Drawn], shown: impl Fn(u64) -> String) -> Self {
        let most = figures.iter().map(|it| it.value).max().unwrap_or(0);
        let mut lines = vec![(0, String::new())];
        if most > 0 {
            lines.push((most, shown(most)));
        }
        let kind = Kind::Bars(most.max(1));
        Self { lines, kind }
    }

    fn decades(figures: &[Drawn], marks: &[Mark<'_>], shown: impl Fn(u64) -> String) -> Self {
        let values = figures
            .iter()
            .map(|it| it.value)
            .chain(marks.iter().map(|it| it.value));
        let log = |value: u64| value.max(1).ilog10();
        let (low, high) = values.fold((u32::MAX, 0), |(low, high), it| {
            (low.min(log(it)), high.max(log(it)))
        });
        let (low, high) = (low.min(high), high + 1);
        // Some four lines.
        let step = (high - low).div_ceil(4).max(1) as usize;
        let lines = (low..=high)
            .step_by(step)
            .map(|it| 10_u64.saturating_pow(it));
        let lines = lines.map(|value| (value, shown(value))).collect();
        Self {
            lines,
            kind: Kind::Decades(low, high),
        }
    }

    /// Returns the height of a value, from the top.
    fn y(&self, value: u64) -> u64 {
        let span = u128::from(BOTTOM - TOP);
        let up = match self.kind {
            Kind::Bars(most) => (u128::from(value) * span).div_ceil(u128::from(most)),
            Kind::Decades(low, high) => {
                let log =
                    charts::log(u128::from(value)).saturating_sub(u128::from(low) * charts::DECADE);
                log * span / (u128::from(high - low) * charts::DECADE)
            }
        };
        BOTTOM - u64::try_from(up.min(span)).unwrap_or(0)
    }

    /// Returns the top and the bottom of what is drawn for a value.
    fn span(&self, value: u64) -> (u64, u64) {
        let y = self.y(value);
        match self.kind {
            Kind::Bars(_) => (y, BOTTOM),
            Kind::Decades(..) => (y - 1, y + 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::store::trace::Trace;

    use super::*;

    /// 2026-11-29 16:00:30 UTC.
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_968_030)
    }

    fn asked() -> Asked {
        let asked = Asked {
            base: "/t".to_owned(),
            home: "/t".to_owned(),
            here: "/t".to_owned(),
            path: Vec::new(),
            query: Vec::new(),
            when: std::sync::OnceLock::new(),
        };
        let _ = asked.when.set(When::utc(now()));
        asked
    }

    /// The minute that began so many minutes before the present one.
    fn minute(before: i64, requests: u64, failed: u64, p99_wall: Duration) -> Minute {
        let started = u64::try_from(1_795_968_000 - before * 60).unwrap();
        Minute {
            started: UNIX_EPOCH + Duration::from_secs(started),
            requests,
            failed,
            panicked: 0,
            cancelled: 0,
            wall: p99_wall * 2,
            max_wall: p99_wall,
            p99_wall,
            p99_is_bound: before == 1,
            allocates: Some(requests * 20),
            bytes_allocated: Some(requests * 100),
        }
    }

    fn kept() -> Vec<Arc<Report>> {
        let mut report = Trace::empty().report();
        (report.trace, report.elapsed) = (42, Duration::from_millis(40));
        report.started = now() - Duration::from_secs(59 * 60 + 30);
        vec![Arc::new(report)]
    }

    #[test]
    fn figures_are_drawn_at_their_minutes_and_gaps_stay_empty() {
        let minutes = [
            minute(180, 9, 9, Duration::from_secs(9)),
            minute(60, 10, 1, Duration::from_millis(40)),
            minute(1, 5, 0, Duration::from_millis(2)),
            minute(-1, 3, 0, Duration::from_millis(2)),
        ];
        let (asked, kept) = (asked(), kept());
        let timeline = Timeline::of(&asked, &minutes, &kept);
        let drawn = |chart: Markup| chart.into_string().replace("><", ">\n<");
        assert_eq!(drawn(timeline.errors(Some(&kept[0]))), ERRORS);
        assert_eq!(drawn(timeline.times(None)), TIMES);
        let all = timeline.draw(None).into_string();
        assert!(
            all.contains("Not shown: 3 requests in minutes that are yet to come."),
            "{all}"
        );
    }

    const ERRORS: &str = r##"<figure>
<figcaption>Errors <span class="faint">1 error</span>
</figcaption>
<svg width="100%" height="120" role="group" aria-label="Errors of each minute from 13:01 to 16:00: 1 error">
<line class="grid" x1="0" x2="100%" y1="102" y2="102">
</line>
<line class="grid" x1="0" x2="100%" y1="8" y2="8">
</line>
<text x="-6" y="12" text-anchor="end">1</text>
<line class="grid" x1="16.111%" x2="16.111%" y1="102" y2="106">
</line>
<text x="16.111%" y="117" text-anchor="middle">13:30</text>
<line class="grid" x1="32.777%" x2="32.777%" y1="102" y2="106">
</line>
<text x="32.777%" y="117" text-anchor="middle">14:00</text>
<line class="grid" x1="49.444%" x2="49.444%" y1="102" y2="106">
</line>
<text x="49.444%" y="117" text-anchor="middle">14:30</text>
<line class="grid" x1="66.111%" x2="66.111%" y1="102" y2="106">
</line>
<text x="66.111%" y="117" text-anchor="middle">15:00</text>
<line class="grid" x1="82.777%" x2="82.777%" y1="102" y2="106">
</line>
<text x="82.777%" y="117" text-anchor="middle">15:30</text>
<line class="here" x1="66.666%" x2="66.666%" y1="0" y2="102">
</line>
<rect class="failed" x="66.111%" y="8" width="0.5%" height="94">
<title>15:00 1 error</title>
</rect>
</svg>
</figure>"##;
    const TIMES: &str = r##"<figure>
<figcaption>p99 <span class="faint">at most 40.0 ms</span>
</figcaption>
<svg width="100%" height="120" role="group" aria-label="p99 of each minute from 13:01 to 16:00: at most 40.0 ms">
<line class="grid" x1="0" x2="100%" y1="102" y2="102">
</line>
<text x="-6" y="106" text-anchor="end">1 ms</text>
<line class="grid" x1="0" x2="100%" y1="56" y2="56">
</line>
<text x="-6" y="60" text-anchor="end">10 ms</text>
<line class="grid" x1="0" x2="100%" y1="10" y2="10">
</line>
<text x="-6" y="14" text-anchor="end">100 ms</text>
<line class="grid" x1="16.111%" x2="16.111%" y1="102" y2="106">
</line>
<text x="16.111%" y="117" text-anchor="middle">13:30</text>
<line class="grid" x1="32.777%" x2="32.777%" y1="102" y2="106">
</line>
<text x="32.777%" y="117" text-anchor="middle">14:00</text>
<line class="grid" x1="49.444%" x2="49.444%" y1="102" y2="106">
</line>
<text x="49.444%" y="117" text-anchor="middle">14:30</text>
<line class="grid" x1="66.111%" x2="66.111%" y1="102" y2="106">
</line>
<text x="66.111%" y="117" text-anchor="middle">15:00</text>
<line class="grid" x1="82.777%" x2="82.777%" y1="102" y2="106">
</line>
<text x="82.777%" y="117" text-anchor="middle">15:30</text>
<rect class="time" x="66.111%" y="27" width="0.5%" height="3">
<title>15:00 40.0 ms</title>
</rect>
<rect class="time" x="98.888%" y="88" width="0.5%" height="3">
<title>15:59 ≤ 2.00 ms</title>
</rect>
<a href="/t/trace/42" aria-label="15:01 40.0 ms">
<title>15:01 40.0 ms</title>
<circle cx="66.666%" cy="28" r="4">
</circle>
</a>
</svg>
</figure>"##;
}
