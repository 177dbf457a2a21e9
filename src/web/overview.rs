//! The overview: all routes, and the requests worth a look.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Serialize;

use crate::recorder::{Recorder, RouteStatistics, Statistics};
use crate::report::Report;
use crate::report::units::{bytes, count, or_unknown, time};

use super::failures::Groups;
use super::json::{GroupInJson, KeptInJson, RouteInJson, StatisticsInJson};
use super::layout::{cell, shown, with_more};
use super::requests::{Bucket, list};
use super::timeline::Timeline;
use super::{Asked, Mounted, charts, json, layout};

/// Number of entries of each list.
pub(super) const MOST: usize = 10;
/// Number of the newest requests, in JSON only: for programs that look again and again.
const MOST_NEWEST: usize = 100;

#[derive(Serialize)]
struct OverviewInJson<'a> {
    counted: bool,
    statistics: StatisticsInJson<'a>,
    routes: Vec<RouteInJson<'a>>,
    failures: Vec<GroupInJson<'a>>,
    slowest: Vec<KeptInJson>,
    heaviest: Vec<KeptInJson>,
    newest: Vec<KeptInJson>,
    newest_failures: Vec<KeptInJson>,
}

/// The kept requests, by how slow and how heavy they are.
pub(super) struct Worst {
    pub(super) slowest: Vec<Arc<Report>>,
    pub(super) heaviest: Vec<Arc<Report>>,
}

impl Worst {
    pub(super) fn of(kept: &[Arc<Report>]) -> Self {
        let mut slowest = kept.to_vec();
        slowest.sort_by_key(|report| Reverse(report.wall()));
        let mut heaviest = kept.to_vec();
        heaviest.retain(|report| report.bytes_allocated() > 0);
        heaviest.sort_by_key(|report| Reverse(report.bytes_allocated()));
        Self { slowest, heaviest }
    }

    pub(super) fn lists(&self, page: &Mounted, asked: &Asked) -> Markup {
        html! {
            @for (title, reports, sort) in [("Slowest", &self.slowest, "wall"), ("Heaviest", &self.heaviest, "bytes")] {
                h2 { (title) }
                (list(page, asked, title, reports, MOST, Some(&format!("/search?sort={sort}&order=descending"))))
            }
        }
    }
}

pub(super) fn page(page: &Mounted, asked: &Asked, recorder: &Recorder) -> Response {
    let statistics = recorder.statistics();
    let routes = recorder.routes();
    let kept = recorder.kept();
    let worst = Worst::of(&kept);
    let groups = Groups::of(&kept, None, Some((&statistics, &routes)));
    if asked.is_json {
        let failures = kept.iter().filter(|it| it.outcome().is_failure());
        let content = OverviewInJson {
            counted: alloc_counter::is_installed(),
            statistics: StatisticsInJson::of(&statistics),
            routes: routes.iter().map(RouteInJson::of).collect(),
            failures: groups.in_json(MOST),
            slowest: KeptInJson::first(&worst.slowest, MOST),
            heaviest: KeptInJson::first(&worst.heaviest, MOST),
            newest: KeptInJson::first(&kept, MOST_NEWEST),
            newest_failures: KeptInJson::first(failures, MOST_NEWEST),
        };
        return json::page("overview", content);
    }
    let content = html! {
        h1 { "Overview" }
        (facts(&statistics))
        @if !alloc_counter::is_installed() {
            p.warm { "Allocations are not counted, and no rule about them applies: " code { "Counting" } " is not the global allocator." }
        }
        h2 { "Routes" }
        @if routes.is_empty() { p { "No request has begun yet." } }
        @else { (routes_table(recorder, asked, &routes, &kept)) }
        h2 { "Failures" }
        (groups.table(page, asked, MOST, true))
        (worst.lists(page, asked))
        @if cfg!(feature = "metrics") {
            p.faint { "Figures of all requests since the start, for Prometheus: " a href=(asked.link("/metrics")) { "metrics" } "." }
        }
    };
    layout::page(asked, "Overview", None, &content).into_response()
}

fn facts(statistics: &Statistics) -> Markup {
    html! {
        ul.facts {
            li { "Ended " b #ended { (count(statistics.ended)) } }
            li { "Kept " b #kept { (count(statistics.kept)) } }
            li { "In flight " b { (count(statistics.in_flight)) } }
            li { "In memory " b { (count(statistics.in_memory as u64)) } " (" (bytes(statistics.in_memory_bytes as u64)) ")" }
            @if statistics.dropped > 0 { li.bad { "Dropped " b { (count(statistics.dropped)) } } }
            @if statistics.not_compared > 0 { li.warm { "Calls not compared " b { (count(statistics.not_compared)) } } }
            @if statistics.policy_panics > 0 { li.bad { "Rules that panicked " b { (count(statistics.policy_panics)) } } }
            @if statistics.arming.routes > 0 {
                li { "Armed routes " b { (count(statistics.arming.routes)) } ", their requests " b { (count(statistics.arming.requests)) } }
            }
            @for sink in &statistics.sinks {
                li { (shown(&sink.name)) ": " b { (count(sink.taken)) }
                    @if sink.failed > 0 { ", " span.bad { "failed " (count(sink.failed)) } }
                    @if sink.dropped > 0 { ", " span.bad { "dropped " (count(sink.dropped)) } }
                    @if sink.refused_spans > 0 { ", " span.bad { "spans refused " (count(sink.refused_spans)) } }
                    @if let Some(error) = &sink.last_error { " " span.faint { "(" (shown(error)) ")" } }
                }
            }
        }
    }
}

fn routes_table(
    recorder: &Recorder,
    asked: &Asked,
    routes: &[RouteStatistics],
    kept: &[Arc<Report>],
) -> Markup {
    let mut by_route: HashMap<&str, Vec<&Arc<Report>>> = HashMap::new();
    for report in kept {
        by_route.entry(report.name()).or_default().push(report);
    }
    html! {
        p.faint { "Errors, times and allocations are those of the last minutes; kept are those in memory, by their time." }
        div.wide tabindex="0" role="region" aria-label="Routes" {
            table.routes {
                thead {
                    tr {
                        th.text rowspan="2" { "Route" } th rowspan="2" { "Ended" } th rowspan="2" { "Errors" }
                        th.text colspan="5" { "Time" } th.text colspan="4" { "Allocates" }
                        th rowspan="2" { "Bytes p50" } th.text rowspan="2" { "Kept" }
                    }
                    tr {
                        th.text { "Spread" } th { "p50" } th { "p95" } th { "p99" } th { "Max" }
                        th.text { "Spread" } th { "p50" } th { "p95" } th { "p99" }
                    }
                }
                tbody {
                    @for route in routes {
                        (route_row(recorder, asked, route, by_route.get(&*route.name).map_or(&[], Vec::as_slice)))
                    }
                }
            }
        }
    }
}

fn route_row(
    recorder: &Recorder,
    asked: &Asked,
    route: &RouteStatistics,
    kept: &[&Arc<Report>],
) -> Markup {
    let minutes = recorder.minutes(&route.name);
    let errors = route.failed + route.panicked;
    let here = asked.route(&route.name);
    let (wall, allocates) = (route.wall.as_ref(), route.allocates.as_ref());
    html! {
        tr {
            th.text {
                a href=(here) { (shown(&route.name)) }
                a.hours href=(format!("{here}#minutes")) { (Timeline::of(asked, &minutes, &[]).small()) }
                @if let Some(armed) = route.armed { span.usual { (armed) } }
            }
            (with_more("Ended", route.ended, false, "in flight", route.in_flight))
            (with_more("Errors", errors, errors > 0, "cancelled", route.cancelled))
            td.text data-of="Times" { (charts::times(&route.wall_bins)) }
            (cell("p50", &or_unknown(wall, |it| time(it.p50))))
            (cell("p95", &or_unknown(wall, |it| time(it.p95))))
            (cell("p99", &or_unknown(wall, |it| time(it.p99))))
            (cell("Max", &or_unknown(wall, |it| time(it.max))))
            td.text data-of="Allocates" { (charts::allocations(&route.allocates_bins)) }
            (cell("p50", &or_unknown(allocates, |it| count(it.p50))))
            (cell("p95", &or_unknown(allocates, |it| count(it.p95))))
            (cell("p99", &or_unknown(allocates, |it| count(it.p99))))
            (cell("Bytes p50", &or_unknown(route.bytes, |it| bytes(it.p50))))
            td.text.buckets data-of="Kept" {
                (Bucket::links(&here, kept.iter().copied()))
            }
        }
    }
}
