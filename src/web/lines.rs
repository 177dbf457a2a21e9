//! The lines that allocate, of the kept requests that have allocation sites.

use std::sync::Arc;

use maud::{Markup, html};

use crate::hotspots::{By, Frame, Hotspot, Hotspots};
use crate::report::units::{bytes, count, or_unknown, percent, plural};
use crate::report::{CallReport, FoldedReport, Report, SiteReport};

use super::layout::{and_more, cell, shown};

/// Number of lines that the table shows.
const MOST: usize = 15;
/// Number of lines that are shown with a call.
const MOST_IN_CALL: usize = 3;

/// Returns the hotspots, down to the lines, of the kept requests of a route that have sites, or of all routes.
pub(super) fn hotspots(kept: &[Arc<Report>], route: Option<&str>) -> Hotspots {
    let mut hotspots = Hotspots::with_sites();
    for report in kept {
        if has_sites(report) && route.is_none_or(|route| route == report.name()) {
            hotspots.add(report);
        }
    }
    hotspots
}

fn has_sites(report: &Report) -> bool {
    let of_call = |call: &CallReport| call.sites.as_ref().is_some_and(|it| !it.is_empty());
    let of_path = |path: &FoldedReport| path.sites.as_ref().is_some_and(|it| !it.is_empty());
    report.calls.iter().any(of_call) || report.folded.iter().any(of_path)
}

/// Makes the table of the lines that have most of a figure.
pub(super) fn table(hotspots: &Hotspots, by: By, whole: u64) -> Markup {
    let mut lines = hotspots.functions(by);
    lines.retain(|it| it.frame.is_site && by.of(it.totals) > 0);
    html! {
        div.wide tabindex="0" role="region" aria-label="Lines" {
            table.functions {
                thead { tr { th.text { "Line" } th { "Share" } th { "Self allocates" } th { "Allocates" } th { "Self bytes" } th { "Bytes" } } }
                tbody { @for line in lines.iter().take(MOST) { (row(line, by, whole)) } }
            }
        }
        (and_more(lines.len(), MOST))
    }
}

fn row(line: &Hotspot<'_>, by: By, whole: u64) -> Markup {
    let (Frame { file, .. }, totals) = (line.frame, line.totals);
    html! {
        tr {
            th.text { (shown(&name(line.frame))) span.usual { (shown(file)) @if line.frame.line > 0 { ":" (line.frame.line) } } }
            (cell("Share", &percent(by.of(totals), whole)))
            (cell("Self allocates", &or_unknown(totals.self_counts, |it| count(it.allocates()))))
            (cell("Allocates", &or_unknown(totals.total, |it| count(it.allocates()))))
            (cell("Self bytes", &or_unknown(totals.self_counts, |it| bytes(it.bytes_allocated))))
            (cell("Bytes", &or_unknown(totals.total, |it| bytes(it.bytes_allocated))))
        }
    }
}

fn name(frame: Frame<'_>) -> String {
    match frame.module {
        "" => frame.name.to_owned(),
        module => format!("{module}::{}", frame.name),
    }
}

/// Makes the heaviest lines of a call.
pub(super) fn of_call(sites: Option<&[SiteReport]>, indent: &str) -> Markup {
    let lines = SiteReport::by_line(sites);
    html! {
        @for site in lines.iter().take(MOST_IN_CALL) {
            @let place = site.described();
            small title=(place) {
                (indent) "▸ " (brief(site)) " " (site.shown_bytes()) " B, allocates " (count(site.allocates()))
            }
        }
        @if lines.len() > MOST_IN_CALL {
            small { (indent) "▸ " (plural((lines.len() - MOST_IN_CALL) as u64, "more line")) }
        }
    }
}

/// Returns `store.rs:12`, or the function if the line is not known.
fn brief(site: &SiteReport) -> String {
    let place = site.place();
    match place.and_then(|place| Some((place.file.as_ref()?, place.line?))) {
        Some((file, line)) => {
            let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
            shown(&format!("{name}:{line}"))
        }
        None => site.described(),
    }
}
