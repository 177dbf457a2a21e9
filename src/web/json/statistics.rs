//! What a recorder has counted, as JSON: in all, by route, and by the minute.

use std::time::Duration;

use serde::Serialize;

use crate::recorder::{Minute, RouteStatistics, SinkStatistics, Statistics};
use crate::report::duration::nanoseconds;
use crate::report::json::counts::CountsInJson;
use crate::report::json::report::unix_ns;
use crate::report::json::request::PercentilesInJson;

/// The counts of all requests.
#[derive(Serialize)]
pub(in crate::web) struct StatisticsInJson<'a> {
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
    pub(in crate::web) fn of(it: &'a Statistics) -> Self {
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
pub(in crate::web) struct RouteInJson<'a> {
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
    pub(in crate::web) fn of_files(name: &'a str) -> Self {
        Self {
            name,
            counts: None,
            armed: None,
        }
    }

    pub(in crate::web) fn of(it: &'a RouteStatistics) -> Self {
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
pub(in crate::web) struct MinuteInJson {
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
    pub(in crate::web) fn of(it: &Minute) -> Self {
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
