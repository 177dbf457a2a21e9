//! Hotspots: all requests of the last minutes, by function and as a flame graph.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use crate::hotspots::json::HotspotsInJson;
use crate::hotspots::{By, Hotspot};
use crate::report::names::Names;
use crate::report::units::{bytes, count, or_unknown, percent, plural, time};

use super::asked::encoded;
use super::flames::Flames;
use super::json::ByInJson;
use super::layout::{and_more, cell, shown};
use super::{Asked, Mounted, Refused, json, layout, lines};

/// Number of functions that are shown.
const MOST: usize = 30;
/// Number of functions in JSON.
const MOST_IN_JSON: usize = 1000;

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

/// Returns the route that was asked for, if any.
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
    let hotspots = page.source.hotspots(route);
    let functions = hotspots.functions(by);
    if asked.is_json {
        let most = functions.len().min(MOST_IN_JSON);
        let content = HotspotsInJson::of(&hotspots, &functions[..most]);
        return Ok(json::page("hotspots", ByInJson::of(by, route, content)));
    }
    let names = hotspots.names();
    let flames = Flames::of(by, hotspots.paths());
    let query = |by: By| {
        let route = route.map_or_else(String::new, |it| format!("&route={}", encoded(it)));
        format!("/hotspots?by={}{route}", by.name())
    };
    let content = html! {
        h1 { "Hotspots" @if let Some(route) = route { " of " (shown(route)) } }
        p.faint {
            @if page.source.recorder().is_some() { "Over all " (count(hotspots.reports())) " requests of the last minutes, kept or not. " }
            @else { "Over the " (plural(hotspots.reports(), "kept request")) " in memory. " }
            "Self: without the calls inside."
        }
        nav aria-label="Figures" {
            @for (figure, name) in FIGURES {
                @let here = asked.link(&query(figure));
                @if figure == by { a href=(here) aria-current="page" { (name) } } @else { a href=(here) { (name) } }
            }
        }
        @if functions.is_empty() { p { "There was no call." } }
        @else {
            h2 #flames { "Flame graph" }
            @if flames.whole() == 0 { p { "There is nothing to draw: no call has any of it, or it is not counted." } }
            @else { (flame_graph(&flames, &names, asked, &query(by), CALLS)) }
            h2 { "Functions" }
            (table(&functions, &names, by, flames.whole()))
            @if by.is_of_sites() { (of_lines(page, route, by, asked, &query(by))) }
        }
    };
    Ok(layout::page(asked, "Hotspots", None, &content).into_response())
}

/// The section of the lines that allocate, if a kept request has them.
fn of_lines(page: &Mounted, route: Option<&str>, by: By, asked: &Asked, here: &str) -> Markup {
    let hotspots = lines::hotspots(&page.source.kept(), route);
    let flames = Flames::of(by, hotspots.paths());
    html! {
        @if flames.whole() > 0 {
            h2 #lines { "Lines that allocate" }
            p.faint { "Over the " (plural(hotspots.reports(), "kept request")) " with allocation sites. Functions of the standard library are left out." }
            (flame_graph(&flames, &hotspots.names(), asked, here, LINES))
            (lines::table(&hotspots, by, flames.whole()))
        }
    }
}

/// The query's parameter for what a flame graph is zoomed into, the graph's anchor, and its label.
type Zoom = (&'static str, &'static str, &'static str);

const CALLS: Zoom = ("at", "flames", "Flame graph");
const LINES: Zoom = ("line", "lines", "Flame graph of lines");

fn flame_graph(
    flames: &Flames<'_>,
    names: &Names<'_>,
    asked: &Asked,
    here: &str,
    (parameter, anchor, label): Zoom,
) -> Markup {
    let wanted = asked.get(parameter);
    let zoomed = wanted.and_then(|it| flames.find(it));
    let link = |path: Option<&str>| {
        let path = path.map_or_else(String::new, |it| format!("&{parameter}={it}"));
        asked.link(&format!("{here}{path}#{anchor}"))
    };
    html! {
        p.faint {
            "A bar is a call, as wide as its share, with the calls inside below it. "
            @if zoomed.is_some() { a href=(link(None)) { "Zoom out" } }
            @else { "Click on one to zoom in." }
        }
        @if wanted.is_some() && zoomed.is_none() { p.warm { "No call of the last minutes came the way that was asked for: this is all." } }
        div.wide tabindex="0" role="region" aria-label=(label) { (flames.draw(names, zoomed, link)) }
    }
}

fn table(functions: &[Hotspot<'_>], names: &Names<'_>, by: By, whole: u64) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Functions" {
            table.functions {
                thead { tr {
                    th.text { "Function" } th { "Share" } th { "Calls" } th { "Failures" } th { "Cancelled" } th { "Time" } th { "Self time" }
                    th { "Allocates" } th { "Self allocates" } th { "Bytes" } th { "Self bytes" } th { "Peak" }
                } }
                tbody {
                    @for function in functions.iter().take(MOST) {
                        @let (frame, totals) = (function.frame, function.totals);
                        tr {
                            th.text title=(shown(&format!("{}::{}", frame.module, frame.name))) {
                                (shown(&names.get(frame.module, frame.name)))
                                span.usual { (shown(frame.file)) ":" (frame.line) }
                            }
                            (cell("Share", &percent(by.of(totals), whole)))
                            (cell("Calls", &count(totals.calls)))
                            td.bad[totals.failures > 0] data-of="Failures" { (count(totals.failures)) }
                            (cell("Cancelled", &count(totals.cancelled)))
                            (cell("Time", &time(totals.wall)))
                            (cell("Self time", &time(totals.self_wall)))
                            (cell("Allocates", &or_unknown(totals.total, |it| count(it.allocates()))))
                            (cell("Self allocates", &or_unknown(totals.self_counts, |it| count(it.allocates()))))
                            (cell("Bytes", &or_unknown(totals.total, |it| bytes(it.bytes_allocated))))
                            (cell("Self bytes", &or_unknown(totals.self_counts, |it| bytes(it.bytes_allocated))))
                            (cell("Peak", &or_unknown(totals.peak_bytes, bytes)))
                        }
                    }
                }
            }
        }
        (and_more(functions.len(), MOST))
    }
}
