//! Two requests beside each other: the calls of both by path, on one time axis, with their differences.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use crate::report::names::Names;
use crate::report::units::{bytes, count, or_unknown, plural, time};
use crate::report::{NOTABLE_BYTES, Report};

use super::json::ComparisonInJson;
use super::layout::{callsite, cell, indent, shown};
use super::pairs::{Pair, Side, pairs};
use super::requests::{ending, title};
use super::{Asked, Mounted, Refused, charts, json, layout};

/// Number of paths that are shown.
const MOST: usize = 1000;
/// Number of typical requests to which there are links.
const MOST_TYPICAL: usize = 6;
/// A difference is marked if it is at least this part of the larger request.
const PART: u32 = 10;

const SIDES: [&str; 2] = ["A", "B"];
const CLASSES: [&str; 2] = ["time", "other"];

/// Shows the requests `a` and `b`.
pub(super) fn page(page: &Mounted, asked: &Asked) -> Result<Response, Refused> {
    let side = |name: &str| {
        let text = asked.get(name).ok_or_else(|| {
            let why =
                format!("There is no {name}: expected ?a= and &b= with the numbers of two traces.");
            Refused(StatusCode::BAD_REQUEST, why)
        })?;
        page.report(text, asked.get(&format!("{name}_started")))
    };
    let reports = [side("a")?, side("b")?];
    Ok(shown_beside(page, asked, &reports))
}

/// Shows a request and a typical one of its route.
pub(super) fn with_typical(page: &Mounted, asked: &Asked) -> Result<Response, Refused> {
    let report = page.asked_report(asked)?;
    let typical = typical(page, &report)
        .ok_or_else(|| Refused(StatusCode::NOT_FOUND, none_typical(&report)))?;
    Ok(shown_beside(page, asked, &[report, typical]))
}

/// Returns the typical requests of a request's route; none if that is in files.
fn all_typical(page: &Mounted, report: &Report) -> Vec<Arc<Report>> {
    let recorder = page.source.recorder();
    recorder.map_or_else(Vec::new, |it| it.typical(report.name()))
}

/// Returns the last typical request before this one, or else the first one after it.
fn typical(page: &Mounted, report: &Report) -> Option<Arc<Report>> {
    let mut typical = all_typical(page, report);
    typical.retain(|it| is_other(it, report));
    let before = typical.iter().find(|it| it.started <= report.started);
    before.or(typical.last()).cloned()
}

/// Returns whether these are two requests. Those of two processes may have one number.
fn is_other(one: &Report, other: &Report) -> bool {
    (one.trace, one.started) != (other.trace, other.started)
}

fn none_typical(report: &Report) -> String {
    format!(
        "No other typical request of “{}” is in memory. The recorder takes one every few minutes, as soon as there \
         are 20 requests to know what is usual.",
        shown(report.name())
    )
}

/// Makes the links from a request to comparisons.
pub(super) fn links(page: &Mounted, asked: &Asked, report: &Report) -> Markup {
    let here = asked.trace(report.trace);
    let started = page.started_of(report);
    let query = started.map_or_else(String::new, |it| format!("?started={it}"));
    html! {
        form.inline action=(asked.link("/compare")) {
            "Compare with "
            @if typical(page, report).is_some() { a href=(format!("{here}/compare{query}")) { "a typical request" } " or " }
            input type="hidden" name="a" value=(report.trace);
            @if let Some(started) = started { input type="hidden" name="a_started" value=(started); }
            label { "trace " input name="b" inputmode="numeric" size="8" required; }
            " " button { "Compare" }
        }
    }
}

fn shown_beside(page: &Mounted, asked: &Asked, reports: &[Arc<Report>; 2]) -> Response {
    let [a, b] = reports;
    if asked.is_json {
        let reports: [&Report; 2] = [a, b];
        let pairs = pairs(reports, axis(reports));
        let most = pairs.len().min(MOST);
        return json::page("compare", ComparisonInJson::of(reports, &pairs[..most]));
    }
    let mut others = all_typical(page, a);
    others.retain(|it| is_other(it, a) && is_other(it, b));
    let started = page.started_of(a);
    let started = started.map_or_else(String::new, |it| format!("&a_started={it}"));
    let content = html! {
        h1 { "Comparison" }
        @if a.name() != b.name() { p.warm { "These are requests of two routes." } }
        (requests(page, asked, reports))
        @if !others.is_empty() {
            p { "Compare A with the typical request of"
                @for other in others.iter().take(MOST_TYPICAL) {
                    " " a href=(asked.link(&format!("/compare?a={}{started}&b={}", a.trace, other.trace))) { (asked.when().time(other.started)) }
                }
            }
        }
        h2 { "Calls" }
        (calls([a, b]))
    };
    layout::page(asked, "Comparison", None, &content).into_response()
}

/// Makes the table of both requests as a whole.
fn requests(page: &Mounted, asked: &Asked, reports: &[Arc<Report>; 2]) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Requests" {
            table.list {
                thead { tr {
                    th.text { "Request" } th.text { "When" } th { "Time" } th { "Allocates" } th { "Bytes" } th.text { "Outcome" }
                } }
                tbody {
                    @for ((side, class), report) in SIDES.into_iter().zip(CLASSES).zip(reports) {
                        tr {
                            th.text {
                                (key(class)) b { (side) } " "
                                a href=(asked.link(&page.path_of(report.trace, report.started, page.started_of(report).is_none()))) { (title(report.name())) }
                                @if let Some(request) = &report.request {
                                    @if let Some(id) = &request.id { " " span.faint { (shown(id)) } }
                                    @if request.reasons.is_empty() { span.usual { "typical of its route" } }
                                }
                            }
                            td.text data-of="When" { (asked.when().time_ago(report.started)) }
                            (cell("Time", &time(report.wall())))
                            (cell("Allocates", &or_unknown(report.total, |it| count(it.allocates()))))
                            (cell("Bytes", &or_unknown(report.total, |it| bytes(it.bytes_allocated))))
                            td.text data-of="Outcome" { @if let Some(request) = &report.request { (ending(&request.outcome)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Shows the colour of a request's bars.
fn key(class: &str) -> Markup {
    html! { svg.key width="10" height="10" aria-hidden="true" { rect class=(class) width="10" height="10" {} } " " }
}

/// Makes the table of the calls of both.
fn calls(reports: [&Report; 2]) -> Markup {
    let whole = axis(reports);
    let heap = reports.map(|it| it.total.map_or(0, |total| total.allocates()));
    let limits = Limits {
        wall: whole / PART,
        allocates: { heap.into_iter().max() }
            .unwrap_or(0)
            .div_ceil(u64::from(PART)),
    };
    let pairs = pairs(reports, whole);
    let names = Names::of(pairs.iter().map(|pair| (pair.module, pair.name)));
    html! {
        @if pairs.is_empty() { p.faint { "Neither has a call." } }
        @else {
            div.wide tabindex="0" role="region" aria-label="Calls" {
                table.calls.compared {
                    thead {
                        tr {
                            th.text rowspan="2" { "Call" } th.text rowspan="2" { "When" }
                            th.text colspan="3" { "Time" } th.text colspan="3" { "Allocates" }
                        }
                        tr { th { "A" } th { "B" } th { "A − B" } th { "A" } th { "B" } th { "A − B" } }
                    }
                    tbody { @for pair in pairs.iter().take(MOST) { (row(pair, &names, &limits)) } }
                }
            }
            p.faint {
                "Upper bars and “A” are the first request, lower bars and “B” the second, from the beginning of each to "
                (time(whole)) ". Calls of one path are added up. " span.warm { "Bold" }
                ": a call that only one of them has, twice as many calls, or a difference of a tenth of the larger request."
            }
            @if pairs.len() > MOST { p.faint { "And " (plural((pairs.len() - MOST) as u64, "more path")) "." } }
        }
    }
}

/// Returns the length of the axis.
fn axis(reports: [&Report; 2]) -> Duration {
    let length = |report: &Report| report.wall().max(report.elapsed);
    reports.map(length).into_iter().max().unwrap_or_default()
}

/// The differences from which on they are marked.
struct Limits {
    wall: Duration,
    allocates: u64,
}

fn row(pair: &Pair<'_>, names: &Names<'_>, limits: &Limits) -> Markup {
    let [a, b] = pair.sides.each_ref().map(Option::as_ref);
    let walls = [a, b].map(|side| side.map_or(Duration::ZERO, |it| it.wall));
    let allocates = [a, b].map(|side| side.map_or(Some(0), |it| it.allocates));
    let difference = walls[0].abs_diff(walls[1]);
    let more = allocates[0]
        .zip(allocates[1])
        .map(|(a, b)| (a.cmp(&b), a.abs_diff(b)));
    let indent = indent(pair.depth);
    html! {
        tr {
            th.text.tree title=(callsite(pair.module, pair.name, pair.file, pair.line)) {
                (indent) (shown(&names.get(pair.module, pair.name)))
                (what_differs(pair, &indent))
            }
            td.text.when data-of="When" {
                (charts::bars([(CLASSES[0], spans(a)), (CLASSES[1], spans(b))]))
                span.unseen { "level " (pair.depth + 1) }
            }
            (cell("Time A", &or_none(a, |it| time(it.wall))))
            (cell("Time B", &or_none(b, |it| time(it.wall))))
            td.warm[difference >= limits.wall && !difference.is_zero()] data-of="Time A − B" { (signed(walls[0].cmp(&walls[1]), &time(difference))) }
            (cell("Allocates A", &or_none(a, |it| or_unknown(it.allocates, count))))
            (cell("Allocates B", &or_none(b, |it| or_unknown(it.allocates, count))))
            td.warm[more.is_some_and(|(_, it)| it >= limits.allocates && it > 0)] data-of="Allocates A − B" {
                (or_unknown(more, |(order, it)| signed(order, &count(it))))
            }
        }
    }
}

/// Says which one has such calls, or more of them, or fails.
fn what_differs(pair: &Pair<'_>, indent: &str) -> Markup {
    let [a, b] = pair.sides.each_ref().map(Option::as_ref);
    let only = match (a, b) {
        (Some(it), None) => Some((SIDES[0], it)),
        (None, Some(it)) => Some((SIDES[1], it)),
        _ => None,
    };
    let calls = [a, b].map(|side| side.map_or(0, |it| it.calls));
    let (few, many) = (calls[0].min(calls[1]), calls[0].max(calls[1]));
    let failures = [a, b].map(|side| side.map_or(0, |it| it.failures));
    let kept = [a, b].map(|side| side.and_then(|it| it.net_bytes).unwrap_or(0));
    let kept = kept.map(|net| u64::try_from(net).unwrap_or(0));
    html! {
        @if let Some((side, it)) = only {
            span.usual { (indent) span.warm { "only in " (side) @if it.calls > 1 { ": × " (count(it.calls)) } } }
        } @else if many > 1 {
            span.usual { (indent) span.warm[many >= 2 * few] { "× " (count(calls[0])) " in A, × " (count(calls[1])) " in B" } }
        }
        @for (side, failures) in SIDES.into_iter().zip(failures) {
            @if failures > 0 { span.usual { (indent) span.bad { "failed in " (side) @if failures > 1 { ": × " (count(failures)) } } } }
        }
        @if keep_otherwise(kept) {
            span.usual { (indent) span.warm { "keeps " (bytes(kept[0])) " in A, " (bytes(kept[1])) " in B" } }
        }
    }
}

/// Returns whether one keeps at least twice as many bytes as the other, and that is notable.
fn keep_otherwise(kept: [u64; 2]) -> bool {
    let (few, many) = (kept[0].min(kept[1]), kept[0].max(kept[1]));
    many >= NOTABLE_BYTES && many >= few.saturating_mul(2)
}

fn spans(side: Option<&Side>) -> &[(u64, u64)] {
    side.map_or(&[], |it| &it.spans)
}

fn or_none(side: Option<&Side>, show: impl FnOnce(&Side) -> String) -> String {
    side.map_or_else(|| "–".to_owned(), show)
}

fn signed(order: Ordering, shown: &str) -> String {
    match order {
        Ordering::Less => format!("−{shown}"),
        Ordering::Equal => "0".to_owned(),
        Ordering::Greater => format!("+{shown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call of a report in JSON: its name, the call around it, its start and time in milliseconds, and how often it
    /// allocated.
    type Made<'a> = (&'a str, Option<usize>, u64, u64, u64);

    fn report(calls: &[Made<'_>]) -> Report {
        let total = |allocations: u64| {
            serde_json::json!({
                "allocations": allocations, "reallocations": 0, "deallocations": 0,
                "bytes_allocated": 0, "bytes_deallocated": 0,
            })
        };
        let of_call = |(name, parent, start, wall, allocations): &Made<'_>| {
            serde_json::json!({
                "name": name, "module": "shop", "file": "shop.rs", "line": name.len(), "parent": parent, "strand": 0,
                "thread": { "number": 1 }, "start_ns": start * 1_000_000, "wall_ns": wall * 1_000_000,
                "busy_ns": 0, "self_wall_ns": 0, "self_busy_ns": 0, "total": total(*allocations),
                "outcome": if *name == "audit" { "failed" } else { "ok" },
            })
        };
        let report = serde_json::json!({
            "tracer_report": 1, "trace": 1, "started_unix_ns": 0, "elapsed_ns": calls[0].3 * 1_000_000,
            "memory_bytes": 0, "total": total(calls[0].4), "calls": calls.iter().map(of_call).collect::<Vec<_>>(),
        });
        serde_json::from_value(report).expect("a report")
    }

    #[test]
    fn paths_of_the_second_only_stand_after_the_ones_before_them_there() {
        let of = |names: &[&'static str]| {
            let outermost: Vec<Made<'_>> =
                names.iter().map(|name| (*name, None, 0, 1, 0)).collect();
            report(&outermost)
        };
        let order = |a: &[&'static str], b: &[&'static str]| {
            let (a, b) = (of(a), of(b));
            let pairs = pairs([&a, &b], Duration::from_millis(1));
            pairs
                .iter()
                .map(|pair| pair.name.to_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            order(&["a", "cc", "a"], &["eeeee", "a", "bbb", "cc", "dddd"]),
            "eeeee a bbb cc dddd"
        );
        assert_eq!(order(&["a", "cc"], &["cc", "a", "bbb"]), "a bbb cc");
    }

    #[test]
    fn two_waterfalls_have_one_axis() {
        let usual = report(&[("handle", None, 0, 10, 30), ("query", Some(0), 2, 4, 30)]);
        let slow = report(&[
            ("handle", None, 0, 40, 60),
            ("query", Some(0), 4, 4, 20),
            ("audit", Some(0), 9, 1, 0),
            ("query", Some(0), 12, 20, 40),
        ]);
        let table = calls([&slow, &usual]).into_string();
        let body = table.split("<tbody>").nth(1).unwrap();
        let (body, _) = body.split_once("</tbody>").unwrap();
        let body = body.replace("><", ">\n<").replace('\u{2003}', "&emsp;");
        assert_eq!(body, COMPARED);
    }

    const COMPARED: &str = r#"<tr>
<th class="text tree" title="shop::handle shop.rs:6">handle</th>
<td class="text when" data-of="When">
<svg width="100%" height="26" viewBox="0 0 1000 26" preserveAspectRatio="none" aria-hidden="true">
<rect class="track" x="0" y="5" width="1000" height="2">
</rect>
<rect class="time" x="0" y="1" width="1000" height="10">
</rect>
<line class="time" x1="2" x2="2" y1="1" y2="11" vector-effect="non-scaling-stroke">
</line>
<rect class="track" x="0" y="18" width="1000" height="2">
</rect>
<rect class="other" x="0" y="14" width="250" height="10">
</rect>
<line class="other" x1="2" x2="2" y1="14" y2="24" vector-effect="non-scaling-stroke">
</line>
</svg>
<span class="unseen">level 1</span>
</td>
<td data-of="Time A">40.0 ms</td>
<td data-of="Time B">10.0 ms</td>
<td class="warm" data-of="Time A − B">+30.0 ms</td>
<td data-of="Allocates A">60</td>
<td data-of="Allocates B">30</td>
<td class="warm" data-of="Allocates A − B">+30</td>
</tr>
<tr>
<th class="text tree" title="shop::query shop.rs:5">&emsp;query<span class="usual">&emsp;<span class="warm">× 2 in A, × 1 in B</span>
</span>
</th>
<td class="text when" data-of="When">
<svg width="100%" height="26" viewBox="0 0 1000 26" preserveAspectRatio="none" aria-hidden="true">
<rect class="track" x="0" y="5" width="1000" height="2">
</rect>
<rect class="time" x="100" y="1" width="100" height="10">
</rect>
<line class="time" x1="100" x2="100" y1="1" y2="11" vector-effect="non-scaling-stroke">
</line>
<rect class="time" x="300" y="1" width="500" height="10">
</rect>
<line class="time" x1="300" x2="300" y1="1" y2="11" vector-effect="non-scaling-stroke">
</line>
<rect class="track" x="0" y="18" width="1000" height="2">
</rect>
<rect class="other" x="50" y="14" width="100" height="10">
</rect>
<line class="other" x1="50" x2="50" y1="14" y2="24" vector-effect="non-scaling-stroke">
</line>
</svg>
<span class="unseen">level 2</span>
</td>
<td data-of="Time A">24.0 ms</td>
<td data-of="Time B">4.00 ms</td>
<td class="warm" data-of="Time A − B">+20.0 ms</td>
<td data-of="Allocates A">60</td>
<td data-of="Allocates B">30</td>
<td class="warm" data-of="Allocates A − B">+30</td>
</tr>
<tr>
<th class="text tree" title="shop::audit shop.rs:5">&emsp;audit<span class="usual">&emsp;<span class="warm">only in A</span>
</span>
<span class="usual">&emsp;<span class="bad">failed in A</span>
</span>
</th>
<td class="text when" data-of="When">
<svg width="100%" height="26" viewBox="0 0 1000 26" preserveAspectRatio="none" aria-hidden="true">
<rect class="track" x="0" y="5" width="1000" height="2">
</rect>
<rect class="time" x="225" y="1" width="25" height="10">
</rect>
<line class="time" x1="225" x2="225" y1="1" y2="11" vector-effect="non-scaling-stroke">
</line>
<rect class="track" x="0" y="18" width="1000" height="2">
</rect>
</svg>
<span class="unseen">level 2</span>
</td>
<td data-of="Time A">1.00 ms</td>
<td data-of="Time B">–</td>
<td class="" data-of="Time A − B">+1.00 ms</td>
<td data-of="Allocates A">0</td>
<td data-of="Allocates B">–</td>
<td class="" data-of="Allocates A − B">0</td>
</tr>"#;
}
