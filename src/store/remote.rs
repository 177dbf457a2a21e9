//! Remote operations: those of threads on calls whose strand they do not run.
//!
//! Such a thread must not write the strand's records. It posts the operation in the strand's mailbox,
//! and readers of the strand apply it to the records' figures. A stop also sets the one word of the
//! record that other threads may write, by which the strand's own thread knows that the call is over.

use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::sync::AtomicBool;
use crate::primitives::wait::{Lock, Taken};
use crate::store::address::Address;
use crate::store::callsite::TextPlace;
use crate::store::record::CallRecord;
use crate::store::state::OutcomeKind;
use crate::store::sum::{self, Sum};
use crate::store::usage::Usage;

/// The most operations in a mailbox besides one stop of each call, so that its memory stays bounded.
const MAX_OPERATIONS: usize = 1024;

/// An operation on a call.
#[derive(Clone, Debug)]
pub(crate) struct RemoteOperation {
    pub(crate) call: Address,
    /// In ticks.
    pub(crate) at: u64,
    pub(crate) kind: RemoteKind,
}

#[derive(Clone, Debug)]
pub(crate) enum RemoteKind {
    Stop(RemoteStop),
    Checkpoint(RemoteCheckpoint),
    Fail(String),
    #[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "by spans only"))]
    Label(TextPlace, String),
}

#[derive(Clone, Debug)]
pub(crate) struct RemoteCheckpoint {
    pub(crate) name: String,
    /// The call's usage, as far as it was known.
    pub(crate) used: Usage,
    /// The checkpoint says nothing against the call's figures.
    pub(crate) is_exact: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct RemoteStop {
    pub(crate) outcome: OutcomeKind,
    /// The recorded call around, or the path of a folded one.
    pub(crate) within: Address,
    /// The call's usage, as far as it was known.
    pub(crate) used: Usage,
    /// The call was suspended, so its usage was known.
    pub(crate) is_exact: bool,
    /// The call that was open inside this one, and its usage.
    pub(crate) left_open: Option<(Address, Usage)>,
}

impl RemoteOperation {
    pub(crate) fn is_stop(&self) -> bool {
        matches!(self.kind, RemoteKind::Stop(_))
    }

    /// Returns whether the other operation says the same of the call anew: the later of the two holds.
    fn is_replaced_by(&self, other: &Self) -> bool {
        let says_the_same = match (&self.kind, &other.kind) {
            (RemoteKind::Label(place, _), RemoteKind::Label(others, _)) => place == others,
            (RemoteKind::Fail(_), RemoteKind::Fail(_)) => true,
            _ => false,
        };
        says_the_same && self.call == other.call
    }

    /// Returns the sums that the stop of a folded call adds, with their keys, since the strand's thread
    /// does not add it up; `None` for any other operation.
    pub(crate) fn sums(&self) -> Option<[(Address, Sum); 2]> {
        let RemoteKind::Stop(stop) = &self.kind else {
            return None;
        };
        let call = self.call.call_record().and_then(CallRecord::folded)?;
        let mut sum = sum::ended(call, stop.used, self.at, stop.outcome);
        sum.is_partial = true;
        let mut around = sum::inside(&sum);
        // The call in which it was opened does not know that it is over.
        around.is_partial = true;
        Some([(sum::path_of(call), sum), (stop.within, around)])
    }
}

/// A strand's remote operations, in the order in which they were posted. Its lock also keeps the strand
/// from being recycled.
pub(crate) struct Mailbox {
    operations: Lock<Vec<RemoteOperation>>,
    /// Whether there are any. Written under the lock.
    has_any: AtomicBool,
}

/// A mailbox whose lock is taken.
pub(crate) struct LockedMailbox<'a> {
    operations: Taken<'a, Vec<RemoteOperation>>,
    has_any: &'a AtomicBool,
}

impl Mailbox {
    pub(crate) fn new() -> Self {
        Self {
            operations: Lock::new(Vec::new()),
            has_any: AtomicBool::new(false),
        }
    }

    /// Takes the lock; `None` if it is not given back, because the process was forked while another
    /// thread held it.
    pub(crate) fn lock(&self) -> Option<LockedMailbox<'_>> {
        let operations = self.operations.take()?;
        let has_any = &self.has_any;
        Some(LockedMailbox {
            operations,
            has_any,
        })
    }

    /// Returns a copy of all operations.
    pub(crate) fn read(&self) -> Vec<RemoteOperation> {
        { self.operations.take() }.map_or_else(Vec::new, |all| all.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.operations.take().map_or(0, |all| all.len())
    }

    /// Returns whether there are operations, without the lock. Whoever has seen a call stopped, acquiring, sees that its
    /// stop is there.
    #[cfg(any(feature = "recorder", all(loom, test)))]
    #[inline]
    pub(crate) fn has_any(&self) -> bool {
        self.has_any.load(Relaxed)
    }

    /// Calls `look` with all operations, without an allocation. No more are posted meanwhile.
    pub(crate) fn look(&self, look: impl FnOnce(&[RemoteOperation])) {
        if let Some(all) = self.operations.take() {
            look(&all);
        }
    }
}

impl LockedMailbox<'_> {
    /// Posts an operation; `false` if there is no room or no memory for it. It takes the place of one that says the same.
    pub(crate) fn post(&mut self, operation: RemoteOperation) -> bool {
        let is_replacing = matches!(operation.kind, RemoteKind::Label(..) | RemoteKind::Fail(_));
        let mut known = self.operations.iter_mut().filter(|_| is_replacing);
        if let Some(known) = known.find(|known| known.is_replaced_by(&operation)) {
            if known.at <= operation.at {
                *known = operation;
            }
            return true;
        }
        let has_room = operation.is_stop() || self.operations.len() < MAX_OPERATIONS;
        let is_posted = has_room && self.operations.try_reserve(1).is_ok();
        if is_posted {
            self.operations.push(operation);
            self.has_any.store(true, Relaxed);
        }
        is_posted
    }

    pub(crate) fn clear(&mut self) {
        if !self.operations.is_empty() {
            alloc_counter::exclude(|| *self.operations = Vec::new());
            self.has_any.store(false, Relaxed);
        }
    }
}
