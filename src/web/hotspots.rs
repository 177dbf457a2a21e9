//! What all requests of the last minutes did, by function, and as a flame graph.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;

use crate::hotspots::By;
use crate::report::units::{bytes, count, or_unknown, percent, time};

use super::layout::{cell, encoded, shown};
use super::{Asked, Mounted, Refused, layout};

/// So many functions.
const MOST: usize = 30;

const FIGURES: [(By, &str); 3] = [
    (By::SelfTime, "Time"),
    (By::SelfAllocations, "Allocations"),
    (By::SelfBytes, "Bytes"),
];

fn by(asked: &Asked) -> Result<By, Refused> {
    let Some(name) = asked.get("by") else {
        return Ok(FIGURES[0].0);
    };
    name.parse().map_err(|_| {
        let name: String = name.chars().take(40).collect();
        let names = FIGURES.map(|(by, _)| by.name()).join(", ");
        Refused(
            StatusCode::BAD_REQUEST,
            format!("“{name}” is no figure: expected one of {names}"),
        )
    })
}

/// The route that was asked for, if any.
fn route<'a>(page: &Mounted, asked: &'a Asked) -> Result<Option<&'a str>, Refused> {
    let route = asked.get("route");
    if let Some(route) = route {
        page.route(route)?;
    }
    Ok(route)
}

pub(super) fn page(page: &Mounted, asked: &Asked) -> Result<Response, Refused> {
    let by = by(asked)?;
    let route = route(page, asked)?;
    let hotspots = page.recorder.hotspots(route);
    let functions = hotspots.functions(by);
    let figures: u64 = functions
        .iter()
        .map(|it| by.of(it.totals))
        .fold(0, u64::saturating_add);
    let query = |by: By| {
        let route = route.map_or_else(String::new, |it| format!("&route={}", encoded(it)));
        format!("?by={}{route}", by.name())
    };
    let content = html! {
        h1 { "Hotspots" @if let Some(route) = route { " of " (shown(route)) } }
        p.faint { "Over all " (count(hotspots.reports())) " requests of the last minutes, kept or not. Self: without the calls inside." }
        nav aria-label="Figures" {
            @for (figure, name) in FIGURES {
                @let here = asked.link(&format!("/hotspots{}", query(figure)));
                @if figure == by { a href=(here) aria-current="page" { (name) } } @else { a href=(here) { (name) } }
            }
        }
        @if functions.is_empty() { p { "There was no call." } }
        @else {
            @let picture = asked.link(&format!("/flamegraph.svg{}", query(by)));
            h2 { "Flame graph" }
            @if figures == 0 { p { "There is nothing to draw: none of it in any call, or it is not counted." } }
            @else { div.wide tabindex="0" role="region" aria-label="Flame graph" {
                a href=(picture) title="Open it to search it and to zoom in" { img.flames src=(picture) alt="Flame graph: the same figures as in the table below, by path"; }
            } }
            h2 { "Functions" }
            div.wide tabindex="0" role="region" aria-label="Functions" {
                table {
                    thead { tr {
                        th.text { "Function" } th { "Share" } th { "Calls" } th { "Failures" } th { "Time" } th { "Self time" }
                        th { "Allocates" } th { "Self" } th { "Bytes" } th { "Self bytes" } th { "Peak" } th.text { "At" }
                    } }
                    tbody {
                        @for function in functions.iter().take(MOST) {
                            @let totals = function.totals;
                            tr {
                                th.text { (shown(function.frame.name)) }
                                (cell("Share", &percent(by.of(totals), figures)))
                                (cell("Calls", &count(totals.calls)))
                                td.bad[totals.failures > 0] data-of="Failures" { (count(totals.failures)) }
                                (cell("Time", &time(totals.wall)))
                                (cell("Self time", &time(totals.own_wall)))
                                (cell("Allocates", &or_unknown(totals.total, |it| count(it.allocates()))))
                                (cell("Self", &or_unknown(totals.own, |it| count(it.allocates()))))
                                (cell("Bytes", &or_unknown(totals.total, |it| bytes(it.bytes_allocated))))
                                (cell("Self bytes", &or_unknown(totals.own, |it| bytes(it.bytes_allocated))))
                                (cell("Peak", &or_unknown(totals.peak_bytes, bytes)))
                                td.text.faint data-of="At" { (shown(function.frame.file)) ":" (function.frame.line) }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(layout::page(asked, "Hotspots", None, &content).into_response())
}

pub(super) fn flamegraph(page: &Mounted, asked: &Asked) -> Result<Response, Refused> {
    let by = by(asked)?;
    let mut picture = Vec::new();
    let hotspots = page.recorder.hotspots(route(page, asked)?);
    hotspots.write_flamegraph(by, &mut picture).map_err(|why| {
        Refused(
            StatusCode::NOT_FOUND,
            format!("There is no flame graph: {why}"),
        )
    })?;
    let mut response = picture.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("image/svg+xml"),
    );
    // Opened by itself it can be searched and zoomed into: with a style and a script of its own, in a
    // sandbox, in which it has no part of this site and reaches nobody.
    let policy = "sandbox allow-scripts allow-modals; default-src 'none'; \
                  script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; \
                  form-action 'none'; frame-ancestors 'none'";
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
    Ok(response)
}
