//! One request: its calls as a waterfall, with times and allocations, and its exports.

use std::cell::Cell;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Serialize;

use crate::export::{Format, UnknownFormat};
use crate::hotspots::By;
use crate::report::names::Names;
use crate::report::outline::{Entry, Outline};
use crate::report::text::messages_below;
use crate::report::together::{self, Together};
use crate::report::units::{bytes, count, or_unknown, percent, plural, time};
use crate::report::{CallReport, Compared, FoldedReport, Outcome, Report};

use super::asked::encoded;
use super::layout::{beside_usual, callsite, cell, indent, peak, shown};
use super::requests::{ending, reasons, title};
use super::{Asked, Mounted, Refused, charts, compare, json, layout, lines, number, repeated};

/// Number of lines that are shown at once; the exports have all calls.
const MOST: usize = 1000;
/// Number of calls that are shown in lines with several of them.
const MOST_REPEATED: usize = 2000;
/// Bytes of text up to which the page includes it; there is a link to longer texts.
const MOST_TEXT: usize = 256 << 10;
/// Number of folded calls that a path names, from the innermost outwards.
const MAX_PATH: usize = 5;

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

/// Returns the report as lines and as a tree.
fn text(report: &Report) -> String {
    format!("{report}\n\n{report:#}")
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
        (waterfall(&report, first_shown(asked)?, &part))
        p { "Take it away: "
            @for (place, format) in Format::ALL.iter().enumerate() {
                @if place > 0 { ", " }
                a href=(format!("{here}/{format}{started}")) title=(format.description()) { (format) }
            } }
        @if text.len() <= MOST_TEXT {
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

/// A line of the table: the number of calls around, and whether the line around is of several calls.
type Line = (Entry, (usize, bool));

/// Returns the lines, each after the line around it, siblings in order of start, and folded calls last.
fn in_order(outline: &Outline<'_>) -> Vec<Line> {
    let (mut lines, mut folded) = (Vec::new(), Vec::new());
    let outermost = outline.outermost().into_iter().rev();
    let mut next: Vec<_> = outermost.map(|entry| (entry, (0, false))).collect();
    while let Some((entry, (depth, is_inside))) = next.pop() {
        let place = (depth + 1, matches!(entry, Entry::Repeated(_)));
        let inside = outline.inside(&entry).into_iter().rev();
        next.extend(inside.map(|entry| (entry, place)));
        let of_its_kind = match &entry {
            Entry::Folded(..) => &mut folded,
            Entry::Call(_) | Entry::Repeated(_) => &mut lines,
        };
        of_its_kind.push((entry, (depth, is_inside)));
    }
    lines.append(&mut folded);
    lines
}

/// Returns the number of the first line that is asked for, from 0.
fn first_shown(asked: &Asked) -> Result<usize, Refused> {
    let first: u64 = asked
        .get("from")
        .map_or(Ok(0), |text| number(text, "place of a line"))?;
    Ok(usize::try_from(first).unwrap_or(usize::MAX))
}

/// Makes links to the other parts of a long list, named by where they stand.
///
/// `part`: the address of a part, without the number of its first line.
fn parts(stand: &str, from: usize, of: usize, part: &str) -> Markup {
    let to = from.saturating_add(MOST).min(of);
    let link = |from: usize| format!("{part}{from}#calls");
    html! {
        @if of > MOST {
            nav aria-label=(format!("Parts, {stand}")) {
                @if from < to { span { (count(from as u64 + 1)) " to " (count(to as u64)) " of " (count(of as u64)) } }
                @else { span { "There are only " (count(of as u64)) "." } }
                @if from > 0 { a href=(link(from.min(of).saturating_sub(MOST))) { "Those before" } }
                @if to < of { a href=(link(to)) { "Those after" } }
            }
        }
    }
}

/// `from`: how many lines are left out before the first one.
fn waterfall(report: &Report, from: usize, part: &str) -> Markup {
    let lines = in_order(&Outline::of(report));
    let (names, is_message_below) = (Names::in_report(report), messages_below(report));
    let whole = report.wall().max(report.elapsed).as_nanos();
    let heap = report.bytes_allocated();
    // Of the calls that lines with several of them list.
    let left = Cell::new(MOST_REPEATED);
    html! {
        h2 #calls { "Calls" }
        (parts("above", from, lines.len(), part))
        @if lines.is_empty() { p.faint { "No call was recorded." } }
        @else {
            div.wide tabindex="0" role="region" aria-label="Calls" {
                table.calls {
                    thead { tr {
                        th.text { "Call" } th.text { "When" } th { "Time" } th { "Self busy" } th { "Allocates" } th { "Self allocates" }
                        th { "Bytes" } th.text { "Self bytes" } th { "Peak" } th.text { "Outcome" }
                    } }
                    tbody {
                        @for (entry, place) in lines.iter().skip(from).take(MOST) {
                            @match entry {
                                Entry::Call(index) => {
                                    @let call = &report.calls[*index];
                                    (row(call, &names, place.0, whole, heap, is_message_below[*index]))
                                }
                                Entry::Repeated(calls) => (repeated::row(&Together::of(report, calls), &names, *place, whole, heap, &left)),
                                Entry::Folded(first, others) => {
                                    @let path = path_of_folded(report, *first, &names);
                                    (folded(&together::folded(report, *first, others), &path))
                                }
                            }
                        }
                    }
                }
            }
            (legend(report, &lines))
            (parts("below", from, lines.len(), part))
        }
    }
}

/// Explains the marks that are in the table.
fn legend(report: &Report, lines: &[Line]) -> Markup {
    let compared = || { report.calls.iter() }.filter_map(|call| call.compared.as_deref());
    html! {
        @if compared().any(Compared::stands_out) {
            p.faint { span.warm { "Bold" } ": above the figure of 95 in 100 recent requests of this route, and at least twice the usual one." }
        }
        @if lines.iter().any(|(entry, _)| says_all(report, entry)) {
            p.faint { b { "all:" } " the calls of this path together, of which this is the first." }
        }
        @if lines.iter().any(|(entry, (_, is_inside))| !is_inside && compared_in(report, entry).is_some_and(Compared::is_n_plus_one)) {
            p.faint { b { "N+1:" } " many calls where requests usually have one to three, often a query in a loop." }
        }
    }
}

/// Returns the comparison that a line shows.
fn compared_in<'a>(report: &'a Report, entry: &Entry) -> Option<&'a Compared> {
    let calls = match entry {
        Entry::Call(call) => std::slice::from_ref(call),
        Entry::Repeated(calls) => calls,
        Entry::Folded(..) => &[],
    };
    let compared = |call: &usize| report.calls[*call].compared.as_deref();
    calls.iter().find_map(compared)
}

/// Returns whether a line says that its comparison is not of its calls alone.
fn says_all(report: &Report, entry: &Entry) -> bool {
    compared_in(report, entry).is_some_and(|it| match entry {
        Entry::Repeated(calls) => it.calls > calls.len() as u64,
        _ => !it.is_of_one_call(),
    })
}

/// Returns a path of folded calls, as `chunk › parse_line`, with as many names as fit on a line.
fn path_of_folded(report: &Report, index: usize, names: &Names<'_>) -> String {
    let around = |index: &usize| report.folded[*index].within.filter(|within| within < index);
    let path = std::iter::successors(Some(index), around);
    let mut names: Vec<_> = { path.take(MAX_PATH) }
        .map(|index| names.get(&report.folded[index].module, &report.folded[index].name))
        .collect();
    names.reverse();
    names.join(" › ")
}

/// Makes the row of folded calls.
fn folded(folded: &FoldedReport, path: &str) -> Markup {
    html! {
        tr {
            th.text.tree { (shown(path)) span.faint { " × " (count(folded.calls)) " folded" } (lines::of_call(folded.sites.as_deref(), "")) }
            td {}
            (cell("Time", &time(folded.wall)))
            (cell("Self busy", &time(folded.self_busy)))
            (cell("Allocates", &or_unknown(folded.total, |it| count(it.allocates()))))
            (cell("Self allocates", &or_unknown(folded.self_counts, |it| count(it.allocates()))))
            (cell("Bytes", &or_unknown(folded.total, |it| bytes(it.bytes_allocated))))
            td {} td {}
            td.text data-of="Outcome" {
                @if folded.running > 0 { (count(folded.running)) " running " }
                @if folded.failures > 0 { span.bad { (count(folded.failures)) " failed" } " " }
                @if folded.cancelled > 0 { (count(folded.cancelled)) " cancelled " }
                @if folded.moved { span.faint { "moved " } }
                @if folded.partial { span.faint { "partial" } }
            }
        }
    }
}

fn row(
    call: &CallReport,
    names: &Names<'_>,
    depth: usize,
    whole: u128,
    heap: u64,
    is_message_below: bool,
) -> Markup {
    let (start, stop) = (call.start, call.start.saturating_add(call.wall));
    let marks: Vec<u64> = { call.checkpoints.iter() }
        .map(|it| charts::part(start.saturating_add(it.at).as_nanos(), whole))
        .collect();
    // A comparison of several calls is shown below the first one's name.
    let compared = { call.compared.as_deref() }.filter(|it| it.is_of_one_call());
    let usual = compared.and_then(|it| it.usual_allocates);
    let own = call.self_counts.map_or(0, |it| it.bytes_allocated);
    let class = match call.outcome {
        Outcome::Ok | Outcome::Running | Outcome::Cancelled => "time",
        Outcome::Failed(_) | Outcome::Panicked => "failed",
    };
    let (from, to) = (start.as_nanos(), stop.as_nanos());
    html! {
        tr {
            th.text.tree title=(callsite(&call.module, &call.name, &call.file, call.line)) {
                (what(call, names, &indent(depth)))
            }
            td.text.when data-of="When" {
                (charts::bar(class, charts::part(from, whole), charts::part(to, whole), &marks))
                span.usual { "at " (time(start)) span.unseen { ", level " (depth + 1) } }
            }
            (beside_usual("Time", &time(call.wall), compared.map(|it| time(it.usual_wall.p50)),
                compared.is_some_and(Compared::wall_stands_out)))
            (cell("Self busy", &time(call.self_busy)))
            (beside_usual("Allocates", &or_unknown(call.total, |it| count(it.allocates())), usual.map(|it| count(it.p50)),
                compared.is_some_and(Compared::allocates_stand_out)))
            (cell("Self allocates", &or_unknown(call.self_counts, |it| count(it.allocates()))))
            (cell("Bytes", &or_unknown(call.total, |it| bytes(it.bytes_allocated))))
            td.text.when data-of="Self bytes" {
                (charts::bar("heap", 0, charts::part(u128::from(own), u128::from(heap)), &[]))
                span.usual { (or_unknown(call.self_counts, |it| bytes(it.bytes_allocated))) }
            }
            (peak(call.peak_bytes, call.total))
            td.text data-of="Outcome" {
                @if is_message_below { span.bad { "failed: see below" } } @else { (ending(&call.outcome)) }
                @if call.moved { span.faint { " moved" } }
                @if call.partial { span.faint { " partial" } }
            }
        }
    }
}

/// Makes the cell with a call's name, the number of such calls, and its checkpoints.
fn what(call: &CallReport, names: &Names<'_>, indent: &str) -> Markup {
    let compared = call.compared.as_deref();
    html! {
        (indent) (shown(&names.get(&call.module, &call.name)))
        @if let Some(id) = call.id.as_ref().filter(|it| !it.is_empty()) { " " span.faint { (shown(id)) } }
        @for (label, value) in &call.labels { " " span.faint { (shown(label)) "=" (shown(value)) } }
        @if let Some(it) = compared.filter(|it| !it.is_of_one_call()) {
            span.usual.warm[it.stands_out()] { (indent) @if it.is_n_plus_one() { "N+1, " } "all: " (it) }
        } @else if let Some(it) = compared.filter(|it| it.is_rare()) {
            span.usual.warm { (indent) "in " (percent(it.requests, it.of)) " of requests" }
        }
        (lines::of_call(call.sites.as_deref(), indent))
        @for it in &call.checkpoints {
            span.usual { (indent) "· " (shown(&it.name)) " " (time(it.wall))
                @if let Some(counts) = &it.counts { ", allocates " (count(counts.allocates())) } }
        }
    }
}
