//! The calls of a summary.

use alloc_counter::Counts;

use crate::primitives::clock;
use crate::primitives::pool::Number;
use crate::read::address_map::{AddressMap, Index};
use crate::store::address::Address;
use crate::store::record::{CallRecord, RecordedCall, View};
use crate::store::state::{OutcomeKind, RecordKind, RecordState};
use crate::store::strand::Strand;
use crate::store::sum::Sum;
use crate::store::usage::Usage;

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
    /// Returns those of one call.
    #[inline]
    pub(super) fn of_call(end: OutcomeKind, wall: u64, used: Usage) -> Self {
        Self {
            calls: 1,
            failures: end.is_failure().into(),
            cancelled: (end == OutcomeKind::Cancelled).into(),
            wall,
            busy: used.busy,
            total: used.counts,
            peak_bytes: peak_bytes(used),
        }
    }

    /// Returns the sums with times in nanoseconds instead of ticks.
    pub(crate) fn in_nanoseconds(self) -> Self {
        Self {
            wall: clock::nanoseconds(self.wall),
            busy: clock::nanoseconds(self.busy),
            ..self
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.add_times(other);
        self.add_counts(other.total, other.peak_bytes);
    }

    /// Adds all but the counts and the peak.
    #[inline]
    pub(crate) fn add_times(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.cancelled += other.cancelled;
        self.wall = self.wall.wrapping_add(other.wall);
        self.busy = self.busy.wrapping_add(other.busy);
    }

    /// Adds counts and a peak.
    #[inline]
    pub(crate) fn add_counts(&mut self, total: Counts, peak_bytes: u64) {
        self.total += total;
        if peak_bytes > self.peak_bytes {
            self.peak_bytes = peak_bytes;
        }
    }
}

/// Returns the peak of a call that used this much.
#[inline]
pub(super) fn peak_bytes(used: Usage) -> u64 {
    used.peak.max(0).cast_unsigned()
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
    pub(crate) figures: CallFigures,
}

/// Where the figures of a call are, or of all folded calls of one path.
pub(crate) enum CallFigures {
    /// Still in the record.
    Recorded(StoppedCall),
    Sums(Sums),
}

/// A call that has stopped well, whose record belongs to the trace that the summary was made of.
#[derive(Clone, Copy)]
pub(crate) struct StoppedCall(pub(super) CallRecord);

impl StoppedCall {
    #[inline]
    pub(crate) fn sums(self) -> Sums {
        let (total, peak_bytes) = self.counts();
        Sums {
            total,
            peak_bytes,
            ..self.times()
        }
    }

    /// Returns the sums without what the call allocated and freed.
    #[inline]
    pub(crate) fn times(self) -> Sums {
        Sums {
            calls: 1,
            wall: self.0.wall_when_stopped(),
            busy: self.0.busy_when_stopped(),
            ..Sums::default()
        }
    }

    /// Returns whether the call allocated or freed anything.
    #[inline]
    pub(crate) fn has_counts(self) -> bool {
        self.0.has_counts_when_stopped()
    }

    /// Returns the counts and the peak.
    #[inline]
    pub(crate) fn counts(self) -> (Counts, u64) {
        let used = self.0.used_when_stopped();
        (used.counts, peak_bytes(used))
    }
}

impl CallSummary {
    /// Returns how the call ended.
    pub(super) fn end(&self) -> OutcomeKind {
        self.state.outcome()
    }

    /// Sets how the call ended.
    pub(super) fn set_end(&mut self, end: OutcomeKind) {
        self.state = self.state.with_outcome(end);
        self.change(|sums| {
            sums.failures = end.is_failure().into();
            sums.cancelled = (end == OutcomeKind::Cancelled).into();
        });
    }

    /// Returns how many calls these are.
    pub(crate) fn count(&self) -> u64 {
        match &self.figures {
            CallFigures::Recorded(_) => 1,
            CallFigures::Sums(sums) => sums.calls,
        }
    }

    /// Returns the figures.
    pub(crate) fn sums(&self) -> Sums {
        match self.figures {
            CallFigures::Recorded(call) => call.sums(),
            CallFigures::Sums(sums) => sums,
        }
    }

    /// Returns the highest peak of a single call; 0 if none is known.
    pub(super) fn peak_bytes(&self) -> u64 {
        match &self.figures {
            CallFigures::Recorded(call) => call.counts().1,
            CallFigures::Sums(sums) => sums.peak_bytes,
        }
    }

    /// Changes the figures.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Sums)) {
        match &mut self.figures {
            CallFigures::Sums(sums) => change(sums),
            CallFigures::Recorded(call) => {
                let mut sums = call.sums();
                change(&mut sums);
                self.figures = CallFigures::Sums(sums);
            }
        }
    }

    #[inline]
    pub(super) fn new(
        callsite: Number,
        around: Index,
        state: RecordState,
        figures: CallFigures,
    ) -> Self {
        Self {
            callsite,
            parent: around,
            within: around,
            path: 0,
            state,
            figures,
        }
    }

    /// Returns a path without any calls.
    pub(super) fn of_path(callsite: Number, around: Index) -> Self {
        let state = RecordState::new(RecordKind::Call).with_outcome(OutcomeKind::Ok);
        Self::new(callsite, around, state, CallFigures::Sums(Sums::default()))
    }

    /// Adds folded calls to those of their path.
    pub(super) fn add(&mut self, sum: &Sum) {
        let mut end = OutcomeKind::Ok;
        self.change(|sums| {
            sums.calls = sums.calls.wrapping_add(sum.calls);
            sums.failures += sum.failures;
            sums.cancelled += sum.cancelled;
            sums.wall = sums.wall.wrapping_add(sum.wall);
            sums.busy = sums.busy.wrapping_add(sum.busy);
            sums.total += sum.total;
            // Whether one failed or panicked is not known.
            if sums.failures > 0 {
                end = OutcomeKind::Failed;
            } else if sums.cancelled == sums.calls {
                end = OutcomeKind::Cancelled;
            }
        });
        self.state = self.state.with_outcome(end);
    }
}

/// The calls of a trace and the paths of folded ones, found by their addresses.
pub(super) struct TraceCalls {
    pub(super) all: Vec<CallSummary>,
    indexes: AddressMap,
    /// The number of calls for which there was no memory.
    pub(super) lost: u64,
    /// So there is no need to look at how each ended.
    pub(super) have_all_stopped_well: bool,
}

impl TraceCalls {
    pub(super) const fn new() -> Self {
        Self {
            all: Vec::new(),
            indexes: AddressMap::new(),
            lost: 0,
            have_all_stopped_well: true,
        }
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.indexes.clear();
        self.lost = 0;
        self.have_all_stopped_well = true;
    }

    #[inline]
    pub(super) fn index(&self, address: Address) -> Index {
        self.indexes.index(address)
    }

    pub(super) fn get_mut(&mut self, address: Address) -> Option<&mut CallSummary> {
        self.index(address).of_mut(&mut self.all)
    }

    /// Returns whether there is memory for this many more, whose addresses are in one chunk. Those for which there is
    /// none are to be counted as lost.
    pub(super) fn has_room(&mut self, calls: usize) -> bool {
        self.all.try_reserve(calls).is_ok() && self.indexes.reserve()
    }

    /// Begins a chunk with this many records. Returns `false` if there is no [room](Self::has_room) for them.
    pub(super) fn begin_chunk(&mut self, number: Number, records: usize) -> bool {
        let has_room = self.has_room(records);
        if has_room {
            self.indexes.begin_chunk(number);
        }
        has_room
    }

    /// Adds a call for which there is [room](Self::has_room).
    pub(super) fn push(&mut self, address: Address, call: CallSummary) {
        self.all.push(call);
        self.indexes.insert(address, self.all.len() - 1);
    }

    /// Adds a call of the chunk that was [begun](Self::begin_chunk) last.
    #[inline]
    pub(super) fn push_next(&mut self, address: Address, call: CallSummary) {
        self.indexes.insert_next(address, self.all.len());
        self.all.push(call);
    }

    /// Forgets the peaks of all calls from this index on.
    #[cold]
    pub(super) fn forget_peaks(&mut self, first: usize) {
        let with_peak = { self.all[first..].iter_mut() }.filter(|call| call.peak_bytes() > 0);
        for call in with_peak {
            call.change(|sums| sums.peak_bytes = 0);
        }
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
