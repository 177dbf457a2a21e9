//! Requests in flight; the page reloads itself if that is asked for.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Serialize;

use crate::report::names::Names;
use crate::report::units::{count, or_unknown, time};

use super::layout::{and_more, cell, shown};
use super::{Asked, Mounted, Refused, json, layout};

/// The link's.
const AGAIN_SECONDS: u32 = 2;
/// Number of requests that are shown, the oldest first.
const MOST: usize = 200;

#[derive(Serialize)]
struct InFlightInJson<Requests> {
    in_flight: usize,
    requests: Requests,
}

pub(super) fn page(page: &Mounted, asked: &Asked) -> Result<Response, Refused> {
    let (in_flight, count_of_all) = page.recorder()?.oldest_in_flight(MOST);
    if asked.is_json {
        let content = InFlightInJson {
            in_flight: count_of_all,
            requests: in_flight.iter().map(json::in_flight).collect::<Vec<_>>(),
        };
        return Ok(json::page("in-flight", content));
    }
    let open = in_flight.iter().flat_map(|request| &request.now.open);
    let names = Names::of(open.map(|call| (&*call.module, &*call.name)));
    // It may interrupt a reader, so nobody gets it unasked (WCAG 2.2.2).
    let again = asked
        .get("refresh")
        .and_then(|seconds| seconds.parse().ok());
    let again = again.filter(|seconds| *seconds > 0_u32);
    let content = html! {
        h1 { "In flight" }
        p.faint {
            "The oldest first; "
            @if let Some(seconds) = again {
                "this page is loaded again every " (seconds) " s. "
                a href=(asked.link("/in-flight")) { "Stop" }
            } @else {
                "as they were a moment ago. "
                a href=(asked.link(&format!("/in-flight?refresh={AGAIN_SECONDS}"))) { "Load again every " (AGAIN_SECONDS) " s" }
            }
        }
        @if in_flight.is_empty() { p { "No request is in flight." } }
        @else {
            div.wide tabindex="0" role="region" aria-label="Requests in flight" {
                table {
                    thead { tr { th.text { "Request" } th.text { "Began" } th { "Age" } th { "Allocates" } th.text { "Where it is" } } }
                    tbody {
                        @for request in &in_flight {
                            tr {
                                th.text { (shown(&request.name)) @if let Some(id) = &request.id { " " span.faint { (shown(id)) } }
                                    @if let Some(id) = request.now.trace_id { span.usual { "trace " (id) } } }
                                td.text data-of="Began" { (began(asked, request.now.age)) }
                                (cell("Age", &time(request.now.age)))
                                (cell("Allocates", &or_unknown(request.now.total, |it| count(it.allocates()))))
                                td.text data-of="Where it is" {
                                    @for (place, call) in request.now.open.iter().enumerate() {
                                        @if place > 0 { " › " }
                                        (shown(&names.get(&call.module, &call.name)))
                                        @if let Some(last) = call.checkpoints.last() { span.faint { " · " (shown(&last.name)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            (and_more(count_of_all, in_flight.len()))
        }
    };
    Ok(layout::page(asked, "In flight", again, &content).into_response())
}

fn began(asked: &Asked, age: Duration) -> Markup {
    let when = asked.when();
    let began = when.moment().checked_sub(age);
    began.map_or_else(|| html! { "n/a" }, |began| when.time(began))
}
