//! From a call to its report.

use std::borrow::Cow;
use std::iter::Take;
use std::time::Duration;
use std::vec::IntoIter;

use alloc_counter::Counts;

use crate::read::snapshot::{CallId, CallSnapshot, CheckpointSnapshot};
use crate::report::{CallReport, CheckpointReport, Outcome, Thread};
use crate::store::identity::OwnIds;
use crate::store::state::OutcomeKind;
use crate::store::threads::Tag;

use super::shares::Share;

/// What a call's report has of its trace and its strand.
pub(super) struct Around {
    pub(super) own_ids: Option<OwnIds>,
    /// The strand's number.
    pub(super) strand: u32,
    pub(super) is_counted: bool,
}

/// Makes the report of a call, of which it takes the texts. `checkpoints` are those of the call and of later
/// ones.
///
/// Inlined into the loop over all calls, so that the report is not copied about.
#[inline]
pub(super) fn call_report(
    call: &mut CallSnapshot,
    checkpoints: &mut IntoIter<CheckpointSnapshot>,
    parent: Option<usize>,
    thread: Thread,
    share: &Share,
    around: &Around,
) -> CallReport {
    let is_counted = around.is_counted;
    let CallId(address) = call.id;
    CallReport {
        name: call.callsite.name().into(),
        module: call.callsite.module().into(),
        file: call.callsite.file().into(),
        line: call.callsite.line(),
        id: call.text.0.take(),
        labels: labels(call),
        parent,
        span_id: around.own_ids.map(|ids| ids.span(address)),
        strand: around.strand,
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
                Outcome::Failed(call.message.take().map_or_else(String::new, |it| it.text))
            }
            OutcomeKind::Panicked => Outcome::Panicked,
            OutcomeKind::Cancelled => Outcome::Cancelled,
        },
        compared: None,
        moved: !call.adoptions.is_empty(),
        partial: call.is_partial || share.is_partial,
        checkpoints: match call.checkpoints {
            0 => Vec::new(),
            count => checkpoint_reports(checkpoints.take(count), is_counted),
        },
        // Added afterwards.
        sites: None,
    }
}

fn labels(call: &mut CallSnapshot) -> Vec<(Cow<'static, str>, String)> {
    let values = std::mem::take(&mut call.text.1);
    if values.is_empty() {
        // Most calls have none.
        return Vec::new();
    }
    let names = call.callsite.labels().iter();
    let names = names.map(|name| Cow::Borrowed(name.strip_prefix("r#").unwrap_or(name)));
    let labels = names.zip(values);
    labels
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// Reports the checkpoints of a call, each with what was used since the one before.
fn checkpoint_reports(
    checkpoints: Take<&mut IntoIter<CheckpointSnapshot>>,
    is_counted: bool,
) -> Vec<CheckpointReport> {
    let mut before = (Duration::ZERO, Counts::ZERO);
    let reports = checkpoints.map(|checkpoint| {
        let (wall, counts) = (checkpoint.wall, checkpoint.counts);
        let (wall_before, counts_before) = std::mem::replace(&mut before, (wall, counts));
        CheckpointReport {
            name: checkpoint.name,
            at: wall,
            wall: wall.saturating_sub(wall_before),
            counts: is_counted.then(|| counts.saturating_sub(counts_before)),
        }
    });
    reports.collect()
}

/// The names of the threads seen so far: most calls of a trace are on one, and the others on a few.
#[derive(Default)]
pub(super) struct ThreadNames {
    last: Option<(Tag, Option<&'static str>)>,
    /// Those before.
    others: Vec<(Tag, Option<&'static str>)>,
}

impl ThreadNames {
    pub(super) fn thread(&mut self, tag: Tag) -> Thread {
        let name = match self.last {
            Some((last, name)) if last == tag => name,
            _ => self.other(tag),
        };
        Thread {
            number: tag.number(),
            name: name.map(Cow::Borrowed),
        }
    }

    #[cold]
    fn other(&mut self, tag: Tag) -> Option<&'static str> {
        self.others.extend(self.last.take());
        let known = self.others.iter().position(|(known, _)| *known == tag);
        let known = known.map(|place| self.others.swap_remove(place).1);
        let name = known.unwrap_or_else(|| tag.name());
        self.last = Some((tag, name));
        name
    }
}
