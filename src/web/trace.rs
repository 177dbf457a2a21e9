//! One request: what is known of it, its calls as a [waterfall], and its exports.

use std::fmt::{self, Write as _};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Serialize;

use crate::export::{Format, UnknownFormat};
use crate::hotspots::By;
use crate::report::units::{bytes, count, or_unknown, plural, time};
use crate::report::{Compared, Report};

use super::asked::encoded;
use super::layout::shown;
use super::requests::{ending, reasons, title};
use super::{Asked, Mounted, Refused, compare, json, layout, waterfall};

/// Bytes of text up to which the page includes it; there is a link to longer texts.
const MOST_TEXT: usize = 256 << 10;

/// Serves the report in a [`Format`]: plain text is shown, others are downloaded.
pub(super) fn export(page: &Mounted, asked: &Asked) -> Result<Response, Refused> {
    let report = page.asked_report(asked)?;
    let name = asked.path.get(1).map_or("", String::as_str);
    let failed = |why: String| Refused(StatusCode::NOT_FOUND, why);
    let format: Format = name
        .parse()
        .map_err(|why: UnknownFormat| failed(why.to_string()))?;
    // By bytes, if they are counted.
    let format = if report.total.is_some() {
        format
    } else {
        format.by(By::SelfTime)
    };
    let mut content = Vec::new();
    let written = format.write([&*report], &mut content);
    written.map_err(|why| failed(why.to_string()))?;
    let mut response = ([(header::CONTENT_TYPE, format.media_type())], content).into_response();
    if !format.media_type().starts_with("text/plain") {
        let file = format!("trace-{}.{}", report.trace, format.extension());
        let disposition = HeaderValue::try_from(format!("attachment; filename=\"{file}\""));
        let disposition = disposition.map_err(|why| failed(why.to_string()))?;
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// Returns the report as lines and as a tree, unless that is too long for the page.
fn text(report: &Report) -> Option<String> {
    struct Bounded(String);
    impl fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.push_str(text);
            // The first error ends the rendering: of a long trace it takes longer than the page.
            if self.0.len() > MOST_TEXT {
                Err(fmt::Error)
            } else {
                Ok(())
            }
        }
    }
    let mut text = Bounded(String::new());
    write!(text, "{report}\n\n{report:#}").ok()?;
    Some(text.0)
}

pub(super) fn page(page: &Mounted, asked: &Asked) -> Result<Response, Refused> {
    let report = page.asked_report(asked)?;
    if asked.is_json {
        #[derive(Serialize)]
        struct TraceInJson<'a> {
            report: &'a Report,
        }
        return Ok(json::page("trace", TraceInJson { report: &report }));
    }
    let here = asked.trace(report.trace);
    let started = asked
        .get("started")
        .map(|it| format!("?started={}", encoded(it)));
    let started = started.unwrap_or_default();
    let part = format!(
        "{here}{started}{}from=",
        if started.is_empty() { "?" } else { "&" }
    );
    let name = report.name();
    let text = text(&report);
    let content = html! {
        h1 { a href=(asked.route(name)) { (title(name)) }
            @if let Some(id) = report.request.as_ref().and_then(|it| it.id.as_ref()) { " " span.faint { (shown(id)) } } }
        (facts(page, asked, &report))
        (compare::links(page, asked, &report))
        (waterfall::draw(&report, waterfall::first_shown(asked)?, &part))
        p { "Take it away: "
            @for (place, format) in Format::ALL.iter().enumerate() {
                @if place > 0 { ", " }
                a href=(format!("{here}/{format}{started}")) title=(format.description()) { (format) }
            } }
        @if let Some(text) = text {
            details { summary { "Copy as text" } textarea readonly aria-label="The trace as text" { (text) } }
        }
    };
    Ok(layout::page(
        asked,
        &format!("{} {}", title(name), report.trace),
        None,
        &content,
    )
    .into_response())
}

fn facts(page: &Mounted, asked: &Asked, report: &Report) -> Markup {
    let when = asked.when();
    html! {
        @if let Some(request) = &report.request {
            @let compared = request.compared.as_ref();
            ul.facts {
                li { (when.time(report.started)) " "
                    @if page.started_of(report).is_some() { (when.ago(report.started)) }
                    @else { a href=(format!("{}&trace={}#minutes", asked.route(&request.name), report.trace)) { (when.ago(report.started)) } } }
                li { (ending(&request.outcome)) }
                li.warm[compared.is_some_and(Compared::wall_stands_out)] {
                    b { (time(request.wall)) }
                    @if let Some(it) = compared { span.faint { " (usual " (time(it.usual_wall.p50)) ", p99 " (time(it.usual_wall.p99)) ")" } }
                }
                li.warm[compared.is_some_and(Compared::allocates_stand_out)] {
                    "allocates "
                    b { (or_unknown(report.total, |it| format!("{} ({})", count(it.allocates()), bytes(it.bytes_allocated)))) }
                    @if let Some(usual) = compared.and_then(|it| it.usual_allocates) { span.faint { " (usual " (count(usual.p50)) ", p99 " (count(usual.p99)) ")" } }
                }
                @if let Some(net_bytes) = report.total.map(|it| it.net_bytes()) {
                    li.warm[compared.is_some_and(Compared::net_bytes_stand_out)] {
                        @if net_bytes < 0 { "returns " } @else { "keeps " }
                        b { (bytes(net_bytes.unsigned_abs())) }
                        @if let Some(usual) = compared.and_then(|it| it.usual_net_bytes) { span.faint { " (usual " (bytes(usual.p50)) ", p99 " (bytes(usual.p99)) ")" } }
                    }
                }
                @if let Some(it) = &report.subscriber {
                    li { "subscriber: " b { (plural(it.allocates(), "allocation")) " (" (bytes(it.bytes_allocated)) ")" } }
                }
                @if request.reasons.is_empty() { li { "typical of its route, and not kept otherwise" } }
                @else { li { "kept: " (reasons(request)) } }
                @if let Some(id) = report.trace_id { li.faint { "trace id " b #trace-id { (id) } } }
                @if let Some(id) = report.parent_span { li.faint { "called by span " b { (id) } } }
                @for (label, value) in &request.labels { li.faint { (shown(label)) " " b { (shown(value)) } } }
            }
        } @else {
            ul.facts {
                li { (ending(report.outcome())) }
                li { b { (time(report.elapsed)) } }
                li { "allocates " b { (or_unknown(report.total, |it| format!("{} ({})", count(it.allocates()), bytes(it.bytes_allocated)))) } }
                li { "no recorder kept it" }
                li { (when.time(report.started)) " " (when.ago(report.started)) }
            }
        }
        @if !page.links.is_empty() {
            @let id = report.request.as_ref().and_then(|it| it.id.as_deref());
            p { "Elsewhere:" (page.links.of(report.trace_id, id)) }
        }
        @if report.dropped > 0 { p.bad { (count(report.dropped)) " calls, checkpoints or messages could not be recorded." } }
    }
}
