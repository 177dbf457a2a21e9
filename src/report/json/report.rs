//! A report as JSON.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{self, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::report::duration::nanoseconds;
use crate::report::self_time::set_self_walls;
use crate::report::{CallReport, FoldedReport, Report};
use crate::store::ids::{SpanId, TraceId};

use super::VERSION;
use super::counts::CountsInJson;
use super::list::List;
use super::parts::{is_no_net, is_zero, net_bytes};
use super::request::RequestInJson;
use super::site::SitesInJson;

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ReportInJson::of(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Report {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let report = ReportInJson::deserialize(deserializer)?;
        report.into_report().map_err(de::Error::custom)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a report")]
struct ReportInJson<'a> {
    // First, so that another version is found before any other error.
    tracer_report: SchemaVersion,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    request: Option<RequestInJson<'a>>,
    trace: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    span_id: Option<SpanId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent_span: Option<SpanId>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<Cow<'a, str>>,
    started_unix_ns: i64,
    elapsed_ns: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    grown: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    dropped: u64,
    memory_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<CountsInJson>,
    /// Derived from `total`, for other programs.
    #[serde(skip_deserializing, skip_serializing_if = "is_no_net")]
    net_bytes: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subscriber: Option<CountsInJson>,
    calls: List<'a, CallReport>,
    #[serde(default, skip_serializing_if = "List::is_empty")]
    folded: List<'a, FoldedReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sites: Option<SitesInJson<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sites_not_recorded: Option<CountsInJson>,
}

/// The version of the schema; there is only one so far.
pub(super) struct SchemaVersion;

impl Serialize for SchemaVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(VERSION)
    }
}

impl<'de> Deserialize<'de> for SchemaVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            VERSION => Ok(Self),
            other => Err(de::Error::invalid_value(
                Unexpected::Unsigned(other),
                &"version 1 of the schema",
            )),
        }
    }
}

impl<'a> ReportInJson<'a> {
    fn of(report: &'a Report) -> Self {
        Self {
            tracer_report: SchemaVersion,
            request: report.request.as_deref().map(RequestInJson::of),
            trace: report.trace,
            trace_id: report.trace_id,
            span_id: report.span_id,
            parent_span: report.parent_span,
            tracestate: report.tracestate.as_deref().map(Cow::Borrowed),
            started_unix_ns: unix_ns(report.started),
            elapsed_ns: nanoseconds(report.elapsed),
            grown: report.grown,
            dropped: report.dropped,
            memory_bytes: report.memory_bytes,
            total: report.total.map(CountsInJson::of),
            net_bytes: net_bytes(report.total),
            subscriber: report.subscriber.map(CountsInJson::of),
            calls: List::Written(&report.calls),
            folded: List::Written(&report.folded),
            sites: report.sites.as_deref().map(SitesInJson::Written),
            sites_not_recorded: report.sites_not_recorded.map(CountsInJson::of),
        }
    }

    /// Converts to a report, and checks that indexes are valid: a parent comes before its calls.
    fn into_report(self) -> Result<Report, String> {
        let calls = self.calls.all().len();
        for (place, call) in self.calls.all().iter().enumerate() {
            if let Some(parent) = call.parent.filter(|parent| *parent >= place) {
                return Err(format!(
                    "calls[{place}].parent is {parent}: expected the index of a call before it"
                ));
            }
        }
        for (place, folded) in self.folded.all().iter().enumerate() {
            if let Some(parent) = folded.parent.filter(|parent| *parent >= calls) {
                return Err(format!(
                    "folded[{place}].parent is {parent}: expected the index of one of {calls} calls"
                ));
            }
            if let Some(within) = folded.within.filter(|within| *within >= place) {
                return Err(format!(
                    "folded[{place}].within is {within}: expected the index of a path before it"
                ));
            }
        }
        let mut calls = self.calls.into_read();
        if calls.iter().any(|call| call.self_wall == Duration::MAX) {
            set_self_walls(&mut calls);
        }
        Ok(Report {
            request: self.request.map(|it| Box::new(it.into_request())),
            trace: self.trace,
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_span: self.parent_span,
            tracestate: self.tracestate.map(Cow::into_owned),
            started: from_unix_ns(self.started_unix_ns),
            elapsed: Duration::from_nanos(self.elapsed_ns),
            grown: self.grown,
            dropped: self.dropped,
            memory_bytes: self.memory_bytes,
            total: self.total.map(CountsInJson::into_counts),
            subscriber: self.subscriber.map(CountsInJson::into_counts),
            calls,
            folded: self.folded.into_read(),
            sites: self.sites.map(SitesInJson::into_read),
            sites_not_recorded: self.sites_not_recorded.map(CountsInJson::into_counts),
        })
    }
}

/// Returns the time in nanoseconds since 1970, within the years 1677 to 2262.
pub(crate) fn unix_ns(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX);
            i64::try_from(-before).unwrap_or(i64::MIN)
        }
    }
}

pub(super) fn from_unix_ns(ns: i64) -> SystemTime {
    let distance = Duration::from_nanos(ns.unsigned_abs());
    let time = if ns < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    // The clock of every system has this range.
    time.unwrap_or(UNIX_EPOCH)
}
