//! The sums of folded calls of one path, as JSON.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::FoldedReport;
use crate::report::duration::nanoseconds;

use super::counts::CountsInJson;
use super::list::Part;
use super::parts::{borrowed, is_false, is_no_net, is_zero, net_bytes, owned};
use super::site::SitesInJson;
use super::written::Written;

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a sum of folded calls")]
pub(super) struct FoldedInJson<'a> {
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
    /// Derived from `total`, for other programs.
    #[serde(skip_deserializing, skip_serializing_if = "is_no_net")]
    net_bytes: Option<i64>,
    #[serde(default, skip_serializing_if = "is_false")]
    moved: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    partial: bool,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    sites: Option<SitesInJson<'a>>,
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
            net_bytes: net_bytes(folded.total),
            moved: folded.moved,
            partial: folded.partial,
            sites: folded.sites.as_deref().map(SitesInJson::Written),
        }
    }

    /// Reads the fields in the order in which they are written.
    pub(super) fn written(line: &mut Written<'a>) -> Option<Self> {
        let folded = Self {
            name: line.field(r#"{"name":"#, Written::text)?,
            module: line.field(r#","module":"#, Written::text)?,
            file: line.field(r#","file":"#, Written::text)?,
            line: line.field(r#","line":"#, Written::small_number)?,
            parent: line.if_there(r#","parent":"#, Written::small_number)?,
            within: line.if_there(r#","within":"#, Written::small_number)?,
            calls: line.field(r#","calls":"#, Written::number)?,
            running: line.number_or_zero(r#","running":"#)?,
            failures: line.number_or_zero(r#","failures":"#)?,
            cancelled: line.number_or_zero(r#","cancelled":"#)?,
            wall_ns: line.field(r#","wall_ns":"#, Written::number)?,
            self_wall_ns: line.number_or_zero(r#","self_wall_ns":"#)?,
            busy_ns: line.field(r#","busy_ns":"#, Written::number)?,
            self_busy_ns: line.number_or_zero(r#","self_busy_ns":"#)?,
            total: line.if_there(r#","total":"#, CountsInJson::written)?,
            own: line.if_there(r#","self":"#, CountsInJson::written)?,
            net_bytes: line.if_there(r#","net_bytes":"#, Written::signed)?,
            moved: line.has(r#","moved":true"#),
            partial: line.has(r#","partial":true"#),
            sites: line.if_there(r#","sites":"#, Written::value)?,
        };
        line.pass("}")?;
        Some(folded)
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
            sites: self.sites.map(SitesInJson::into_read),
        }
    }
}
