//! The calls of a strand that is being read.

use std::iter;

use alloc_counter::Counts;

use crate::primitives::clock;
use crate::read::address_map::AddressMap;
use crate::read::snapshot::{Adoption, CallId, CallSnapshot, CheckpointSnapshot, Message};
use crate::store::address::Address;
use crate::store::callsite::{Callsite, TextPlace};
use crate::store::checkpoint_name::CheckpointName;
use crate::store::record::RecordedCall;
use crate::store::state::{OutcomeKind, RecordState};
use crate::store::strand::Strand;
use crate::store::threads::Tag;
use crate::store::usage::{Figures, Usage};

/// The calls, in the order of their records.
pub(super) struct StrandCalls {
    /// When the trace began, in ticks.
    started: u64,
    pub(super) all: Vec<CallSnapshot>,
    /// The checkpoints of all calls, as they come.
    pub(super) checkpoints: Vec<CheckpointSnapshot>,
    indexes: AddressMap,
    /// Whether any of them has an id or labels.
    pub(super) have_texts: bool,
}

impl StrandCalls {
    /// Makes a list with room for this many calls.
    pub(super) fn with_capacity(calls: usize, started: u64) -> Self {
        Self {
            started,
            all: Vec::with_capacity(calls),
            checkpoints: Vec::new(),
            indexes: AddressMap::new(),
            have_texts: false,
        }
    }

    /// Returns the nanoseconds from the trace's beginning to a moment in ticks.
    #[inline]
    pub(super) fn since_trace(&self, moment: u64) -> u64 {
        clock::nanoseconds_between(self.started, moment)
    }

    pub(super) fn index(&self, call: Address) -> Option<usize> {
        self.indexes.get(call)
    }

    pub(super) fn get_mut(&mut self, call: Address) -> Option<&mut CallSnapshot> {
        self.all.get_mut(self.indexes.get(call)?)
    }

    pub(super) fn has_stopped(&self, call: Address) -> bool {
        let call = self.index(call).and_then(|index| self.all.get(index));
        call.is_some_and(CallSnapshot::has_stopped)
    }

    /// Adds a call without its texts, and, if it is running, without its figures.
    #[inline]
    pub(super) fn add(&mut self, address: Address, record: RecordedCall, strand: &Strand) {
        let Some(callsite) = Callsite::get(record.callsite()) else {
            return;
        };
        self.indexes.insert(address, self.all.len());
        self.have_texts |= callsite.has_texts();
        let start_ns = self.since_trace(record.start());
        let parent = CallId::at(record.parent());
        // Unlike `push`, writes the call to its place at once.
        self.all.extend(iter::once_with(|| CallSnapshot {
            id: CallId(address),
            parent,
            within: parent,
            callsite,
            text: (None, Vec::new()),
            thread: Tag::from_bits(record.thread()),
            start_ns,
            wall_ns: 0,
            busy_ns: 0,
            counts: Counts::ZERO,
            peak_bytes: None,
            end: OutcomeKind::Running,
            message: None,
            is_partial: false,
            checkpoints: 0,
            adoptions: Vec::new(),
            record: *record,
            state: record.state(),
            level: i64::MIN,
        }));
        if let (state, Some(stop), Figures::Used(used)) = record.read()
            && let Some(call) = self.all.last_mut()
        {
            call.set_figures(state, stop, used, strand);
        }
    }

    #[inline]
    pub(super) fn add_checkpoint(
        &mut self,
        call: Address,
        moment: u64,
        name: CheckpointName,
        counts: Counts,
    ) {
        let at_ns = self.since_trace(moment);
        if let Some(place) = self.indexes.get(call)
            && let Some(call) = self.all.get_mut(place)
        {
            call.checkpoints += 1;
            let start_ns = call.start_ns;
            self.checkpoints
                .extend(iter::once_with(|| CheckpointSnapshot {
                    call: place,
                    name,
                    at_ns: at_ns.saturating_sub(start_ns),
                    counts,
                }));
        }
    }

    /// Sets one of a call's texts, which it got after its start.
    pub(super) fn set_text(&mut self, call: Address, place: TextPlace, text: String) {
        if let Some(call) = self.get_mut(call) {
            call.callsite.set_text(&mut call.text, place, text);
        }
    }

    /// Notes a call's failure message, unless a later one is known.
    pub(super) fn add_message(&mut self, call: Address, moment: u64, text: String) {
        let at_ns = self.since_trace(moment);
        if let Some(call) = self.get_mut(call)
            && { call.message.as_ref() }.is_none_or(|known| known.at_ns <= at_ns)
        {
            call.message = Some(Message { text, at_ns });
        }
    }

    /// Adds that the strand's thread moved a call from `before` into another one. The record was written since
    /// the call was added.
    pub(super) fn add_move(&mut self, call: Address, before: Address, so_far: Usage, moment: u64) {
        if let (Some(added), Some(record)) = (self.get_mut(call), call.call_record()) {
            added.within = CallId::at(record.parent());
        }
        self.add_adoption(call, before, so_far, moment);
    }

    /// Adds that a call was inside `before` until it left.
    pub(super) fn add_adoption(
        &mut self,
        call: Address,
        before: Address,
        so_far: Usage,
        moment: u64,
    ) {
        let left_ns = self.since_trace(moment);
        if let Some(call) = self.get_mut(call) {
            call.adoptions.push(Adoption {
                within: CallId::at(before),
                left_ns,
                counts: so_far.counts,
                busy_ns: clock::nanoseconds(so_far.busy),
            });
        }
    }
}

impl CallSnapshot {
    /// Sets the figures, as they are at the call's stop or now.
    #[inline]
    pub(super) fn set_figures(
        &mut self,
        state: RecordState,
        stop: u64,
        used: Usage,
        strand: &Strand,
    ) {
        let wall = stop.saturating_sub(self.record.start());
        self.wall_ns = clock::nanoseconds(wall);
        // Most calls are never suspended.
        self.busy_ns = if used.busy < wall {
            clock::nanoseconds(used.busy)
        } else {
            self.wall_ns
        };
        self.counts = used.counts;
        self.peak_bytes = peak_bytes(strand, used);
        self.end = state.outcome();
        self.is_partial |= state.is_partial();
    }
}

/// Returns the peak of a call that used this much; `None` if some level of the strand is not known.
pub(super) fn peak_bytes(strand: &Strand, used: Usage) -> Option<u64> {
    let is_known = strand.has_peaks();
    is_known.then(|| u64::try_from(used.peak).unwrap_or(0))
}
