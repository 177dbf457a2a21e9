//! What sums over many reports need of a call.

use std::borrow::Cow;
use std::time::Duration;

use alloc_counter::Counts;

use super::{CallReport, Outcome};

/// A call without what is its own only: texts, thread, checkpoints.
#[derive(Debug)]
pub(crate) struct CallSum<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) module: Cow<'a, str>,
    pub(crate) file: Cow<'a, str>,
    pub(crate) line: u32,
    pub(crate) parent: Option<usize>,
    pub(crate) wall: Duration,
    pub(crate) busy: Duration,
    pub(crate) self_wall: Duration,
    pub(crate) self_busy: Duration,
    pub(crate) total: Option<Counts>,
    pub(crate) self_counts: Option<Counts>,
    pub(crate) peak_bytes: Option<u64>,
    pub(crate) is_failure: bool,
    pub(crate) is_cancelled: bool,
    pub(crate) partial: bool,
}

impl<'a> CallSum<'a> {
    pub(crate) fn of(call: &'a CallReport) -> Self {
        Self {
            name: Cow::Borrowed(&call.name),
            module: Cow::Borrowed(&call.module),
            file: Cow::Borrowed(&call.file),
            line: call.line,
            parent: call.parent,
            wall: call.wall,
            busy: call.busy,
            self_wall: call.self_wall,
            self_busy: call.self_busy,
            total: call.total,
            self_counts: call.self_counts,
            peak_bytes: call.peak_bytes,
            is_failure: call.outcome.is_failure(),
            is_cancelled: call.outcome == Outcome::Cancelled,
            partial: call.partial,
        }
    }
}
