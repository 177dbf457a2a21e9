//! The pages as JSON: see `docs/page-json.md`.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::hotspots::By;
use crate::hotspots::json::HotspotsInJson;
use crate::recorder::{Minute, RequestInFlight, RouteStatistics, SinkStatistics, Statistics};
use crate::report::Report;
use crate::report::duration::nanoseconds;
use crate::report::json::counts::CountsInJson;
use crate::report::json::head::Head;
use crate::report::json::report::unix_ns;
use crate::report::json::request::PercentilesInJson;
use crate::report::json::{calls, escaping};
use crate::search::groups::Group;
use crate::store::ids::TraceId;

use super::pairs::{Pair, Side};

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

#[derive(Serialize)]
pub(super) struct StatisticsInJson<'a> {
    in_flight: u64,
    ended: u64,
    kept: u64,
    not_kept: u64,
    dropped: u64,
    waiting: usize,
    in_memory: usize,
    in_memory_bytes: usize,
    evicted: u64,
    not_compared: u64,
    policy_panics: u64,
    armed_routes: u64,
    armed_requests: u64,
    sinks: Vec<SinkInJson<'a>>,
}

#[derive(Serialize)]
struct SinkInJson<'a> {
    name: &'a str,
    taken: u64,
    failed: u64,
    dropped: u64,
    refused_spans: u64,
    reopened: u64,
    waiting: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
}

impl<'a> SinkInJson<'a> {
    fn of(it: &'a SinkStatistics) -> Self {
        Self {
            name: &it.name,
            taken: it.taken,
            failed: it.failed,
            dropped: it.dropped,
            refused_spans: it.refused_spans,
            reopened: it.reopened,
            waiting: it.waiting,
            last_error: it.last_error.as_deref(),
        }
    }
}

impl<'a> StatisticsInJson<'a> {
    pub(super) fn of(it: &'a Statistics) -> Self {
        Self {
            in_flight: it.in_flight,
            ended: it.ended,
            kept: it.kept,
            not_kept: it.not_kept,
            dropped: it.dropped,
            waiting: it.waiting,
            in_memory: it.in_memory,
            in_memory_bytes: it.in_memory_bytes,
            evicted: it.evicted,
            not_compared: it.not_compared,
            policy_panics: it.policy_panics,
            armed_routes: it.arming.routes,
            armed_requests: it.arming.requests,
            sinks: it.sinks.iter().map(SinkInJson::of).collect(),
        }
    }
}

/// The counts and usual figures of a route.
#[derive(Serialize)]
pub(super) struct RouteInJson<'a> {
    name: &'a str,
    #[serde(flatten)]
    counts: Option<RouteCountsInJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    armed: Option<String>,
}

/// What is known of all requests of a route.
#[derive(Serialize)]
struct RouteCountsInJson {
    in_flight: u64,
    ended: u64,
    kept: u64,
    not_kept: u64,
    dropped: u64,
    recent: RecentInJson,
}

/// The requests of the last minutes.
#[derive(Serialize)]
struct RecentInJson {
    ended: u64,
    failed: u64,
    panicked: u64,
    cancelled: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<CountsInJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wall_ns: Option<PercentilesInJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocates: Option<PercentilesInJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<PercentilesInJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    net_bytes: Option<PercentilesInJson>,
    wall_bins_ns: Vec<(u64, u64, u64)>,
    allocates_bins: Vec<(u64, u64, u64)>,
}

impl<'a> RouteInJson<'a> {
    /// Makes that of a route in files, of which only kept requests are known.
    pub(super) fn of_files(name: &'a str) -> Self {
        Self {
            name,
            counts: None,
            armed: None,
        }
    }

    pub(super) fn of(it: &'a RouteStatistics) -> Self {
        let bins = it.wall_bins.iter();
        let in_ns = |(from, to, count): &(Duration, Duration, u64)| {
            (nanoseconds(*from), nanoseconds(*to), *count)
        };
        let wall = it.wall.map(|it| it.map(nanoseconds));
        Self {
            name: &it.name,
            counts: Some(RouteCountsInJson {
                in_flight: it.in_flight,
                ended: it.ended,
                kept: it.kept,
                not_kept: it.not_kept,
                dropped: it.dropped,
                recent: RecentInJson {
                    ended: it.recent,
                    failed: it.failed,
                    panicked: it.panicked,
                    cancelled: it.cancelled,
                    total: it.total.map(CountsInJson::of),
                    wall_ns: wall.map(PercentilesInJson::of),
                    allocates: it.allocates.map(PercentilesInJson::of),
                    bytes: it.bytes.map(PercentilesInJson::of),
                    net_bytes: it.net_bytes.map(PercentilesInJson::of),
                    wall_bins_ns: bins.map(in_ns).collect(),
                    allocates_bins: it.allocates_bins.clone(),
                },
            }),
            armed: it.armed.map(|it| it.to_string()),
        }
    }
}

/// The requests of a route that ended in one minute.
#[derive(Serialize)]
pub(super) struct MinuteInJson {
    started_unix_ns: i64,
    requests: u64,
    failed: u64,
    panicked: u64,
    cancelled: u64,
    wall_ns: u64,
    max_wall_ns: u64,
    p99_wall_ns: u64,
    p99_is_bound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocates: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

impl MinuteInJson {
    pub(super) fn of(it: &Minute) -> Self {
        Self {
            started_unix_ns: unix_ns(it.started),
            requests: it.requests,
            failed: it.failed,
            panicked: it.panicked,
            cancelled: it.cancelled,
            wall_ns: nanoseconds(it.wall),
            max_wall_ns: nanoseconds(it.max_wall),
            p99_wall_ns: nanoseconds(it.p99_wall),
            p99_is_bound: it.p99_is_bound,
            allocates: it.allocates,
            bytes: it.bytes_allocated,
        }
    }
}

/// Two requests, and the calls of both by path.
#[derive(Serialize)]
pub(super) struct ComparisonInJson<'a> {
    a: Head,
    b: Head,
    calls: Vec<PairInJson<'a>>,
}

#[derive(Serialize)]
struct PairInJson<'a> {
    name: &'a str,
    module: &'a str,
    file: &'a str,
    line: u32,
    depth: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<SideInJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<SideInJson>,
}

#[derive(Serialize)]
struct SideInJson {
    calls: u64,
    failures: u64,
    wall_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocates: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    net_bytes: Option<i64>,
}

impl<'a> ComparisonInJson<'a> {
    pub(super) fn of([a, b]: [&Report; 2], pairs: &[Pair<'a>]) -> Self {
        let side = |side: &Side| SideInJson {
            calls: side.calls,
            failures: side.failures,
            wall_ns: nanoseconds(side.wall),
            allocates: side.allocates,
            net_bytes: side.net_bytes,
        };
        let pair = |pair: &Pair<'a>| PairInJson {
            name: pair.name,
            module: pair.module,
            file: pair.file,
            line: pair.line,
            depth: pair.depth,
            a: pair.sides[0].as_ref().map(side),
            b: pair.sides[1].as_ref().map(side),
        };
        Self {
            a: Head::of(a),
            b: Head::of(b),
            calls: pairs.iter().map(pair).collect(),
        }
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
