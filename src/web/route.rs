//! One route: what was kept of it, by how long it took.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

use crate::report::Report;
use crate::report::units::{count, time};

use super::overview::{encoded, list, of_route, shown, wall};
use super::{Asked, Page, Refused, charts, layout};

/// The bounds of what is shown together.
const BOUNDS: [Duration; 6] = [
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::MAX,
];

pub(super) fn page(page: &Page, asked: &Asked) -> Result<Response, Refused> {
    let name = asked.get("name").ok_or_else(|| {
        Refused(
            StatusCode::BAD_REQUEST,
            "expected ?name= and a route's name".to_owned(),
        )
    })?;
    let routes = page.recorder.routes();
    let route = routes.iter().find(|it| it.name == name).ok_or_else(|| {
        let name = shown(&crate::recorder::bounded(name));
        Refused(
            StatusCode::NOT_FOUND,
            format!("There is no route “{name}”."),
        )
    })?;
    let mut kept = page.recorder.kept();
    kept.retain(|report| of_route(report, name));
    let mut lowest = Duration::ZERO;
    let buckets: Vec<(String, Vec<Arc<Report>>)> = BOUNDS
        .into_iter()
        .map(|below| {
            let is_in = |report: &&Arc<Report>| (lowest..below).contains(&wall(report));
            let reports = kept.iter().filter(is_in).cloned().collect();
            let title = match below {
                Duration::MAX => format!("{} and more", time(lowest)),
                below => format!("below {}", time(below)),
            };
            lowest = below;
            (title, reports)
        })
        .filter(|(_, reports): &(String, Vec<_>)| !reports.is_empty())
        .collect();
    let hotspots = asked.link(&format!("/hotspots?route={}", encoded(name)));
    let content = html! {
        h1 { (shown(name)) }
        ul.facts {
            li { "Ended " b { (count(route.ended)) } }
            li { "Kept " b { (count(route.kept)) } }
            li { "Not kept " b { (count(route.not_kept)) } }
            li { "Dropped " b { (count(route.dropped)) } }
            li { "In flight " b { (count(route.in_flight)) } }
            @if let Some(wall) = &route.wall {
                li { "p50 " b { (time(wall.p50)) } }
                li { "p95 " b { (time(wall.p95)) } }
                li { "p99 " b { (time(wall.p99)) } }
            }
            li { (charts::spread(&route.wall_bins)) }
            li { a href=(hotspots) { "Hotspots" } }
        }
        @if kept.is_empty() { p { "None of it is in memory." } }
        @for (title, reports) in &buckets {
            h2 { (title) " (" (count(reports.len() as u64)) ")" }
            (list(asked, title, reports, 100))
        }
    };
    Ok(layout::page(asked, &shown(name), None, &content).into_response())
}
