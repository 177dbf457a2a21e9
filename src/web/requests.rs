//! Lists of kept requests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alloc_counter::Counts;
use maud::{Markup, html};

use crate::report::units::{bytes, count, or_unknown, time};
use crate::report::{Compared, Outcome, Report, Request};

use crate::search::found::Found;
use crate::store::ids::TraceId;

use super::layout::{and_more, beside_usual, cell, shown};
use super::{Asked, Mounted};

/// Kept requests of one route whose times share a power of ten.
pub(super) struct Bucket {
    pub(super) title: &'static str,
    /// Its anchor on the route's page.
    pub(super) anchor: String,
    pub(super) reports: Vec<Arc<Report>>,
}

/// Titles of the groups, with the times up to which they go.
const BUCKETS: [(&str, Duration); 6] = [
    ("under 1 ms", Duration::from_millis(1)),
    ("1 to 10 ms", Duration::from_millis(10)),
    ("10 to 100 ms", Duration::from_millis(100)),
    ("0.1 to 1 s", Duration::from_secs(1)),
    ("1 to 10 s", Duration::from_secs(10)),
    ("over 10 s", Duration::MAX),
];

impl Bucket {
    /// Returns the groups that are not empty, the fastest first.
    pub(super) fn of<'a>(kept: impl IntoIterator<Item = &'a Arc<Report>>) -> Vec<Self> {
        let mut buckets: Vec<_> = { BUCKETS.iter().enumerate() }
            .map(|(place, (title, _))| Self {
                title,
                anchor: format!("kept-{place}"),
                reports: Vec::new(),
            })
            .collect();
        for report in kept {
            let wall = report.wall();
            let place = BUCKETS.partition_point(|(_, end)| *end <= wall);
            buckets[place.min(BUCKETS.len() - 1)]
                .reports
                .push(Arc::clone(report));
        }
        buckets.retain(|bucket| !bucket.reports.is_empty());
        buckets
    }

    /// Makes links to the groups on the route's page, which is `here`.
    pub(super) fn links<'a>(here: &str, kept: impl IntoIterator<Item = &'a Arc<Report>>) -> Markup {
        html! {
            @for Self { title, anchor, reports } in Self::of(kept) {
                a href=(format!("{here}#{anchor}")) { (title) ": " b { (count(reports.len() as u64)) } } " "
            }
        }
    }
}

/// Returns when the request ended.
pub(super) fn ended(report: &Report) -> SystemTime {
    report
        .started
        .checked_add(report.wall())
        .unwrap_or(report.started)
}

/// Returns the name of a route as it is shown.
pub(super) fn title(name: &str) -> String {
    if name.is_empty() {
        "(no route)".to_owned()
    } else {
        shown(name)
    }
}

/// Makes a list of the first requests, with a title. `all`: the search that finds all of them.
pub(super) fn list(
    page: &Mounted,
    asked: &Asked,
    title: &str,
    reports: &[Arc<Report>],
    most: usize,
    all: Option<&str>,
) -> Markup {
    html! {
        @if reports.is_empty() { p.faint { "No request is kept." } }
        @else {
            div.wide tabindex="0" role="region" aria-label=(title) {
                table.list {
                    thead { tr {
                        th.text { "Request" } th.text { "When" } th { "Time" } th { "Allocates" } th { "Bytes" }
                        th.text { "Outcome" } th.text { "Kept because" }
                    } }
                    tbody {
                        @for report in reports.iter().take(most) {
                            (row(page, asked, &Row::of(page, report)))
                        }
                    }
                }
            }
            @match all.filter(|_| reports.len() > most) {
                Some(all) => p { a href=(asked.link(all)) { "And " (count((reports.len() - most) as u64)) " more" } },
                None => (and_more(reports.len(), most)),
            }
        }
    }
}

/// A kept request in a list.
pub(super) struct Row<'a> {
    request: Option<&'a Request>,
    trace_id: Option<TraceId>,
    started: SystemTime,
    wall: Duration,
    /// `None` if it is known from the calls only, and these were not read.
    outcome: Option<&'a Outcome>,
    total: Option<Counts>,
    /// The path of its page.
    path: String,
    is_in_memory: bool,
}

impl<'a> Row<'a> {
    fn of(page: &Mounted, report: &'a Report) -> Self {
        Self {
            request: report.request.as_deref(),
            trace_id: report.trace_id,
            started: report.started,
            wall: report.wall(),
            outcome: Some(report.outcome()),
            total: report.total,
            path: page.path_of(report.trace, report.started, true),
            is_in_memory: true,
        }
    }

    pub(super) fn of_found(page: &Mounted, found: &'a Found) -> Self {
        Self {
            request: found.head.request.as_deref(),
            trace_id: found.head.trace_id,
            started: found.head.started,
            wall: found.head.wall(),
            outcome: found.head.request.as_ref().map(|it| &it.outcome),
            total: found.head.total,
            path: page.path_of_found(found),
            is_in_memory: found.is_in_memory,
        }
    }
}

pub(super) fn row(page: &Mounted, asked: &Asked, row: &Row<'_>) -> Markup {
    let request = row.request;
    let compared = request.and_then(|it| it.compared.as_ref());
    let id = request.and_then(|it| it.id.as_deref());
    let allocates = or_unknown(row.total, |it| count(it.allocates()));
    let usual = compared.and_then(|it| it.usual_allocates);
    html! {
        tr {
            th.text {
                a href=(asked.link(&row.path)) { (title(request.map_or("", |it| &it.name))) }
                @if let Some(id) = id { " " span.faint { (shown(id)) } }
                (page.links.of(row.trace_id, id))
                @if let Some(id) = row.trace_id { span.usual { "trace " (id) } }
                @if !row.is_in_memory { span.usual { "in a file" } }
            }
            td.text data-of="When" { (asked.when().time_ago(row.started)) }
            (beside_usual("Time", &time(row.wall), compared.map(|it| time(it.usual_wall.p50)),
                compared.is_some_and(Compared::wall_stands_out)))
            (beside_usual("Allocates", &allocates, usual.map(|it| count(it.p50)),
                compared.is_some_and(Compared::allocates_stand_out)))
            (cell("Bytes", &or_unknown(row.total, |it| bytes(it.bytes_allocated))))
            td.text data-of="Outcome" { @if let Some(outcome) = row.outcome { (ending(outcome)) } }
            td.text data-of="Kept because" { @if let Some(request) = request { (reasons(request)) } }
        }
    }
}

pub(super) fn reasons(request: &Request) -> String {
    let reasons: Vec<_> = request.reasons.iter().map(|it| shown(it)).collect();
    reasons.join(", ")
}

pub(super) fn ending(outcome: &Outcome) -> Markup {
    html! {
        @match outcome {
            Outcome::Ok => "ok",
            Outcome::Failed(why) => span.bad { "failed" @if !why.is_empty() { ": " (shown(why)) } },
            Outcome::Panicked => span.bad { "panicked" },
            Outcome::Cancelled => span.bad { "cancelled" },
            Outcome::Running => "running",
        }
    }
}
