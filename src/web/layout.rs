//! The layout that all pages share.

use std::fmt::Write as _;

use alloc_counter::Counts;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::escape::{Escaped, is_dangerous};
use crate::report::units::{bytes, count, or_unknown};

use super::Asked;

/// Makes a page; `again` is the number of seconds after which it reloads.
pub(super) fn page(
    asked: &Asked,
    title: &str,
    again: Option<u32>,
    content: &Markup,
) -> Html<String> {
    let pages = [
        ("/", "Overview"),
        ("/search", "Search"),
        ("/failures", "Failures"),
        ("/hotspots", "Hotspots"),
        ("/in-flight", "In flight"),
    ];
    let link = |page: &str| match page {
        "/" => asked.home.clone(),
        page => asked.link(page),
    };
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Some(seconds) = again { meta http-equiv="refresh" content=(seconds); }
                title { (title) " · tracer" }
                link rel="icon" type="image/svg+xml" href=(asked.link("/icon.svg"));
                link rel="stylesheet" href=(asked.link("/style.css"));
            }
            body {
                header {
                    strong { "tracer" }
                    nav aria-label="Pages" {
                        @for (page, name) in pages.into_iter().filter(|(page, _)| *page != "/in-flight" || !asked.is_of_files) {
                            @if name == title { a href=(link(page)) aria-current="page" { (name) } }
                            @else { a href=(link(page)) { (name) } }
                        }
                    }
                }
                main { (content) }
                footer { p.faint { (asked.when().stated()) "." } }
            }
        }
    };
    Html(markup.into_string())
}

/// Makes a page for unauthorised clients, without links to the others.
pub(super) fn bare(title: &str, content: &Markup) -> Html<String> {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
            }
            body { main { (content) } }
        }
    };
    Html(markup.into_string())
}

pub(super) fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (headers, include_str!("style.css")).into_response()
}

/// Icon of a waterfall.
pub(super) fn icon() -> Response {
    let headers = [(header::CONTENT_TYPE, "image/svg+xml")];
    (headers, include_str!("icon.svg")).into_response()
}

/// Makes a table cell with a figure. Its name is in the column's head, and before the figure on screens
/// too narrow for columns.
pub(super) fn cell(of: &str, figure: &str) -> Markup {
    html! { td data-of=(of) { (figure) } }
}

/// Makes a table cell with a number, and another one below it unless it is 0.
pub(super) fn with_more(of: &str, number: u64, is_bad: bool, more_of: &str, more: u64) -> Markup {
    html! {
        td.bad[is_bad] data-of=(of) {
            (count(number))
            @if more > 0 { span.usual { (more_of) " " (count(more)) } }
        }
    }
}

/// Says how many entries of a list are not shown, if there are such.
pub(super) fn and_more(all: usize, shown: usize) -> Markup {
    html! { @if all > shown { p.faint { "And " (count((all - shown) as u64)) " more." } } }
}

/// Makes a table cell with a figure and the usual one below it.
pub(super) fn beside_usual(
    of: &str,
    figure: &str,
    usual: Option<String>,
    stands_out: bool,
) -> Markup {
    html! {
        td.warm[stands_out] data-of=(of) {
            (figure)
            @if let Some(usual) = usual { span.usual { "usual " (usual) } }
        }
    }
}

/// Makes the cell with the peak, and what is kept of it.
pub(super) fn peak(peak_bytes: Option<u64>, total: Option<Counts>) -> Markup {
    let net_bytes = total.map_or(0, |total| total.net_bytes());
    html! {
        td data-of="Peak" {
            (or_unknown(peak_bytes, bytes))
            @if net_bytes > 0 { span.usual { "keeps " (bytes(net_bytes.unsigned_abs())) } }
        }
    }
}

/// Deeper levels are not indented further.
const MAX_INDENT: usize = 24;

/// Returns the space before the name of a call inside this number of others.
pub(super) fn indent(depth: usize) -> String {
    "\u{2003}".repeat(depth.min(MAX_INDENT))
}

/// Returns a call's name with its module, and its place in the code.
pub(super) fn callsite(module: &str, name: &str, file: &str, line: u32) -> String {
    shown(&format!("{module}::{name} {file}:{line}"))
}

/// Escapes a text from outside, on one line.
pub(super) fn shown(text: &str) -> String {
    Escaped(text).to_string()
}

/// Makes the value of a form's field, which is exactly this text. Characters with an effect when they are shown are
/// references in the markup.
pub(super) fn field_value(text: &str) -> PreEscaped<String> {
    let mut value = String::new();
    for character in text.chars() {
        if is_dangerous(character) || matches!(character, '"' | '&' | '<' | '>') {
            // Into a string, which takes all.
            let _ = write!(value, "&#x{:x};", u32::from(character));
        } else {
            value.push(character);
        }
    }
    PreEscaped(value)
}
