//! The sums of folded calls, and the strands whose calls are all folded.

use alloc_counter::Counts;

use crate::read::address_map::Index;
use crate::store::address::Address;
use crate::store::remote::RemoteOperation;
use crate::store::strand::Strand;
use crate::store::sum::Sum;
use crate::store::trace::Trace;

use super::calls::{CallSummary, TraceCalls, push};

pub(super) struct FoldedCalls {
    /// The sums, each with its path.
    paths: Vec<(Address, Sum)>,
    /// The strands whose calls are all folded: the call or path below which each stands, the
    /// [moment](Strand::made_after) after which it was made, and its counts.
    pub(super) strands: Vec<(Address, u64, Counts)>,
}

impl FoldedCalls {
    pub(super) const fn new() -> Self {
        Self {
            paths: Vec::new(),
            strands: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.paths.clear();
        self.strands.clear();
    }

    /// Adds the sums of a strand's folded calls, until now.
    pub(super) fn add_sums(&mut self, strand: &Strand) {
        if !strand.folded.has_sums() {
            return;
        }
        for shared in strand.folded.sums() {
            if shared.of().path().is_some() {
                push(&mut self.paths, (shared.of(), shared.read().0));
            }
        }
        strand.mailbox.look(|operations| {
            for [path, _] in operations.iter().filter_map(RemoteOperation::sums) {
                push(&mut self.paths, path);
            }
        });
    }

    /// Adds the strands whose calls are all folded.
    pub(super) fn add_strands(&mut self, trace: &Trace) {
        trace.read_folding(|open, ended| {
            for strand in open {
                self.add_sums(strand);
                let counts = strand.meter.counts();
                let strand = (strand.parent(), strand.made_after(), counts);
                push(&mut self.strands, strand);
            }
            for (path, sum) in ended.calls() {
                push(&mut self.paths, (*path, *sum));
            }
            for ((parent, made_after), (counts, _)) in ended.strands() {
                push(&mut self.strands, (*parent, *made_after, *counts));
            }
        });
    }

    /// Adds the paths of all strands to the calls.
    pub(super) fn add_paths(&self, trace: &Trace, calls: &mut TraceCalls) {
        if self.paths.is_empty() {
            return;
        }
        let Some(allowance) = trace.allowance() else {
            return;
        };
        calls.have_all_stopped_well = false;
        for path in allowance.paths.in_order() {
            if !calls.has_room(1) {
                break;
            }
            let around = calls.index(path.around());
            if around == Index::NONE && path.around() != Address::NONE {
                // The call around came after the calls were read.
                continue;
            }
            let address = Address::of_path(path.number());
            calls.push(address, CallSummary::of_path(path.callsite(), around));
        }
        for (path, sum) in &self.paths {
            match calls.get_mut(*path) {
                Some(call) => call.add(sum),
                None => calls.lost += sum.calls,
            }
        }
    }
}
