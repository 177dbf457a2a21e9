//! One route: its kept requests, by how long they took.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Serialize;

use crate::hotspots::By;
use crate::recorder::{Reason, Recorder, RouteStatistics};
use crate::report::Report;
use crate::report::units::{count, time};

use super::asked::encoded;
use super::failures::Groups;
use super::json::{GroupInJson, KeptInJson, MinuteInJson, RouteInJson};
use super::requests::{Bucket, list, title};
use super::timeline::Timeline;
use super::{Asked, Mounted, Refused, charts, json, layout};

/// Number of entries of each list.
const MOST: usize = 100;
/// Number of groups of failures.
const MOST_GROUPS: usize = 10;
const MOST_TYPICAL: usize = 3;

#[derive(Serialize)]
struct OneRouteInJson<'a> {
    route: RouteInJson<'a>,
    minutes: Vec<MinuteInJson>,
    failures: Vec<GroupInJson<'a>>,
    typical: Vec<KeptInJson>,
    in_memory: usize,
    requests: Vec<KeptInJson>,
}

pub(super) fn page(page: &Mounted, asked: &Asked) -> Result<Response, Refused> {
    let name = asked.get("name").ok_or_else(|| {
        Refused(
            StatusCode::BAD_REQUEST,
            "expected ?name= and a route's name".to_owned(),
        )
    })?;
    let route = page.route(name)?;
    let mut kept = page.source.kept();
    kept.retain(|report| report.name() == name);
    let recorder = page.source.recorder();
    let last = recorder.map(|it| (it.minutes(name), it.typical(name)));
    let (minutes, typical) = last.unwrap_or_default();
    let statistics = recorder.map(Recorder::statistics);
    let known = statistics.as_ref().map(|all| (all, route.as_slice()));
    let groups = Groups::of(&kept, Some(name), known);
    if asked.is_json {
        let content = OneRouteInJson {
            route: { route.as_ref() }.map_or_else(|| RouteInJson::of_files(name), RouteInJson::of),
            minutes: minutes.iter().map(MinuteInJson::of).collect(),
            failures: groups.in_json(MOST_GROUPS),
            typical: KeptInJson::first(&typical, typical.len()),
            in_memory: kept.len(),
            requests: KeptInJson::first(&kept, MOST),
        };
        return Ok(json::page("route", content));
    }
    // One that is no longer in memory is not marked.
    let here = asked
        .get("trace")
        .and_then(|it| page.source.get(it.parse().ok()?, None));
    let armed = Reason::Armed.to_string();
    let with_lines: Vec<_> = { kept.iter() }
        .filter(|it| is_kept_as(it, &armed))
        .cloned()
        .collect();
    let hotspots = asked.link(&format!("/hotspots?route={}", encoded(name)));
    let lines = format!("{hotspots}&by={}", By::SelfBytes.name());
    let search = asked.link(&format!("/search?route={}", encoded(name)));
    let content = html! {
        h1 { (title(name)) }
        ul.facts {
            @if let Some(route) = &route {
                li { "Ended " b { (count(route.ended)) } }
                li { "Kept " b { (count(route.kept)) } }
                li { "Not kept " b { (count(route.not_kept)) } }
                li { "Dropped " b { (count(route.dropped)) } }
                li { "In flight " b { (count(route.in_flight)) } }
            } @else { li { "In memory " b { (count(kept.len() as u64)) } } }
            @if !name.is_empty() { li { a href=(search) { "Search" } } }
            li { a href=(hotspots) { "Hotspots" } }
        }
        @if let Some(route) = &route {
            (arming(page, route))
            (recent(route))
            h2 #minutes { "The last hours" }
            (Timeline::of(asked, &minutes, &kept).draw(here.as_deref()))
        }
        @if groups.failures.count > 0 {
            h2 { "Failures" }
            (groups.table(page, asked, MOST_GROUPS, false))
        }
        @if !typical.is_empty() {
            h2 { "Typical" }
            p.faint { "Near the median of the last minutes when they ended, to compare others with." }
            (list(page, asked, "Typical", &typical, MOST_TYPICAL))
        }
        @if !with_lines.is_empty() {
            h2 #armed { "Armed (" (count(with_lines.len() as u64)) ")" }
            p { a href=(lines) { "Lines that allocate" } }
            (list(page, asked, "Armed", &with_lines, MOST))
        }
        @if kept.is_empty() { p { "None of it is in memory." } }
        @for Bucket { title, anchor, reports } in &Bucket::of(&kept) {
            h2 id=(anchor) { "Kept, " (title) " (" (count(reports.len() as u64)) ")" }
            (list(page, asked, title, reports, MOST))
        }
    };
    Ok(layout::page(asked, &title(name), None, &content).into_response())
}

/// Shows the figures of the last minutes.
fn recent(route: &RouteStatistics) -> Markup {
    html! {
        p.faint { "Of the last minutes:" }
        ul.facts {
            li { "Failed " b.bad[route.failed > 0] { (count(route.failed)) } }
            li { "Panicked " b.bad[route.panicked > 0] { (count(route.panicked)) } }
            li { "Cancelled " b.bad[route.cancelled > 0] { (count(route.cancelled)) } }
            @if let Some(wall) = &route.wall {
                li { "p50 " b { (time(wall.p50)) } ", p95 " b { (time(wall.p95)) } ", p99 " b { (time(wall.p99)) } }
                li { (charts::times(&route.wall_bins)) }
            }
            @if let Some(allocates) = &route.allocates {
                li { "allocates p50 " b { (count(allocates.p50)) } ", p95 " b { (count(allocates.p95)) } ", p99 " b { (count(allocates.p99)) } }
                li { (charts::allocations(&route.allocates_bins)) }
            }
        }
    }
}

/// Returns whether this is a reason for which the request was kept.
fn is_kept_as(report: &Report, reason: &String) -> bool {
    { report.request.as_ref() }.is_some_and(|request| request.reasons.contains(reason))
}

/// Shows how far an armed route has come, or the line of code that arms it: the page itself changes nothing.
fn arming(page: &Mounted, route: &RouteStatistics) -> Markup {
    let arms_itself = page.source.recorder().and_then(Recorder::arms_itself);
    let by_hand = format!("recorder.arm({:?})", route.name);
    html! {
        @if let Some(armed) = route.armed {
            p { b { (armed) } " requests: each records which lines allocate, and is kept." }
        }
        @else if let (Some(arms_itself), Some(_)) = (arms_itself, route.total) {
            p.faint { "Not armed. To record which lines allocate in its next requests: " code { (by_hand) }
                @if arms_itself { ". A request that allocates more than usual does it, too." }
                @else { ". To do it if a request allocates more than usual: " code { "Recorder::builder().arm(Arming::default())" } }
            }
        }
    }
}
