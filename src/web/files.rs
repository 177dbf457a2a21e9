//! The overview of files: what is in them, and the requests worth a look.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Serialize;

use crate::report::units::{count, or_unknown, plural, time};
use crate::report::{Compared, Outcome, Report};

use super::failures::Groups;
use super::followed::ArchiveContents;
use super::json::{GroupInJson, KeptInJson};
use super::layout::{cell, shown, with_more};
use super::overview::{MOST, Worst};
use super::requests::{Bucket, title};
use super::{Asked, Mounted, json, layout};

/// Number of routes that are shown. A recorder bounds theirs, but files may have any.
const MOST_ROUTES: usize = 500;

/// The requests of a route that are in memory.
struct OfRoute {
    /// The newest first.
    kept: Vec<Arc<Report>>,
    failed: u64,
    panicked: u64,
    cancelled: u64,
}

impl OfRoute {
    fn of(kept: &[Arc<Report>]) -> BTreeMap<&str, Self> {
        let mut routes = BTreeMap::new();
        for report in kept {
            let route = routes.entry(report.name()).or_insert_with(|| Self {
                kept: Vec::new(),
                failed: 0,
                panicked: 0,
                cancelled: 0,
            });
            route.kept.push(Arc::clone(report));
            match report.outcome() {
                Outcome::Failed(_) => route.failed += 1,
                Outcome::Panicked => route.panicked += 1,
                Outcome::Cancelled => route.cancelled += 1,
                Outcome::Ok | Outcome::Running => {}
            }
        }
        routes
    }

    /// Returns what was usual when the newest request was kept.
    fn usual(&self) -> Option<&Compared> {
        let mut requests = self.kept.iter().filter_map(|it| it.request.as_ref());
        requests.find_map(|it| it.compared.as_ref())
    }
}

#[derive(Serialize)]
struct OverviewInJson<'a> {
    files: FilesInJson,
    routes: Vec<RouteInJson<'a>>,
    failures: Vec<GroupInJson<'a>>,
    slowest: Vec<KeptInJson>,
    heaviest: Vec<KeptInJson>,
}

#[derive(Serialize)]
struct FilesInJson {
    files: usize,
    reports: u64,
    in_memory: usize,
    unreadable_lines: u64,
}

#[derive(Serialize)]
struct RouteInJson<'a> {
    name: &'a str,
    in_memory: usize,
    failed: u64,
    panicked: u64,
    cancelled: u64,
}

pub(super) fn page(page: &Mounted, asked: &Asked, contents: &ArchiveContents) -> Response {
    let kept = page.source.kept();
    let routes = OfRoute::of(&kept);
    let worst = Worst::of(&kept);
    let groups = Groups::of(&kept, None, None);
    if asked.is_json {
        let content = OverviewInJson {
            files: FilesInJson {
                files: contents.files,
                reports: contents.reports,
                in_memory: contents.in_memory,
                unreadable_lines: contents.unreadable,
            },
            routes: { routes.iter() }
                .map(|(name, it)| RouteInJson {
                    name,
                    in_memory: it.kept.len(),
                    failed: it.failed,
                    panicked: it.panicked,
                    cancelled: it.cancelled,
                })
                .collect(),
            failures: groups.in_json(MOST),
            slowest: KeptInJson::first(&worst.slowest, MOST),
            heaviest: KeptInJson::first(&worst.heaviest, MOST),
        };
        return json::page("overview", content);
    }
    let content = html! {
        h1 { "Overview" }
        (facts(asked, contents, &kept))
        h2 { "Routes" }
        (routes_table(asked, &routes))
        h2 { "Failures" }
        (groups.table(page, asked, MOST, true))
        (worst.lists(page, asked))
    };
    layout::page(asked, "Overview", None, &content).into_response()
}

fn facts(asked: &Asked, contents: &ArchiveContents, kept: &[Arc<Report>]) -> Markup {
    let bounds = kept.last().zip(kept.first());
    html! {
        ul.facts {
            li { "Kept requests in " (plural(contents.files as u64, "file")) " " b #reports { (count(contents.reports)) } }
            li { "In memory " b #in-memory { (count(contents.in_memory as u64)) } }
            @if let Some((oldest, newest)) = bounds {
                li.faint { "from " (asked.when().time(oldest.started)) " to " (asked.when().time(newest.started)) }
            }
            @if contents.unreadable > 0 {
                li.bad { (plural(contents.unreadable, "line")) " could not be read"
                    @if let Some((path, line)) = &contents.first_unreadable {
                        ", the first: line " (count(*line)) " of " (shown(&path.display().to_string()))
                    }
                }
            }
        }
        @if contents.in_memory as u64 != contents.reports {
            p.warm { "This page shows the newest " (count(contents.in_memory as u64)) " of "
                (count(contents.reports)) " kept requests. The search covers all of them." }
        }
    }
}

fn routes_table(asked: &Asked, routes: &BTreeMap<&str, OfRoute>) -> Markup {
    html! {
        p.faint { "Files have kept requests only. What is usual is as of the newest of them, over all requests of its last minutes." }
        div.wide tabindex="0" role="region" aria-label="Routes" {
            table.routes {
                thead {
                    tr {
                        th.text rowspan="2" { "Route" } th rowspan="2" { "Kept" } th rowspan="2" { "Failures" }
                        th.text colspan="2" { "Usual time" } th.text colspan="2" { "Usually allocates" }
                        th.text rowspan="2" { "Kept, by time" }
                    }
                    tr { th { "p50" } th { "p99" } th { "p50" } th { "p99" } }
                }
                tbody { @for (name, route) in routes.iter().take(MOST_ROUTES) { (route_row(asked, name, route)) } }
            }
        }
        @if routes.len() > MOST_ROUTES {
            p.faint { "And " (count((routes.len() - MOST_ROUTES) as u64)) " more: the search finds their requests." }
        }
    }
}

fn route_row(asked: &Asked, name: &str, route: &OfRoute) -> Markup {
    let here = asked.route(name);
    let failures = route.failed + route.panicked;
    let usual = route.usual();
    let (wall, allocates) = (
        usual.map(|it| it.usual_wall),
        usual.and_then(|it| it.usual_allocates),
    );
    html! {
        tr {
            th.text { a href=(here) { (title(name)) } }
            (cell("Kept", &count(route.kept.len() as u64)))
            (with_more("Failures", failures, failures > 0, "cancelled", route.cancelled))
            (cell("Usual time p50", &or_unknown(wall, |it| time(it.p50))))
            (cell("Usual time p99", &or_unknown(wall, |it| time(it.p99))))
            (cell("Usually allocates p50", &or_unknown(allocates, |it| count(it.p50))))
            (cell("Usually allocates p99", &or_unknown(allocates, |it| count(it.p99))))
            td.text.buckets data-of="Kept, by time" {
                (Bucket::links(&here, &route.kept))
            }
        }
    }
}
