//! How a report stands in JSON: the fields, and the way there and back.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::report::duration::nanoseconds;
use crate::report::self_time::self_walls;
use crate::report::{CallReport, CheckpointReport, FoldedReport, Report, Thread};

use super::VERSION;
use super::counts::CountsInJson;
use super::parts::{Labels, OutcomeInJson, borrowed, owned};
use super::request::{ComparedInJson, RequestInJson};

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
    // The first, so that what is of another version is told so before anything else is.
    tracer_report: Version,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    request: Option<RequestInJson<'a>>,
    trace: u64,
    started_unix_ns: i64,
    elapsed_ns: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    grown: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    dropped: u64,
    memory_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<CountsInJson>,
    calls: List<'a, CallReport>,
    #[serde(default, skip_serializing_if = "List::is_empty")]
    folded: List<'a, FoldedReport>,
}

/// What a report has many of: each is turned into JSON and back by itself, so that there are never all of
/// them in both forms.
enum List<'a, T> {
    Written(&'a [T]),
    Read(Vec<T>),
}

/// A part of a report, in JSON.
trait Part: Sized {
    type InJson<'a>: Serialize + Deserialize<'a>;
    fn to_json(&self) -> Self::InJson<'_>;
    fn from_json(in_json: Self::InJson<'_>) -> Self;
}

impl Part for CallReport {
    type InJson<'a> = CallInJson<'a>;

    fn to_json(&self) -> CallInJson<'_> {
        CallInJson::of(self)
    }

    fn from_json(in_json: CallInJson<'_>) -> Self {
        in_json.into_call()
    }
}

impl Part for FoldedReport {
    type InJson<'a> = FoldedInJson<'a>;

    fn to_json(&self) -> FoldedInJson<'_> {
        FoldedInJson::of(self)
    }

    fn from_json(in_json: FoldedInJson<'_>) -> Self {
        in_json.into_folded()
    }
}

impl<T> List<'_, T> {
    fn all(&self) -> &[T] {
        match self {
            Self::Written(all) => all,
            Self::Read(all) => all,
        }
    }

    fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    fn into_read(self) -> Vec<T> {
        match self {
            Self::Written(_) => Vec::new(),
            Self::Read(all) => all,
        }
    }
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self::Read(Vec::new())
    }
}

impl<T: Part> Serialize for List<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.all().iter().map(T::to_json))
    }
}

impl<'de, T: Part> Deserialize<'de> for List<'_, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ListVisitor(PhantomData);
        deserializer.deserialize_seq(visitor).map(Self::Read)
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Part> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(part) = sequence.next_element::<T::InJson<'de>>()? {
            all.push(T::from_json(part));
        }
        all.shrink_to_fit();
        Ok(all)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a call")]
struct CallInJson<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    module: Cow<'a, str>,
    #[serde(borrow)]
    file: Cow<'a, str>,
    line: u32,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Labels::is_empty")]
    labels: Labels<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<usize>,
    strand: u32,
    #[serde(borrow)]
    thread: ThreadInJson<'a>,
    start_ns: u64,
    wall_ns: u64,
    /// Not in reports of the first days, which had none.
    #[serde(default)]
    self_wall_ns: Option<u64>,
    busy_ns: u64,
    self_busy_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<CountsInJson>,
    #[serde(rename = "self", default, skip_serializing_if = "Option::is_none")]
    own: Option<CountsInJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
    outcome: OutcomeInJson,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compared: Option<ComparedInJson>,
    #[serde(default, skip_serializing_if = "is_false")]
    moved: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    partial: bool,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    checkpoints: Vec<CheckpointInJson<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a checkpoint")]
struct CheckpointInJson<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    at_ns: u64,
    wall_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts: Option<CountsInJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a sum of folded calls")]
struct FoldedInJson<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    module: Cow<'a, str>,
    #[serde(borrow)]
    file: Cow<'a, str>,
    line: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<usize>,
    calls: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    running: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    cancelled: u64,
    wall_ns: u64,
    #[serde(default)]
    self_wall_ns: u64,
    busy_ns: u64,
    #[serde(default)]
    self_busy_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<CountsInJson>,
    #[serde(rename = "self", default, skip_serializing_if = "Option::is_none")]
    own: Option<CountsInJson>,
    #[serde(default, skip_serializing_if = "is_false")]
    moved: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    partial: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a thread")]
struct ThreadInJson<'a> {
    number: u32,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
}

/// The only version there is yet.
struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
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
            tracer_report: Version,
            request: report.request.as_deref().map(RequestInJson::of),
            trace: report.trace,
            started_unix_ns: unix_ns(report.started),
            elapsed_ns: nanoseconds(report.elapsed),
            grown: report.grown,
            dropped: report.dropped,
            memory_bytes: report.memory_bytes,
            total: report.total.map(CountsInJson::of),
            calls: List::Written(&report.calls),
            folded: List::Written(&report.folded),
        }
    }

    /// Whose indexes lead somewhere: a parent stands before its calls.
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
            let walls = self_walls(&calls);
            for (call, wall) in calls.iter_mut().zip(walls) {
                call.self_wall = wall;
            }
        }
        Ok(Report {
            request: self.request.map(|it| Box::new(it.into_request())),
            trace: self.trace,
            started: from_unix_ns(self.started_unix_ns),
            elapsed: Duration::from_nanos(self.elapsed_ns),
            grown: self.grown,
            dropped: self.dropped,
            memory_bytes: self.memory_bytes,
            total: self.total.map(CountsInJson::into_counts),
            calls,
            folded: self.folded.into_read(),
        })
    }
}

impl<'a> CallInJson<'a> {
    fn of(call: &'a CallReport) -> Self {
        let (outcome, message) = OutcomeInJson::of(&call.outcome);
        Self {
            name: borrowed(&call.name),
            module: borrowed(&call.module),
            file: borrowed(&call.file),
            line: call.line,
            id: call.id.as_deref().map(borrowed),
            labels: Labels::of(&call.labels),
            parent: call.parent,
            strand: call.strand,
            thread: ThreadInJson {
                number: call.thread.number,
                name: call.thread.name.as_deref().map(borrowed),
            },
            start_ns: nanoseconds(call.start),
            wall_ns: nanoseconds(call.wall),
            self_wall_ns: Some(nanoseconds(call.self_wall)),
            busy_ns: nanoseconds(call.busy),
            self_busy_ns: nanoseconds(call.self_busy),
            total: call.total.map(CountsInJson::of),
            own: call.self_counts.map(CountsInJson::of),
            peak_bytes: call.peak_bytes,
            outcome,
            message,
            compared: call.compared.as_deref().map(ComparedInJson::of),
            moved: call.moved,
            partial: call.partial,
            checkpoints: { call.checkpoints.iter() }
                .map(CheckpointInJson::of)
                .collect(),
        }
    }

    fn into_call(self) -> CallReport {
        CallReport {
            name: owned(self.name),
            module: owned(self.module),
            file: owned(self.file),
            line: self.line,
            id: self.id.map(Cow::into_owned),
            labels: self.labels.into_labels(),
            parent: self.parent,
            strand: self.strand,
            thread: Thread {
                number: self.thread.number,
                name: self.thread.name.map(owned),
            },
            start: Duration::from_nanos(self.start_ns),
            wall: Duration::from_nanos(self.wall_ns),
            busy: Duration::from_nanos(self.busy_ns),
            // If it is not there, the report gets it when all calls are known.
            self_wall: { self.self_wall_ns }.map_or(Duration::MAX, Duration::from_nanos),
            self_busy: Duration::from_nanos(self.self_busy_ns),
            total: self.total.map(CountsInJson::into_counts),
            self_counts: self.own.map(CountsInJson::into_counts),
            peak_bytes: self.peak_bytes,
            outcome: self.outcome.into_outcome(self.message),
            compared: self.compared.map(|it| Box::new(it.into_compared())),
            moved: self.moved,
            partial: self.partial,
            checkpoints: { self.checkpoints.into_iter() }
                .map(CheckpointInJson::into_checkpoint)
                .collect(),
        }
    }
}

impl<'a> CheckpointInJson<'a> {
    fn of(checkpoint: &'a CheckpointReport) -> Self {
        Self {
            name: borrowed(&checkpoint.name),
            at_ns: nanoseconds(checkpoint.at),
            wall_ns: nanoseconds(checkpoint.wall),
            counts: checkpoint.counts.map(CountsInJson::of),
        }
    }

    fn into_checkpoint(self) -> CheckpointReport {
        CheckpointReport {
            name: self.name.into_owned(),
            at: Duration::from_nanos(self.at_ns),
            wall: Duration::from_nanos(self.wall_ns),
            counts: self.counts.map(CountsInJson::into_counts),
        }
    }
}

impl<'a> FoldedInJson<'a> {
    fn of(folded: &'a FoldedReport) -> Self {
        Self {
            name: borrowed(&folded.name),
            module: borrowed(&folded.module),
            file: borrowed(&folded.file),
            line: folded.line,
            parent: folded.parent,
            within: folded.within,
            calls: folded.calls,
            running: folded.running,
            failures: folded.failures,
            cancelled: folded.cancelled,
            wall_ns: nanoseconds(folded.wall),
            self_wall_ns: nanoseconds(folded.self_wall),
            busy_ns: nanoseconds(folded.busy),
            self_busy_ns: nanoseconds(folded.self_busy),
            total: folded.total.map(CountsInJson::of),
            own: folded.self_counts.map(CountsInJson::of),
            moved: folded.moved,
            partial: folded.partial,
        }
    }

    fn into_folded(self) -> FoldedReport {
        FoldedReport {
            name: owned(self.name),
            module: owned(self.module),
            file: owned(self.file),
            line: self.line,
            parent: self.parent,
            within: self.within,
            calls: self.calls,
            running: self.running,
            failures: self.failures,
            cancelled: self.cancelled,
            wall: Duration::from_nanos(self.wall_ns),
            self_wall: Duration::from_nanos(self.self_wall_ns),
            busy: Duration::from_nanos(self.busy_ns),
            self_busy: Duration::from_nanos(self.self_busy_ns),
            total: self.total.map(CountsInJson::into_counts),
            self_counts: self.own.map(CountsInJson::into_counts),
            moved: self.moved,
            partial: self.partial,
        }
    }
}

/// From the year 1677 to 2262.
fn unix_ns(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX);
            i64::try_from(-before).unwrap_or(i64::MIN)
        }
    }
}

fn from_unix_ns(ns: i64) -> SystemTime {
    let distance = Duration::from_nanos(ns.unsigned_abs());
    let time = if ns < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    // Every system's clock reaches so far.
    time.unwrap_or(UNIX_EPOCH)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde hands it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde hands it")]
fn is_false(flag: &bool) -> bool {
    !flag
}
