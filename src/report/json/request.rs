//! A recorder's part of a report, its request, as JSON.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::duration::nanoseconds;
use crate::report::{Compared, Percentiles, Request};

use super::parts::{Labels, OutcomeInJson, borrowed};
use super::written::Written;

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a request")]
pub(super) struct RequestInJson<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Labels::is_empty")]
    labels: Labels<'a>,
    wall_ns: u64,
    outcome: OutcomeInJson,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'a, str>>,
    #[serde(default)]
    reasons: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compared: Option<ComparedInJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a comparison")]
pub(super) struct ComparedInJson {
    calls: u64,
    wall_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allocates: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    net_bytes: Option<i64>,
    of: u64,
    requests: u64,
    usual_calls: PercentilesInJson,
    usual_wall_ns: PercentilesInJson,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usual_allocates: Option<PercentilesInJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usual_net_bytes: Option<PercentilesInJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "percentiles")]
pub(crate) struct PercentilesInJson {
    p50: u64,
    p95: u64,
    p99: u64,
    max: u64,
}

impl<'a> RequestInJson<'a> {
    pub(super) fn of(request: &'a Request) -> Self {
        let (outcome, message) = OutcomeInJson::of(&request.outcome);
        Self {
            name: borrowed(&request.name),
            id: request.id.as_deref().map(borrowed),
            labels: Labels::of(&request.labels),
            wall_ns: nanoseconds(request.wall),
            outcome,
            message,
            reasons: request.reasons.clone(),
            compared: request.compared.as_ref().map(ComparedInJson::of),
        }
    }

    pub(super) fn written(line: &mut Written<'a>) -> Option<Self> {
        let request = Self {
            name: line.field(r#"{"name":"#, Written::text)?,
            id: line.if_there(r#","id":"#, Written::text)?,
            labels: { line.if_there(r#","labels":"#, Labels::written)? }.unwrap_or_default(),
            wall_ns: line.field(r#","wall_ns":"#, Written::number)?,
            outcome: line.field(r#","outcome":"#, OutcomeInJson::written)?,
            message: line.if_there(r#","message":"#, Written::text)?,
            reasons: line.field(r#","reasons":"#, |line| {
                line.list(|line| line.text().map(Cow::into_owned))
            })?,
            compared: line.if_there(r#","compared":"#, ComparedInJson::written)?,
        };
        line.pass("}")?;
        Some(request)
    }

    pub(super) fn into_request(self) -> Request {
        Request {
            name: self.name.into_owned(),
            id: self.id.map(Cow::into_owned),
            labels: self.labels.into_labels(),
            wall: Duration::from_nanos(self.wall_ns),
            outcome: self.outcome.into_outcome(self.message),
            reasons: self.reasons,
            compared: self.compared.map(ComparedInJson::into_compared),
        }
    }
}

impl ComparedInJson {
    pub(super) fn of(compared: &Compared) -> Self {
        Self {
            calls: compared.calls,
            wall_ns: nanoseconds(compared.wall),
            allocates: compared.allocates,
            net_bytes: compared.net_bytes,
            of: compared.of,
            requests: compared.requests,
            usual_calls: PercentilesInJson::of(compared.usual_calls),
            usual_wall_ns: PercentilesInJson::of(compared.usual_wall.map(nanoseconds)),
            usual_allocates: compared.usual_allocates.map(PercentilesInJson::of),
            usual_net_bytes: compared.usual_net_bytes.map(PercentilesInJson::of),
        }
    }

    pub(super) fn written(line: &mut Written<'_>) -> Option<Self> {
        let compared = Self {
            calls: line.field(r#"{"calls":"#, Written::number)?,
            wall_ns: line.field(r#","wall_ns":"#, Written::number)?,
            allocates: line.if_there(r#","allocates":"#, Written::number)?,
            net_bytes: line.if_there(r#","net_bytes":"#, Written::signed)?,
            of: line.field(r#","of":"#, Written::number)?,
            requests: line.field(r#","requests":"#, Written::number)?,
            usual_calls: line.field(r#","usual_calls":"#, PercentilesInJson::written)?,
            usual_wall_ns: line.field(r#","usual_wall_ns":"#, PercentilesInJson::written)?,
            usual_allocates: line.if_there(r#","usual_allocates":"#, PercentilesInJson::written)?,
            usual_net_bytes: line.if_there(r#","usual_net_bytes":"#, PercentilesInJson::written)?,
        };
        line.pass("}")?;
        Some(compared)
    }

    pub(super) fn into_compared(self) -> Compared {
        Compared {
            calls: self.calls,
            wall: Duration::from_nanos(self.wall_ns),
            allocates: self.allocates,
            net_bytes: self.net_bytes,
            of: self.of,
            requests: self.requests,
            usual_calls: self.usual_calls.into_percentiles(),
            usual_wall: { self.usual_wall_ns }
                .into_percentiles()
                .map(Duration::from_nanos),
            usual_allocates: { self.usual_allocates }.map(PercentilesInJson::into_percentiles),
            usual_net_bytes: { self.usual_net_bytes }.map(PercentilesInJson::into_percentiles),
        }
    }
}

impl PercentilesInJson {
    pub(crate) fn of(percentiles: Percentiles<u64>) -> Self {
        let Percentiles { p50, p95, p99, max } = percentiles;
        Self { p50, p95, p99, max }
    }

    fn written(line: &mut Written<'_>) -> Option<Self> {
        let percentiles = Self {
            p50: line.field(r#"{"p50":"#, Written::number)?,
            p95: line.field(r#","p95":"#, Written::number)?,
            p99: line.field(r#","p99":"#, Written::number)?,
            max: line.field(r#","max":"#, Written::number)?,
        };
        line.pass("}")?;
        Some(percentiles)
    }

    fn into_percentiles(self) -> Percentiles<u64> {
        let Self { p50, p95, p99, max } = self;
        Percentiles { p50, p95, p99, max }
    }
}
