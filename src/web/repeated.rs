//! The row of several calls of one callsite in a waterfall, which lists them when it is opened.

use std::borrow::Cow;
use std::cell::Cell;

use maud::{Markup, html};

use crate::report::names::Names;
use crate::report::together::{CheckpointsTogether, Together};
use crate::report::units::{bytes, count, or_unknown, time};
use crate::report::{CallReport, Compared};

use super::cells::{level, peak, self_bytes};
use super::layout::{callsite, indent, shown};
use super::{charts, lines};

/// Number of calls that a row lists.
const MOST: usize = 200;

type Label = (Cow<'static, str>, String);

/// Makes the row. `is_inside`: below a row of several calls; `left`: how many calls may still be listed on the page.
pub(super) fn row(
    together: &Together<'_>,
    names: &Names<'_>,
    (depth, is_inside): (usize, bool),
    whole: u128,
    heap: u64,
    left: &Cell<usize>,
) -> Markup {
    let first = together.first();
    let (start, stop) = (first.start.as_nanos(), together.stop().as_nanos());
    let indent = indent(depth);
    html! {
        tr.repeated {
            th.tree title=(callsite(&first.module, &first.name, &first.file, first.line)) { (what(together, names, &indent, is_inside, left)) }
            td {
                (charts::bar(false, charts::part(start, whole), charts::part(stop, whole), &[]))
                small { "from " (time(first.start)) (level(depth)) }
            }
            td {
                (time(together.wall))
                @if together.len() > 1 {
                    small title={ "p95 " (time(together.each.p95)) ", p99 " (time(together.each.p99)) } { "p50 " (time(together.each.p50)) }
                    small { "max " (time(together.each.max)) }
                }
            }
            td { (time(together.self_busy)) }
            td { (or_unknown(together.total, |it| count(it.allocates()))) }
            td { (or_unknown(together.self_counts, |it| count(it.allocates()))) }
            td { (or_unknown(together.total, |it| bytes(it.bytes_allocated))) }
            (self_bytes(together.self_counts, heap))
            (peak(together.peak_bytes, together.total, None))
            td {
                "ok"
                @if together.is_moved { span.faint { " moved" } }
                @if together.is_partial { span.faint { " partial" } }
            }
        }
    }
}

/// Makes the cell with the calls' name and number, what all of them have, and the list of them.
fn what(
    together: &Together<'_>,
    names: &Names<'_>,
    indent: &str,
    is_inside: bool,
    left: &Cell<usize>,
) -> Markup {
    let first = together.first();
    let listed = together.calls.len().min(MOST).min(left.get());
    left.set(left.get() - listed);
    let at_once = together.most_at_once();
    let shared: Vec<_> = together.labels().collect();
    html! {
        details {
            summary { (indent) (shown(&names.get(&first.module, &first.name))) " " b { "×" (count(together.len())) } }
            ol.each {
                @for call in &together.calls[..listed] { li { (one(call, &shared)) } }
                @if listed < together.calls.len() { li { "and " (count((together.calls.len() - listed) as u64)) " more, in the text" } }
            }
        }
        @for (label, value) in &shared { small { (indent) (shown(label)) "=" (shown(value)) } }
        @if at_once > 1 { small { (indent) "up to " (count(at_once as u64)) " at once" } }
        @if let Some(it) = together.compared() { (beside(it, together.len(), indent, is_inside)) }
        (lines::of_call(Some(&together.sites()), indent))
        @for it in &together.checkpoints() { small { (indent) (checkpoints(it)) } }
    }
}

fn beside(compared: &Compared, calls: u64, indent: &str, is_inside: bool) -> Markup {
    html! {
        small.warm[compared.stands_out()] {
            (indent)
            @if compared.is_n_plus_one() && !is_inside { b { "N+1" } ": " }
            @if compared.calls > calls { "all: " }
            (compared)
        }
    }
}

fn checkpoints(it: &CheckpointsTogether<'_>) -> Markup {
    html! {
        "· " @if it.is_of_several_names { "other checkpoints" } @else { (shown(it.name)) }
        " ×" (count(it.count)) " " (time(it.wall))
        @if let Some(counts) = &it.counts { ", allocates " (count(counts.allocates())) }
    }
}

/// Describes one of the calls. `shared`: the labels that all of them have.
fn one(call: &CallReport, shared: &[&Label]) -> Markup {
    html! {
        @if let Some(id) = call.id.as_ref().filter(|it| !it.is_empty()) { b { (shown(id)) } " " }
        @for (label, value) in call.labels.iter().filter(|label| !shared.contains(label)) { (shown(label)) "=" (shown(value)) " " }
        "at " (time(call.start)) ": " (time(call.wall))
        @if let Some(total) = &call.total { ", allocates " (count(total.allocates())) }
    }
}
