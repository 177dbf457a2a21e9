//! What all pages share.

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::report::escape::Escaped;

use super::Asked;

/// A page, and after how many seconds it is loaded again.
pub(super) fn page(
    asked: &Asked,
    title: &str,
    again: Option<u32>,
    content: &Markup,
) -> Html<String> {
    let pages = [
        ("/", "Overview"),
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
                        @for (page, name) in pages {
                            @if name == title { a href=(link(page)) aria-current="page" { (name) } }
                            @else { a href=(link(page)) { (name) } }
                        }
                    }
                }
                main { (content) }
            }
        }
    };
    Html(markup.into_string())
}

/// A page for who may not see the others, to which it does not link.
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

/// A waterfall.
pub(super) fn icon() -> Response {
    let headers = [(header::CONTENT_TYPE, "image/svg+xml")];
    (headers, include_str!("icon.svg")).into_response()
}

/// A figure in a table. What it is stands in the head of its column, and, on a screen that is too
/// narrow for columns, before it.
pub(super) fn cell(of: &str, figure: &str) -> Markup {
    html! { td data-of=(of) { (figure) } }
}

/// The same, with what is usual below it.
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

/// A text from outside, on one line.
pub(super) fn shown(text: &str) -> String {
    Escaped(text).to_string()
}

/// A text as a value in a query: all but letters and digits as bytes.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
