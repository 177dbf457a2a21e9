//! The overview: all routes, and what of them is worth a look.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use crate::recorder::{RouteStatistics, Statistics};
use crate::report::units::{bytes, count, time};
use crate::report::{Compared, Outcome, Report, Request};

use super::{Asked, Page, charts, layout};

/// So many of each list.
const MOST: usize = 10;

pub(super) fn page(page: &Page, asked: &Asked) -> Response {
    let statistics = page.recorder.statistics();
    let routes = page.recorder.routes();
    let kept = page.recorder.kept();
    let mut slowest = kept.clone();
    slowest.sort_by_key(|report| Reverse(wall(report)));
    let mut heaviest = kept.clone();
    heaviest.sort_by_key(|report| Reverse(report.total.map_or(0, |it| it.bytes_allocated)));
    heaviest.retain(|report| report.total.is_some_and(|it| it.bytes_allocated > 0));
    let failed: Vec<_> = { kept.iter() }.filter(|it| !is_ok(it)).cloned().collect();
    let content = html! {
        h1 { "Overview" }
        (facts(&statistics))
        h2 { "Routes" }
        @if routes.is_empty() { p { "No request has begun yet." } }
        @else { (routes_table(asked, &routes, &kept)) }
        @for (title, reports) in [("Failed", &failed), ("Slowest", &slowest), ("Heaviest", &heaviest)] {
            h2 { (title) }
            (list(asked, title, reports, MOST))
        }
    };
    layout::page(asked, "Overview", None, &content).into_response()
}

pub(super) fn wall(report: &Report) -> std::time::Duration {
    report.request.as_ref().map_or(report.elapsed, |it| it.wall)
}

fn is_ok(report: &Report) -> bool {
    let request = report.request.as_ref();
    request.is_none_or(|it| it.outcome == Outcome::Ok)
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
            @for sink in &statistics.sinks {
                li { (sink.name) ": " b { (count(sink.taken)) }
                    @if sink.failed > 0 { ", " span.bad { "failed " (count(sink.failed)) } }
                    @if sink.dropped > 0 { ", " span.bad { "dropped " (count(sink.dropped)) } }
                    @if let Some(error) = &sink.last_error { " " span.faint { "(" (error) ")" } }
                }
            }
        }
    }
}

fn routes_table(asked: &Asked, routes: &[RouteStatistics], kept: &[Arc<Report>]) -> Markup {
    html! {
        p.faint { "Errors, times and allocations are those of the last minutes." }
        div.wide tabindex="0" role="region" aria-label="Routes" {
            table {
                thead { tr {
                    th.text { "Route" } th { "Requests" } th { "In flight" } th { "Errors" }
                    th { "p50" } th { "p95" } th { "p99" } th { "Max" } th { "Spread" }
                    th { "Allocates p50" } th { "p99" } th { "Bytes p50" } th { "Kept" }
                } }
                tbody {
                    @for route in routes {
                        @let errors = route.failed + route.panicked + route.cancelled;
                        @let here = kept.iter().filter(|it| of_route(it, &route.name)).count();
                        tr {
                            th.text { a href=(route_link(asked, &route.name)) { (shown(&route.name)) } }
                            td { (count(route.ended)) }
                            td { (count(route.in_flight)) }
                            td.bad[errors > 0] { (count(errors)) }
                            @match &route.wall {
                                Some(wall) => @for figure in [wall.p50, wall.p95, wall.p99, wall.max] { td { (time(figure)) } },
                                None => { td {} td {} td {} td {} }
                            }
                            td { (charts::spread(&route.wall_bins)) }
                            @match &route.allocates {
                                Some(figure) => { td { (count(figure.p50)) } td { (count(figure.p99)) } }
                                None => { td { "n/a" } td { "n/a" } }
                            }
                            td { @match &route.bytes { Some(figure) => (bytes(figure.p50)), None => "n/a" } }
                            td { (count(here as u64)) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn of_route(report: &Report, name: &str) -> bool {
    report.request.as_ref().is_some_and(|it| it.name == name)
}

pub(super) fn route_link(asked: &Asked, name: &str) -> String {
    asked.link(&format!("/route?name={}", encoded(name)))
}

/// As a value in a query: all but letters and digits as bytes.
pub(super) fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A text from outside, on one line.
pub(super) fn shown(text: &str) -> String {
    crate::report::escape::Escaped(text).to_string()
}

/// The first so many of these, of which the title says what they are.
pub(super) fn list(asked: &Asked, title: &str, reports: &[Arc<Report>], most: usize) -> Markup {
    html! {
        @if reports.is_empty() { p.faint { "None is kept." } }
        @else {
            div.wide tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th.text { "Request" } th { "Time" } th { "Allocates" } th { "Bytes" }
                        th.text { "Outcome" } th.text { "Kept because" }
                    } }
                    tbody {
                        @for report in reports.iter().take(most) {
                            @if let Some(request) = &report.request { (line(asked, report, request)) }
                        }
                    }
                }
            }
            @if reports.len() > most { p.faint { "And " (count((reports.len() - most) as u64)) " more." } }
        }
    }
}

fn line(asked: &Asked, report: &Report, request: &Request) -> Markup {
    let compared = request.compared.as_ref();
    html! {
        tr {
            th.text {
                a href=(asked.link(&format!("/trace/{}", report.trace))) { (shown(&request.name)) }
                @if let Some(id) = &request.id { " " span.faint { (shown(id)) } }
            }
            td.warm[compared.is_some_and(Compared::wall_stands_out)] {
                (time(request.wall))
                @if let Some(compared) = compared { span.usual { "usual " (time(compared.usual_wall.p50)) } }
            }
            td.warm[compared.is_some_and(Compared::allocates_stand_out)] {
                @match &report.total { Some(total) => (count(total.allocates())), None => "n/a" }
                @if let Some(usual) = compared.and_then(|it| it.usual_allocates) { span.usual { "usual " (count(usual.p50)) } }
            }
            td { @match &report.total { Some(total) => (bytes(total.bytes_allocated)), None => "n/a" } }
            td.text { (ending(&request.outcome)) }
            td.text { (request.reasons.iter().map(|it| shown(it)).collect::<Vec<_>>().join(", ")) }
        }
    }
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
