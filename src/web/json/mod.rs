//! The pages as JSON: see `docs/page-json.md`.

mod comparison;
mod statistics;

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::hotspots::By;
use crate::hotspots::json::HotspotsInJson;
use crate::recorder::RequestInFlight;
use crate::report::Report;
use crate::report::duration::nanoseconds;
use crate::report::json::counts::CountsInJson;
use crate::report::json::head::Head;
use crate::report::json::report::unix_ns;
use crate::report::json::{calls, escaping};
use crate::search::groups::Group;
use crate::store::ids::TraceId;

pub(super) use comparison::ComparisonInJson;
pub(super) use statistics::{MinuteInJson, RouteInJson, StatisticsInJson};

/// The version of the schema.
const VERSION: u32 = 1;

/// A page as JSON.
#[derive(Serialize)]
struct PageInJson<'a, T> {
    tracer_page: u32,
    page: &'a str,
    #[serde(flatten)]
    content: T,
}

/// Makes the response of a page.
pub(super) fn page(page: &str, content: impl Serialize) -> Response {
    let page = PageInJson {
        tracer_page: VERSION,
        page,
        content,
    };
    match escaping::to_vec(&page) {
        Ok(mut json) => {
            json.push(b'\n');
            ([(header::CONTENT_TYPE, "application/json")], json).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Makes the response that tells an error.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    #[derive(Serialize)]
    struct Content<'a> {
        status: u16,
        message: &'a str,
    }
    let content = Content {
        status: status.as_u16(),
        message,
    };
    (status, page("error", content)).into_response()
}

/// A kept request in a list: its report without the calls.
#[derive(Serialize)]
pub(super) struct KeptInJson {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) in_memory: bool,
}

impl KeptInJson {
    /// Makes the list of the first reports in memory.
    pub(super) fn first<'a>(
        reports: impl IntoIterator<Item = &'a Arc<Report>>,
        most: usize,
    ) -> Vec<Self> {
        let first = reports.into_iter().take(most);
        first
            .map(|it| Self {
                head: Head::of(it),
                in_memory: true,
            })
            .collect()
    }
}

/// Failures that are the same.
#[derive(Serialize)]
pub(super) struct GroupInJson<'a> {
    route: &'a str,
    message: &'a str,
    failures: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    route_ended: Option<u64>,
    first_started_unix_ns: i64,
    last_started_unix_ns: i64,
    newest: u64,
    slowest: u64,
    slowest_started_unix_ns: i64,
    heaviest: u64,
    heaviest_started_unix_ns: i64,
    query: String,
}

impl<'a> GroupInJson<'a> {
    /// `ended`: the number of requests of the route that have ended, if it is known.
    pub(super) fn of(it: &'a Group, ended: Option<u64>) -> Self {
        Self {
            route: &it.route,
            message: &it.message,
            failures: it.failures,
            route_ended: ended,
            first_started_unix_ns: unix_ns(it.first),
            last_started_unix_ns: unix_ns(it.newest.started),
            newest: it.newest.trace,
            slowest: it.slowest.trace,
            slowest_started_unix_ns: unix_ns(it.slowest.started),
            heaviest: it.heaviest.trace,
            heaviest_started_unix_ns: unix_ns(it.heaviest.started),
            query: it.query().to_string(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct InFlightInJson<'a, Calls> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    trace: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    started_unix_ns: i64,
    age_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<CountsInJson>,
    open: Calls,
}

pub(super) fn in_flight(it: &RequestInFlight) -> impl Serialize + '_ {
    InFlightInJson {
        name: &it.name,
        id: it.id.as_deref(),
        trace: it.now.trace,
        trace_id: it.now.trace_id,
        started_unix_ns: unix_ns(it.now.started),
        age_ns: nanoseconds(it.now.age),
        total: it.now.total.map(CountsInJson::of),
        open: calls(&it.now.open),
    }
}

/// The hotspots of all requests of the last minutes.
#[derive(Serialize)]
pub(super) struct ByInJson<'a> {
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(flatten)]
    hotspots: HotspotsInJson<'a>,
}

impl<'a> ByInJson<'a> {
    pub(super) fn of(by: By, route: Option<&'a str>, hotspots: HotspotsInJson<'a>) -> Self {
        Self {
            by: by.name(),
            route,
            hotspots,
        }
    }
}
