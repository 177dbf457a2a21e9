//! From a call to its report.

use std::borrow::Cow;
use std::time::Duration;

use alloc_counter::Counts;

use crate::read::snapshot::{CallId, CallSnapshot};
use crate::report::{CallReport, CheckpointReport, Outcome, Thread};
use crate::store::identity::OwnIds;
use crate::store::state::OutcomeKind;
use crate::store::threads::Tag;

use super::shares::Share;

/// Inlined into the loop over all calls, so that neither the snapshot nor the report is copied about.
#[inline]
pub(super) fn call_report(
    call: CallSnapshot,
    parent: Option<usize>,
    own_ids: Option<OwnIds>,
    strand: u32,
    thread: Thread,
    share: &Share,
    is_counted: bool,
) -> CallReport {
    let mut before = (Duration::ZERO, Counts::ZERO);
    let checkpoints = call.checkpoints.into_iter().map(|checkpoint| {
        let since = (
            checkpoint.wall.saturating_sub(before.0),
            checkpoint.counts.saturating_sub(before.1),
        );
        before = (checkpoint.wall, checkpoint.counts);
        CheckpointReport {
            name: checkpoint.name,
            at: checkpoint.wall,
            wall: since.0,
            counts: is_counted.then_some(since.1),
        }
    });
    let names = call.callsite.labels().iter();
    let names = names.map(|name| Cow::Borrowed(name.strip_prefix("r#").unwrap_or(name)));
    let (id, values) = call.text;
    let CallId(address) = call.id;
    let labels = names.zip(values);
    CallReport {
        name: call.callsite.name().into(),
        module: call.callsite.module().into(),
        file: call.callsite.file().into(),
        line: call.callsite.line(),
        id,
        labels: labels
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        parent,
        span_id: own_ids.map(|ids| ids.span(address)),
        strand,
        thread,
        start: call.start,
        wall: call.wall,
        busy: call.busy,
        // With the calls' own times.
        self_wall: Duration::ZERO,
        self_busy: call.busy.saturating_sub(share.busy_inside),
        total: is_counted.then_some(share.total),
        // In a running trace a call inside may have been read a little later than the one around it,
        // and hold a little more.
        self_counts: is_counted.then(|| share.total.saturating_sub(share.inside)),
        peak_bytes: call.peak_bytes.filter(|_| is_counted),
        outcome: match call.end {
            OutcomeKind::Running => Outcome::Running,
            OutcomeKind::Ok => Outcome::Ok,
            OutcomeKind::Failed => {
                Outcome::Failed(call.message.map_or_else(String::new, |it| it.text))
            }
            OutcomeKind::Panicked => Outcome::Panicked,
            OutcomeKind::Cancelled => Outcome::Cancelled,
        },
        compared: None,
        moved: !call.adoptions.is_empty(),
        partial: call.is_partial || share.is_partial,
        checkpoints: checkpoints.collect(),
        // Added afterwards.
        sites: None,
    }
}

/// The names of the threads seen so far: most calls of a trace are on a few.
#[derive(Default)]
pub(super) struct ThreadNames(Vec<(Tag, Option<&'static str>)>);

impl ThreadNames {
    pub(super) fn thread(&mut self, tag: Tag) -> Thread {
        let known = self.0.iter().find(|(known, _)| *known == tag);
        let known = known.map(|(_, name)| *name);
        let name = known.unwrap_or_else(|| {
            let name = tag.name();
            self.0.push((tag, name));
            name
        });
        Thread {
            number: tag.number(),
            name: name.map(Cow::Borrowed),
        }
    }
}
