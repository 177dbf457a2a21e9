//! The calls of a summary.

use alloc_counter::Counts;

use crate::primitives::clock;
use crate::primitives::pool::Number;
use crate::read::address_map::{AddressMap, Index};
use crate::store::address::Address;
use crate::store::record::{RecordedCall, View};
use crate::store::state::{OutcomeKind, RecordKind, RecordState};
use crate::store::strand::Strand;
use crate::store::sum::Sum;

/// Sums of several calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) calls: u64,
    /// How many of them failed or panicked.
    pub(crate) failures: u64,
    pub(crate) cancelled: u64,
    /// In ticks, as `busy` is: one conversion of a sum is cheaper than one for each call. Both wrap, as the counts do:
    /// so a time that two processors' clocks made negative takes away as little.
    pub(crate) wall: u64,
    pub(crate) busy: u64,
    /// Includes the calls inside, and the strands spawned from them.
    pub(crate) total: Counts,
    /// The highest of a single call.
    pub(crate) peak_bytes: u64,
}

impl Sums {
    const ZERO: Self = Self {
        calls: 0,
        failures: 0,
        cancelled: 0,
        wall: 0,
        busy: 0,
        total: Counts::ZERO,
        peak_bytes: 0,
    };

    /// Returns the sums with times in nanoseconds instead of ticks.
    pub(crate) fn in_nanoseconds(self) -> Self {
        Self {
            wall: clock::nanoseconds(self.wall),
            busy: clock::nanoseconds(self.busy),
            ..self
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.cancelled += other.cancelled;
        self.wall = self.wall.wrapping_add(other.wall);
        self.busy = self.busy.wrapping_add(other.busy);
        self.total += other.total;
        if other.peak_bytes > self.peak_bytes {
            self.peak_bytes = other.peak_bytes;
        }
    }
}

/// A call, or all folded calls of one path.
pub(crate) struct CallSummary {
    pub(crate) callsite: Number,
    /// The call in which it was opened.
    pub(crate) parent: Index,
    /// The call that it is inside of now, or was when it stopped.
    pub(super) within: Index,
    /// The number that a baseline has for its path, once it was added there.
    pub(crate) path: u32,
    /// With the outcome, and whether it was marked as failed.
    pub(super) state: RecordState,
    pub(crate) sums: Sums,
}

impl CallSummary {
    /// Returns how the call ended.
    pub(super) fn end(&self) -> OutcomeKind {
        self.state.outcome()
    }

    /// Sets how the call ended.
    #[cold]
    pub(super) fn set_end(&mut self, end: OutcomeKind) {
        self.state = self.state.with_outcome(end);
        self.sums.failures = u64::from(end.is_failure());
        self.sums.cancelled = u64::from(end == OutcomeKind::Cancelled);
    }

    /// Returns a path without any calls.
    pub(super) const fn of_path(callsite: Number, around: Index) -> Self {
        Self {
            callsite,
            parent: around,
            within: around,
            path: 0,
            state: RecordState::new(RecordKind::Call).with_outcome(OutcomeKind::Ok),
            sums: Sums::ZERO,
        }
    }

    /// Adds folded calls to those of their path.
    pub(super) fn add(&mut self, sum: &Sum) {
        let sums = &mut self.sums;
        sums.calls = sums.calls.wrapping_add(sum.calls);
        sums.failures += sum.failures;
        sums.cancelled += sum.cancelled;
        sums.wall = sums.wall.wrapping_add(sum.wall);
        sums.busy = sums.busy.wrapping_add(sum.busy);
        sums.total += sum.total;
        // Whether one failed or panicked is not known.
        let end = if sums.failures > 0 {
            OutcomeKind::Failed
        } else if sums.cancelled == sums.calls {
            OutcomeKind::Cancelled
        } else {
            OutcomeKind::Ok
        };
        self.state = self.state.with_outcome(end);
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
    pub(super) fn index(&self, address: Address) -> Index {
        self.indexes.index(address)
    }

    pub(super) fn get_mut(&mut self, address: Address) -> Option<&mut CallSummary> {
        self.index(address).of_mut(&mut self.all)
    }

    /// Returns whether there is memory for this many more, whose addresses are in one chunk.
    pub(super) fn has_room(&mut self, calls: usize) -> bool {
        self.all.try_reserve(calls).is_ok() && self.indexes.reserve()
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
