//! The calls of a request as a waterfall: a line for each, or for several of one callsite, with times and allocations.

use std::cell::Cell;

use maud::{Markup, html};

use crate::report::names::Names;
use crate::report::outline::{Entry, Outline};
use crate::report::text::messages_below;
use crate::report::together::{self, Together};
use crate::report::units::{bytes, count, or_unknown, percent, time};
use crate::report::{CallReport, Compared, FoldedReport, Report};

use super::cells::{level, peak, self_bytes};
use super::layout::{callsite, indent, shown};
use super::requests::ending;
use super::{Asked, Refused, charts, lines, number, repeated};

/// Number of lines that are shown at once; the exports have all calls.
const MOST: usize = 1000;
/// Number of calls that are shown in lines with several of them.
const MOST_REPEATED: usize = 2000;
/// Number of folded calls that a path names, from the innermost outwards.
const MAX_PATH: usize = 5;

/// A line of the table: the number of calls around, and whether the line around is of several calls.
type Line = (Entry, (usize, bool));

/// Returns the lines, each after the line around it, siblings in order of start, and folded calls last.
fn in_order(outline: &Outline<'_>) -> Vec<Line> {
    let (mut lines, mut folded) = (Vec::new(), Vec::new());
    let mut inside = Vec::new();
    outline.push_outermost(&mut inside);
    let mut next: Vec<_> = { inside.drain(..).rev() }
        .map(|entry| (entry, (0, false)))
        .collect();
    while let Some((entry, (depth, is_inside))) = next.pop() {
        let place = (depth + 1, matches!(entry, Entry::Repeated(_)));
        outline.push_inside(&entry, &mut inside);
        next.extend(inside.drain(..).rev().map(|entry| (entry, place)));
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
pub(super) fn first_shown(asked: &Asked) -> Result<usize, Refused> {
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
pub(super) fn draw(report: &Report, from: usize, part: &str) -> Markup {
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
                // The style sheet has the columns' names, which small screens show in each row: keep them equal.
                table.calls.waterfall {
                    thead { tr {
                        th { "Call" } th { "When" } th { "Time" } th { "Self busy" } th { "Allocates" } th { "Self allocates" }
                        th { "Bytes" } th { "Self bytes" } th { "Peak" } th { "Outcome" }
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
            th.tree { (shown(path)) span.faint { " × " (count(folded.calls)) " folded" } (lines::of_call(folded.sites.as_deref(), "")) }
            td {}
            td { (time(folded.wall)) }
            td { (time(folded.self_busy)) }
            td { (or_unknown(folded.total, |it| count(it.allocates()))) }
            td { (or_unknown(folded.self_counts, |it| count(it.allocates()))) }
            td { (or_unknown(folded.total, |it| bytes(it.bytes_allocated))) }
            td {} td {}
            td {
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
    let (from, to) = (start.as_nanos(), stop.as_nanos());
    html! {
        tr {
            th.tree title=(callsite(&call.module, &call.name, &call.file, call.line)) {
                (what(call, names, &indent(depth)))
            }
            td {
                (charts::bar(call.outcome.is_failure(), charts::part(from, whole), charts::part(to, whole), &marks))
                small { "at " (time(start)) (level(depth)) }
            }
            (beside(&time(call.wall), compared.map(|it| time(it.usual_wall.p50)),
                compared.is_some_and(Compared::wall_stands_out)))
            td { (time(call.self_busy)) }
            (beside(&or_unknown(call.total, |it| count(it.allocates())), usual.map(|it| count(it.p50)),
                compared.is_some_and(Compared::allocates_stand_out)))
            td { (or_unknown(call.self_counts, |it| count(it.allocates()))) }
            td { (or_unknown(call.total, |it| bytes(it.bytes_allocated))) }
            (self_bytes(call.self_counts, heap))
            (peak(call.peak_bytes, call.total, compared))
            td {
                @if is_message_below { span.bad { "failed: see below" } } @else { (ending(&call.outcome)) }
                @if call.moved { span.faint { " moved" } }
                @if call.partial { span.faint { " partial" } }
            }
        }
    }
}

/// Makes the cell with a figure and the usual one below it.
fn beside(figure: &str, usual: Option<String>, stands_out: bool) -> Markup {
    let usual = html! { (figure) @if let Some(usual) = usual { small { "usual " (usual) } } };
    html! { @if stands_out { td.warm { (usual) } } @else { td { (usual) } } }
}

/// Makes the cell with a call's name, the number of such calls, and its checkpoints.
fn what(call: &CallReport, names: &Names<'_>, indent: &str) -> Markup {
    let compared = call.compared.as_deref();
    html! {
        (indent) (shown(&names.get(&call.module, &call.name)))
        @if let Some(id) = call.id.as_ref().filter(|it| !it.is_empty()) { " " span.faint { (shown(id)) } }
        @for (label, value) in &call.labels { " " span.faint { (shown(label)) "=" (shown(value)) } }
        @if let Some(it) = compared.filter(|it| !it.is_of_one_call()) {
            small.warm[it.stands_out()] { (indent) @if it.is_n_plus_one() { "N+1, " } "all: " (it) }
        } @else if let Some(it) = compared.filter(|it| it.is_rare()) {
            small.warm { (indent) "in " (percent(it.requests, it.of)) " of requests" }
        }
        (lines::of_call(call.sites.as_deref(), indent))
        @for it in &call.checkpoints {
            small { (indent) "· " (shown(&it.name)) " " (time(it.wall))
                @if let Some(counts) = &it.counts { ", allocates " (count(counts.allocates())) } }
        }
    }
}
