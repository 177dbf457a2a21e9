//! A summary of a trace: a few numbers for each call.
//!
//! It is made for the recorder, which reads every trace and keeps few: no text is read, and nothing is
//! allocated once a trace of this size was summed up before.

mod calls;
mod folded;
mod moves;
mod strand;

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::primitives::pool::Member;
use crate::read::address_map::Index;
use crate::read::moves::around_at;
use crate::store::address::Address;
use crate::store::state::OutcomeKind;
use crate::store::strand::Strand;
use crate::store::trace::Trace;

use calls::{TraceCalls, push};
use folded::FoldedCalls;
use moves::Moves;
use strand::add_strand;

pub(crate) use calls::{CallFigures, CallSummary, StoppedCall, Sums};

/// The sums of a trace, until the moment at which it was read.
pub(crate) struct Summary {
    calls: TraceCalls,
    /// The counts of all strands, inside and outside of calls.
    pub(crate) total: Counts,
    moves: Moves,
    folded: FoldedCalls,
    strands: Vec<&'static Member<Strand>>,
}

/// The most calls for which the memory is kept.
const KEPT_CALLS: usize = 256;

impl Summary {
    pub(crate) const fn new() -> Self {
        Self {
            calls: TraceCalls::new(),
            total: Counts::ZERO,
            moves: Moves::new(),
            folded: FoldedCalls::new(),
            strands: Vec::new(),
        }
    }

    /// Reads a trace. Running calls count as far as they have come.
    pub(crate) fn read(&mut self, trace: &Trace) {
        if self.calls.all.capacity() > KEPT_CALLS {
            *self = Self::new();
        }
        self.calls.clear();
        self.moves.clear();
        self.folded.clear();
        self.strands.clear();
        self.total = Counts::ZERO;
        for strand in trace.strands_newest_first() {
            push(&mut self.strands, strand);
        }
        // A strand's parent exists before the strand. So the folding strands are read first, since their
        // parents may be in any of the others.
        self.folded.add_strands(trace);
        self.strands
            .sort_unstable_by_key(|strand| strand.ordinal.load(Relaxed));
        for strand in &self.strands {
            add_strand(strand, &mut self.calls, &mut self.moves);
            self.folded.add_sums(strand);
        }
        self.folded.add_paths(trace, &mut self.calls);
        for index in 0..self.strands.len() {
            let strand = self.strands[index];
            let counts = strand.meter.counts();
            self.add_total(strand.parent(), strand.made_after(), counts);
        }
        for index in 0..self.folded.strands.len() {
            let (parent, made_after, counts) = self.folded.strands[index];
            self.add_total(parent, made_after, counts);
        }
    }

    /// Returns the calls, each after the one in which it was opened. The paths of folded calls come
    /// last.
    pub(crate) fn calls_mut(&mut self) -> &mut [CallSummary] {
        &mut self.calls.all
    }

    /// Returns for how many calls there was no memory.
    pub(crate) fn lost(&self) -> u64 {
        self.calls.lost
    }

    /// Returns the number of calls.
    pub(crate) fn count(&self) -> u64 {
        self.calls.all.iter().map(CallSummary::count).sum()
    }

    /// Returns the highest peak of a single call; 0 if none is known.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let peaks = self.calls.all.iter().map(CallSummary::peak_bytes);
        peaks.max().unwrap_or(0)
    }

    /// Returns how the calls ended that are inside no other one, all together: cancelled only if all were, since a
    /// dropped branch of a `select!` says nothing about the others.
    #[inline]
    pub(crate) fn end(&self) -> OutcomeKind {
        if self.calls.have_all_stopped_well {
            OutcomeKind::Ok
        } else {
            self.worst_end()
        }
    }

    fn worst_end(&self) -> OutcomeKind {
        let severity = |end: &OutcomeKind| match end {
            OutcomeKind::Cancelled => 0,
            OutcomeKind::Running | OutcomeKind::Ok => 1,
            OutcomeKind::Failed => 2,
            OutcomeKind::Panicked => 3,
        };
        let outermost = { self.calls.all.iter() }.filter(|call| call.parent == Index::NONE);
        let ends = outermost.map(CallSummary::end);
        ends.max_by_key(severity).unwrap_or(OutcomeKind::Ok)
    }

    /// Adds a strand's counts, also to the calls that were around it when it was made.
    #[inline]
    fn add_total(&mut self, parent: Address, made_after: u64, counts: Counts) {
        self.total += counts;
        if parent != Address::NONE {
            self.add_to_calls(parent, made_after, counts);
        }
    }

    fn add_to_calls(&mut self, parent: Address, made_after: u64, counts: Counts) {
        let mut around = self.calls.index(parent);
        // At most one step for each call: links that are read while the trace is written may form a
        // circle.
        for _ in 0..self.calls.all.len() {
            let Some(index) = around.get() else { break };
            let call = &mut self.calls.all[index];
            call.change(|sums| sums.total += counts);
            around = if self.moves.is_empty() {
                call.within
            } else {
                around_at(self.moves.of(index), call.within, made_after)
            };
        }
    }
}
