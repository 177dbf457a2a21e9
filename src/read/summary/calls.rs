//! The calls of a summary.

use alloc_counter::Counts;

use crate::primitives::pool::Number;
use crate::read::address_map::AddressMap;
use crate::store::address::Address;
use crate::store::record::{RecordedCall, View};
use crate::store::state::OutcomeKind;
use crate::store::strand::Strand;
use crate::store::sum::Sum;

/// A call, or all folded calls of one path.
pub(crate) struct CallSummary {
    pub(crate) callsite: Number,
    /// The call in which it was opened, as an index.
    pub(crate) parent: Option<usize>,
    /// The call that it is inside of now, or was when it stopped.
    pub(super) within: Option<usize>,
    pub(crate) calls: u64,
    /// How many of them failed or panicked.
    pub(crate) failures: u64,
    pub(crate) cancelled: u64,
    /// In ticks, as `busy` is: one conversion for all calls of a path is cheaper than one for each.
    pub(crate) wall: u64,
    pub(crate) busy: u64,
    /// Includes the calls inside, and the strands spawned from it.
    pub(crate) total: Counts,
    pub(crate) peak_bytes: u64,
    pub(crate) end: OutcomeKind,
    /// Whether it was marked as failed.
    pub(super) has_failed: bool,
}

impl CallSummary {
    pub(super) fn end(&mut self, end: OutcomeKind) {
        self.end = end;
        self.failures = u64::from(end.is_failure());
        self.cancelled = u64::from(end == OutcomeKind::Cancelled);
    }

    /// Returns a path without any calls.
    pub(super) const fn of_path(callsite: Number, around: Option<usize>) -> Self {
        Self {
            callsite,
            parent: around,
            within: around,
            calls: 0,
            failures: 0,
            cancelled: 0,
            wall: 0,
            busy: 0,
            total: Counts::ZERO,
            peak_bytes: 0,
            end: OutcomeKind::Ok,
            has_failed: false,
        }
    }

    /// Adds folded calls to those of their path.
    pub(super) fn add(&mut self, sum: &Sum) {
        self.calls = self.calls.wrapping_add(sum.calls);
        self.failures += sum.failures;
        self.cancelled += sum.cancelled;
        self.wall = self.wall.wrapping_add(sum.wall);
        self.busy = self.busy.wrapping_add(sum.busy);
        self.total += sum.total;
        // Whether one failed or panicked is not known.
        if self.failures > 0 {
            self.end = OutcomeKind::Failed;
        } else if self.cancelled == self.calls {
            self.end = OutcomeKind::Cancelled;
        } else {
            self.end = OutcomeKind::Ok;
        }
    }
}

/// The calls of a trace and the paths of folded ones, found by their addresses.
pub(super) struct TraceCalls {
    pub(super) all: Vec<CallSummary>,
    indexes: AddressMap,
    /// The number of calls for which there was no memory.
    pub(super) lost: u64,
}

impl TraceCalls {
    pub(super) const fn new() -> Self {
        Self {
            all: Vec::new(),
            indexes: AddressMap::new(),
            lost: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.indexes.clear();
        self.lost = 0;
    }

    #[inline]
    pub(super) fn index(&self, address: Address) -> Option<usize> {
        self.indexes.get(address)
    }

    pub(super) fn get_mut(&mut self, address: Address) -> Option<&mut CallSummary> {
        self.all.get_mut(self.indexes.get(address)?)
    }

    /// Returns whether there is memory for one more. If not, counts `calls` as lost.
    #[inline]
    pub(super) fn has_room(&mut self, calls: u64) -> bool {
        let has_room = self.all.try_reserve(1).is_ok() && self.indexes.reserve();
        if !has_room {
            self.lost += calls;
        }
        has_room
    }

    /// Adds a call for which there is [room](Self::has_room).
    #[inline]
    pub(super) fn push(&mut self, address: Address, call: CallSummary) {
        self.all.push(call);
        self.indexes.insert(address, self.all.len() - 1);
    }
}

/// Adds an item, if there is memory. Otherwise the figures that depend on it are too low.
pub(super) fn push<T>(all: &mut Vec<T>, item: T) {
    if all.try_reserve(1).is_ok() {
        all.push(item);
    }
}

/// Returns the calls of a strand that are recorded one by one.
pub(super) fn recorded_calls(strand: &Strand) -> impl Iterator<Item = (Address, RecordedCall)> {
    let records = strand.records();
    records.filter_map(|(address, record)| match record.view(record.state()) {
        View::Call(call) => Some((address, call)),
        _ => None,
    })
}
