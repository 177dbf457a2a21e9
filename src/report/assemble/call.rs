//! From a call to its report.

use std::borrow::Cow;
use std::iter::Take;
use std::time::Duration;
use std::vec::IntoIter;

use alloc_counter::Counts;

use crate::primitives::clock::from_nanoseconds;
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
/// ones. The call's figures are [set](set_figures) afterwards: then each is copied once.
///
/// Inlined into the loop over all calls, so that the report is not copied about.
#[inline]
pub(super) fn call_report(
    call: &mut CallSnapshot,
    checkpoints: &mut IntoIter<CheckpointSnapshot>,
    parent: Option<usize>,
    thread: Thread,
    around: &Around,
) -> CallReport {
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
        start: Duration::ZERO,
        wall: Duration::ZERO,
        busy: Duration::ZERO,
        self_wall: Duration::ZERO,
        self_busy: Duration::ZERO,
        total: None,
        self_counts: None,
        peak_bytes: None,
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
        partial: call.is_partial,
        checkpoints: match call.checkpoints {
            0 => Vec::new(),
            count => checkpoint_reports(checkpoints.take(count), around.is_counted),
        },
        // Added afterwards.
        sites: None,
    }
}

/// Sets a call's figures, except the time without the calls inside.
pub(super) fn set_figures(
    report: &mut CallReport,
    call: &CallSnapshot,
    share: &Share,
    is_counted: bool,
) {
    report.start = from_nanoseconds(call.start_ns);
    report.wall = from_nanoseconds(call.wall_ns);
    report.busy = from_nanoseconds(call.busy_ns);
    let self_busy_ns = call.busy_ns.saturating_sub(share.busy_inside_ns);
    report.self_busy = from_nanoseconds(self_busy_ns);
    if is_counted {
        report.total = Some(share.total);
        // In a running trace a call inside may have been read a little later than the one around it,
        // and hold a little more.
        report.self_counts = Some(share.total.saturating_sub(share.inside));
        report.peak_bytes = call.peak_bytes;
    }
    report.partial |= share.is_partial;
}

fn labels(call: &mut CallSnapshot) -> Vec<(Cow<'static, str>, String)> {
    if call.text.1.is_empty() {
        // Most calls have none.
        return Vec::new();
    }
    let values = std::mem::take(&mut call.text.1);
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
    let mut before = (0, Counts::ZERO);
    let reports = checkpoints.map(|checkpoint| {
        let (at_ns, counts) = (checkpoint.at_ns, checkpoint.counts);
        let (before_ns, counts_before) = std::mem::replace(&mut before, (at_ns, counts));
        CheckpointReport {
            name: checkpoint.name,
            at: from_nanoseconds(at_ns),
            wall: from_nanoseconds(at_ns.saturating_sub(before_ns)),
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
