//! The strands of a trace: adding, ending and finding them, and their sum.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use alloc_counter::Counts;

use crate::primitives::pool::{Member, Number};
use crate::store::address::Address;
use crate::store::folding::{Ended, OpenStrands};
use crate::store::strand::{STRANDS, Strand};

use super::{Trace, TraceState};

impl Trace {
    /// Makes a strand below the call at `parent`; `None` if the trace is empty, memory runs out, or no
    /// more folding strands may be open. The strand is a folding one if the trace has as many as it may,
    /// or the parent is folded.
    pub(crate) fn strand(&self, parent: Address) -> Option<&'static Member<Strand>> {
        let state = self.state?;
        let (ordinal, records) = state.allowance.take_strand(parent.path().is_none());
        if ordinal > 0 || !records {
            return further_strand(state, ordinal, parent, records);
        }
        // Only one thread gets here.
        begin(state, state.first, ordinal, parent, records);
        // A thread that finds it finds it as it is now.
        state.has_first.store(true, Release);
        Some(state.first)
    }

    /// Ends a strand of this trace. A folding one is added up and given back.
    pub(crate) fn end(&self, strand: &'static Member<Strand>) {
        let Some(state) = self.state else { return };
        strand.end(state.allowance);
        if strand.is_folding() {
            state.folding.end(strand, state.allowance);
        }
    }

    /// Reads the open folding strands and the sums of those that are over. Returns `false` if the lock
    /// is not given back, because the process was forked while another thread held it.
    pub(crate) fn read_folding(&self, read: impl FnOnce(OpenStrands<'_>, &Ended)) -> bool {
        self.state.is_none_or(|state| state.folding.read(read))
    }

    /// Returns the strands, the newest first.
    pub(crate) fn strands_newest_first(&self) -> impl Iterator<Item = &'static Member<Strand>> {
        let newest = self
            .state
            .map_or(Number::NONE, |state| state.newest.load(Acquire));
        let further = std::iter::successors(STRANDS.get(newest), |strand| {
            STRANDS.get(strand.next_in_trace.load(Relaxed))
        });
        let has_first = self.state.filter(|state| state.has_first.load(Acquire));
        further.chain(has_first.map(|state| state.first))
    }

    /// Returns the strands, in order of creation.
    #[cfg(all(loom, test))]
    pub(crate) fn strands(&self) -> Vec<&'static Member<Strand>> {
        let mut strands: Vec<_> = self.strands_newest_first().collect();
        strands.sort_by_key(|strand| strand.ordinal.load(Relaxed));
        strands
    }

    /// Returns whether anything has been recorded in the trace: whether it ever had a strand.
    #[cfg(all(feature = "sites", feature = "recorder"))]
    pub(crate) fn has_begun(&self) -> bool {
        self.state
            .is_some_and(|state| state.allowance.begun_strands() > 0)
    }

    /// Returns whether all strands are in the [total](Self::total).
    pub(crate) fn has_all_strands(&self) -> bool {
        self.state
            .is_some_and(|state| state.allowance.has_all_strands())
    }

    /// Returns what all strands have allocated and freed until now; `None` if nothing is counted.
    pub(crate) fn total(&self) -> Option<Counts> {
        let counts = |strand: &'static Member<Strand>| strand.meter.read().0.counts;
        let mut total: Counts = self.strands_newest_first().map(counts).sum();
        self.read_folding(|open, ended| {
            total += open.map(counts).sum();
            total += ended.strands().iter().map(|(_, (counts, _))| *counts).sum();
        });
        alloc_counter::is_installed().then_some(total)
    }
}

fn begin(
    state: &Member<TraceState>,
    strand: &Member<Strand>,
    ordinal: u32,
    parent: Address,
    records: bool,
) {
    let (trace, allowance) = (state.number(), Some(state.allowance));
    Strand::begin(strand, trace, allowance, ordinal, parent, !records);
    #[cfg(feature = "tracing")]
    strand.trace_id.store(state.id.load(Relaxed), Relaxed);
}

/// Makes a strand that is not the trace's first, or a folding one.
#[inline(never)]
fn further_strand(
    state: &Member<TraceState>,
    ordinal: u32,
    parent: Address,
    records: bool,
) -> Option<&'static Member<Strand>> {
    let allowance = state.allowance;
    if !records && !allowance.take_folded_strand() {
        allowance.note_dropped_strand();
        return None;
    }
    let Some(strand) = Strand::take() else {
        if records {
            allowance.return_strand();
        } else {
            allowance.return_folded_strand();
        }
        allowance.note_dropped_strand();
        return None;
    };
    begin(state, strand, ordinal, parent, records);
    if !records {
        if !state.folding.begin(strand) {
            Strand::recycle(strand);
            allowance.return_folded_strand();
            allowance.note_dropped_strand();
            return None;
        }
        return Some(strand);
    }
    let mut newest = state.newest.load(Relaxed);
    loop {
        strand.next_in_trace.store(newest, Relaxed);
        match state.newest.compare_exchange(newest, strand.number()) {
            Ok(()) => return Some(strand),
            Err(other) => newest = other,
        }
    }
}
