//! A summary: what a trace did, call by call, in a few numbers each.
//!
//! For the recorder, which looks at every trace and keeps few of them: no text is read, and nothing is
//! allocated once a trace as large was summed up before.

mod calls;
mod folded;
mod moves;
mod strand;

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::primitives::pool::Member;
use crate::read::moves::around_at;
use crate::store::address::Address;
use crate::store::strand::Strand;
use crate::store::trace::Trace;

use calls::{TraceCalls, push};
use folded::FoldedCalls;
use moves::Moves;
use strand::add_strand;

pub(crate) use calls::CallSummary;

/// What a trace did until it was read.
pub(crate) struct Summary {
    calls: TraceCalls,
    /// What all strands did, in calls and outside.
    pub(crate) total: Counts,
    /// The highest peak of a single call.
    pub(crate) peak_bytes: u64,
    moves: Moves,
    folded: FoldedCalls,
    strands: Vec<&'static Member<Strand>>,
}

/// The memory for more calls than these is given back.
const KEPT_CALLS: usize = 256;

impl Summary {
    pub(crate) const fn new() -> Self {
        Self {
            calls: TraceCalls::new(),
            total: Counts::ZERO,
            peak_bytes: 0,
            moves: Moves::new(),
            folded: FoldedCalls::new(),
            strands: Vec::new(),
        }
    }

    /// Reads a trace. What is still running counts as far as it is.
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
        // A strand's parent is there before the strand. So those that fold are read first, whose parents
        // may be in all others.
        self.folded.add_strands(trace);
        self.strands
            .sort_unstable_by_key(|strand| strand.ordinal.load(Relaxed));
        for strand in &self.strands {
            add_strand(strand, &mut self.calls, &mut self.moves);
            self.folded.add_sums(strand);
        }
        // When other threads' operations have been applied, which change some.
        let peaks = self.calls.all.iter().map(|call| call.peak_bytes);
        self.peak_bytes = peaks.max().unwrap_or(0);
        self.folded.add_paths(trace, &mut self.calls);
        for index in 0..self.strands.len() {
            let strand = self.strands[index];
            let counts = strand.meter.read().0.counts;
            self.add_total(strand.parent(), strand.made_after(), counts);
        }
        for index in 0..self.folded.strands.len() {
            let (parent, made_after, counts) = self.folded.strands[index];
            self.add_total(parent, made_after, counts);
        }
    }

    /// The calls, each after the one in which it was opened. The paths of folded calls come last.
    pub(crate) fn calls(&self) -> &[CallSummary] {
        &self.calls.all
    }

    /// Returns how many calls there was no memory for.
    pub(crate) fn lost(&self) -> u64 {
        self.calls.lost
    }

    /// The calls that are in no other.
    pub(crate) fn outermost(&self) -> impl Iterator<Item = &CallSummary> {
        self.calls.all.iter().filter(|call| call.parent.is_none())
    }

    /// Adds what a strand did to the calls that were around it when it was made.
    fn add_total(&mut self, parent: Address, made_after: u64, counts: Counts) {
        self.total += counts;
        let mut around = self.calls.index(parent);
        // No more steps than there are calls: what was read of a trace that is written meanwhile may
        // lead in a circle.
        for _ in 0..self.calls.all.len() {
            let Some(index) = around else { break };
            let call = &mut self.calls.all[index];
            call.total += counts;
            around = if self.moves.is_empty() {
                call.within
            } else {
                around_at(self.moves.of(index), call.within, made_after)
            };
        }
    }
}
