//! Arguments: the figures that a viewer shows of a selected call.

use serde::{Serialize, Serializer};

use alloc_counter::Counts;

use crate::report::tree::OnThread;
use crate::report::{CallReport, CheckpointReport, FoldedReport, Outcome};

/// Arguments at a call's start, which speedscope makes part of the frame's name: set only if the call
/// failed, panicked, was cancelled, or is running.
#[derive(Serialize)]
pub(super) struct Ending {
    outcome: &'static str,
}

impl Ending {
    pub(super) fn of(call: &CallReport) -> Option<Self> {
        let outcome = outcome(call);
        (call.outcome != Outcome::Ok).then_some(Self { outcome })
    }
}

fn outcome(call: &CallReport) -> &'static str {
    match call.outcome {
        Outcome::Ok => "ok",
        Outcome::Failed(_) => "failed",
        Outcome::Panicked => "panicked",
        Outcome::Cancelled => "cancelled",
        Outcome::Running => "running",
    }
}

/// Everything of a call's report that is not drawn.
#[derive(Serialize)]
pub(super) struct CallArgs<'a> {
    call: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "is_empty", serialize_with = "labels")]
    labels: &'a CallReport,
    module: &'a str,
    location: String,
    thread: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    wall_ns: u128,
    busy_ns: u128,
    self_busy_ns: u128,
    #[serde(flatten)]
    total: Option<Total>,
    #[serde(flatten)]
    own: Option<SelfCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
    #[serde(skip_serializing_if = "<[FoldedArgs]>::is_empty")]
    folded: &'a [FoldedArgs<'a>],
}

impl<'a> CallArgs<'a> {
    /// Makes the arguments, without the outcome if [`Ending`] has it.
    pub(super) fn of(index: usize, call: &'a CallReport, folded: &'a [FoldedArgs<'a>]) -> Self {
        Self {
            call: index,
            parent: call.parent,
            id: call.id.as_deref(),
            labels: call,
            module: &call.module,
            location: format!("{}:{}", call.file, call.line),
            thread: OnThread(&call.thread).to_string(),
            outcome: (call.outcome == Outcome::Ok).then_some(outcome(call)),
            message: match &call.outcome {
                Outcome::Failed(message) => Some(message),
                _ => None,
            },
            wall_ns: call.wall.as_nanos(),
            busy_ns: call.busy.as_nanos(),
            self_busy_ns: call.self_busy.as_nanos(),
            total: call.total.as_ref().map(Total::of),
            own: call.self_counts.as_ref().map(SelfCounts::of),
            peak_bytes: call.peak_bytes,
            partial: call.partial,
            folded,
        }
    }

    /// Adds the outcome.
    pub(super) fn with_outcome(mut self, call: &CallReport) -> Self {
        self.outcome = Some(outcome(call));
        self
    }
}

// Serde passes a reference to the field.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_empty(call: &&CallReport) -> bool {
    call.labels.is_empty()
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn labels<S: Serializer>(call: &&CallReport, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(call.labels.iter().map(|(name, value)| (name, value)))
}

#[derive(Serialize)]
pub(super) struct Total {
    allocates: u64,
    bytes_allocated: u64,
    bytes_deallocated: u64,
}

impl Total {
    pub(super) fn of(counts: &Counts) -> Self {
        Self {
            allocates: counts.allocates(),
            bytes_allocated: counts.bytes_allocated,
            bytes_deallocated: counts.bytes_deallocated,
        }
    }
}

#[derive(Serialize)]
struct SelfCounts {
    #[serde(rename = "self_allocates")]
    allocates: u64,
    #[serde(rename = "self_bytes_allocated")]
    bytes_allocated: u64,
    #[serde(rename = "self_bytes_deallocated")]
    bytes_deallocated: u64,
}

impl SelfCounts {
    fn of(counts: &Counts) -> Self {
        Self {
            allocates: counts.allocates(),
            bytes_allocated: counts.bytes_allocated,
            bytes_deallocated: counts.bytes_deallocated,
        }
    }
}

/// Figures of a checkpoint since the previous one.
#[derive(Serialize)]
pub(super) struct Since {
    wall_ns: u128,
    #[serde(flatten)]
    counts: Option<Total>,
}

impl Since {
    pub(super) fn of(checkpoint: &CheckpointReport) -> Self {
        Self {
            wall_ns: checkpoint.wall.as_nanos(),
            counts: checkpoint.counts.as_ref().map(Total::of),
        }
    }
}

#[derive(Serialize)]
pub(super) struct FoldedArgs<'a> {
    name: &'a str,
    module: &'a str,
    location: String,
    calls: u64,
    failures: u64,
    cancelled: u64,
    wall_ns: u128,
    busy_ns: u128,
    #[serde(flatten)]
    total: Option<Total>,
    #[serde(flatten)]
    own: Option<SelfCounts>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
}

impl<'a> FoldedArgs<'a> {
    pub(super) fn of(folded: &'a FoldedReport) -> Self {
        Self {
            name: &folded.name,
            module: &folded.module,
            location: format!("{}:{}", folded.file, folded.line),
            calls: folded.calls,
            failures: folded.failures,
            cancelled: folded.cancelled,
            wall_ns: folded.wall.as_nanos(),
            busy_ns: folded.busy.as_nanos(),
            total: folded.total.as_ref().map(Total::of),
            own: folded.self_counts.as_ref().map(SelfCounts::of),
            partial: folded.partial,
        }
    }
}
