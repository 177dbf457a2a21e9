//! A call as JSON.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "hotspots")]
use crate::report::call_sum::CallSum;
use crate::report::duration::nanoseconds;
use crate::report::{CallReport, CheckpointReport, Thread};
use crate::store::ids::SpanId;

use super::counts::CountsInJson;
use super::list::Part;
use super::parts::{
    Labels, OutcomeInJson, borrowed, is_false, is_no_net, net_bytes, owned, written_id,
};
use super::request::ComparedInJson;
use super::site::SitesInJson;
use super::written::Written;

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a call")]
pub(super) struct CallInJson<'a> {
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    span_id: Option<SpanId>,
    strand: u32,
    #[serde(borrow)]
    thread: ThreadInJson<'a>,
    start_ns: u64,
    wall_ns: u64,
    /// The earliest reports do not have it.
    #[serde(default)]
    self_wall_ns: Option<u64>,
    busy_ns: u64,
    self_busy_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<CountsInJson>,
    #[serde(rename = "self", default, skip_serializing_if = "Option::is_none")]
    own: Option<CountsInJson>,
    /// Derived from `total`, for other programs.
    #[serde(skip_deserializing, skip_serializing_if = "is_no_net")]
    net_bytes: Option<i64>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sites: Option<SitesInJson<'a>>,
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
#[serde(expecting = "a thread")]
struct ThreadInJson<'a> {
    number: u32,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
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
            span_id: call.span_id,
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
            net_bytes: net_bytes(call.total),
            peak_bytes: call.peak_bytes,
            outcome,
            message,
            compared: call.compared.as_deref().map(ComparedInJson::of),
            moved: call.moved,
            partial: call.partial,
            checkpoints: { call.checkpoints.iter() }
                .map(CheckpointInJson::of)
                .collect(),
            sites: call.sites.as_deref().map(SitesInJson::Written),
        }
    }

    /// Reads the fields in the order in which they are written.
    pub(super) fn written(line: &mut Written<'a>) -> Option<Self> {
        let call = Self {
            name: line.field(r#"{"name":"#, Written::text)?,
            module: line.field(r#","module":"#, Written::text)?,
            file: line.field(r#","file":"#, Written::text)?,
            line: line.field(r#","line":"#, Written::small_number)?,
            id: line.if_there(r#","id":"#, Written::text)?,
            labels: { line.if_there(r#","labels":"#, Labels::written)? }.unwrap_or_default(),
            parent: line.if_there(r#","parent":"#, Written::small_number)?,
            span_id: line.if_there(r#","span_id":"#, written_id)?,
            strand: line.field(r#","strand":"#, Written::small_number)?,
            thread: line.field(r#","thread":"#, ThreadInJson::written)?,
            start_ns: line.field(r#","start_ns":"#, Written::number)?,
            wall_ns: line.field(r#","wall_ns":"#, Written::number)?,
            self_wall_ns: line.if_there(r#","self_wall_ns":"#, Written::number)?,
            busy_ns: line.field(r#","busy_ns":"#, Written::number)?,
            self_busy_ns: line.field(r#","self_busy_ns":"#, Written::number)?,
            total: line.if_there(r#","total":"#, CountsInJson::written)?,
            own: line.if_there(r#","self":"#, CountsInJson::written)?,
            net_bytes: line.if_there(r#","net_bytes":"#, Written::signed)?,
            peak_bytes: line.if_there(r#","peak_bytes":"#, Written::number)?,
            outcome: line.field(r#","outcome":"#, OutcomeInJson::written)?,
            message: line.if_there(r#","message":"#, Written::text)?,
            compared: line.if_there(r#","compared":"#, ComparedInJson::written)?,
            moved: line.has(r#","moved":true"#),
            partial: line.has(r#","partial":true"#),
            checkpoints: line
                .if_there(r#","checkpoints":"#, |line| {
                    line.list(CheckpointInJson::written)
                })?
                .unwrap_or_default(),
            sites: line.if_there(r#","sites":"#, Written::value)?,
        };
        line.pass("}")?;
        Some(call)
    }

    /// Returns what sums need of it; `None` if its self time is missing and follows from all calls.
    #[cfg(feature = "hotspots")]
    pub(super) fn into_sum(self) -> Option<CallSum<'a>> {
        Some(CallSum {
            name: self.name,
            module: self.module,
            file: self.file,
            line: self.line,
            parent: self.parent,
            wall: Duration::from_nanos(self.wall_ns),
            busy: Duration::from_nanos(self.busy_ns),
            self_wall: Duration::from_nanos(self.self_wall_ns?),
            self_busy: Duration::from_nanos(self.self_busy_ns),
            total: self.total.map(CountsInJson::into_counts),
            self_counts: self.own.map(CountsInJson::into_counts),
            peak_bytes: self.peak_bytes,
            is_failure: self.outcome.is_failure(),
            is_cancelled: self.outcome == OutcomeInJson::Cancelled,
            partial: self.partial,
        })
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
            span_id: self.span_id,
            strand: self.strand,
            thread: Thread {
                number: self.thread.number,
                name: self.thread.name.map(owned),
            },
            start: Duration::from_nanos(self.start_ns),
            wall: Duration::from_nanos(self.wall_ns),
            busy: Duration::from_nanos(self.busy_ns),
            // If it is missing, it is computed when all calls of the report are known.
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
            sites: self.sites.map(SitesInJson::into_read),
        }
    }
}

impl<'a> ThreadInJson<'a> {
    fn written(line: &mut Written<'a>) -> Option<Self> {
        let thread = Self {
            number: line.field(r#"{"number":"#, Written::small_number)?,
            name: line.if_there(r#","name":"#, Written::text)?,
        };
        line.pass("}")?;
        Some(thread)
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

    fn written(line: &mut Written<'a>) -> Option<Self> {
        let checkpoint = Self {
            name: line.field(r#"{"name":"#, Written::text)?,
            at_ns: line.field(r#","at_ns":"#, Written::number)?,
            wall_ns: line.field(r#","wall_ns":"#, Written::number)?,
            counts: line.if_there(r#","counts":"#, CountsInJson::written)?,
        };
        line.pass("}")?;
        Some(checkpoint)
    }

    fn into_checkpoint(self) -> CheckpointReport {
        CheckpointReport {
            name: self.name.into(),
            at: Duration::from_nanos(self.at_ns),
            wall: Duration::from_nanos(self.wall_ns),
            counts: self.counts.map(CountsInJson::into_counts),
        }
    }
}
