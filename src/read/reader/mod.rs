//! Reads a trace's records into a snapshot, while other threads may write them.

mod calls;
mod remote;
mod strand;
mod sums;
mod texts;

use alloc_counter::Counts;

use crate::primitives::clock;
use crate::read::footprint::Footprint;
use crate::read::snapshot::{CallId, PathSnapshot, Snapshot, StrandSnapshot};
use crate::store::address::Address;
use crate::store::callsite::Callsite;
use crate::store::folding::Ended;
use crate::store::identity::OwnIds;
use crate::store::limits::Allowance;
use crate::store::trace::Trace;

use sums::sum_snapshot;

pub(crate) use strand::read_strand;

/// Returns a snapshot of a trace. The threads that write it don't wait.
pub(crate) fn snapshot(trace: &Trace) -> Snapshot {
    let Some(started) = trace.started() else {
        return Snapshot::empty();
    };
    // A strand's parent exists before the strand. So the newest strands are read first, and those whose
    // calls are folded before all others: then each parent is found.
    let mut folding = Vec::new();
    let mut ended = Vec::new();
    let is_whole = trace.read_folding(|open, over| {
        folding.extend(open.map(|strand| read_strand(strand, started)));
        ended = read_ended(over, started);
    });
    let strands = trace.strands_newest_first();
    let mut strands: Vec<_> = strands.map(|it| read_strand(it, started)).collect();
    strands.sort_by_key(|strand| strand.ordinal);
    strands.extend(folding);
    strands.extend(ended);
    let (allowance, own_ids) = (trace.allowance(), trace.own_ids());
    Snapshot {
        id: trace.id(),
        trace_id: { trace.caller_trace_id() }.or_else(|| own_ids.map(OwnIds::trace_id)),
        parent_span: trace.parent_span(),
        #[cfg(feature = "propagation")]
        tracestate: { trace.tracestate() }.and_then(|it| String::from_utf8(it.collect()).ok()),
        #[cfg(not(feature = "propagation"))]
        tracestate: None,
        own_ids,
        started: clock::wall_time(started),
        age: clock::between(started, clock::ticks()),
        grown: allowance.map_or(0, |allowance| u64::from(allowance.grown())),
        dropped: allowance.map_or(0, Allowance::dropped) + u64::from(!is_whole),
        subscriber: allowance.and_then(Allowance::subscriber_counts),
        footprint: Footprint::of(trace),
        strands,
        // Last, so that each path that a strand's sums name is found.
        paths: allowance.map_or_else(Vec::new, read_paths),
        sites_not_recorded: allowance.and_then(Allowance::sites_not_recorded),
    }
}

fn read_paths(allowance: &Allowance) -> Vec<PathSnapshot> {
    let paths = allowance.paths.in_order().into_iter();
    let paths = paths.filter_map(|path| {
        Some(PathSnapshot {
            id: CallId(Address::of_path(path.number())),
            around: CallId::at(path.around()),
            callsite: Callsite::get(path.callsite())?,
            is_moved: path.is_moved(),
        })
    });
    paths.collect()
}

/// Reads the strands that have ended and left only sums.
fn read_ended(ended: &Ended, started: u64) -> Vec<StrandSnapshot> {
    let strand = |parent, made_after, counts, sums| StrandSnapshot {
        // Stands for several strands, without calls.
        ordinal: u32::MAX,
        parent: CallId::at(parent),
        made_after_ns: clock::nanoseconds_between(started, made_after),
        counts,
        calls: Vec::new(),
        checkpoints: Vec::new(),
        sums,
        #[cfg(feature = "sites")]
        sites: None,
    };
    let calls = ended.calls().iter();
    let calls = calls.map(|(path, sum)| sum_snapshot(*path, sum, started));
    let calls = calls.collect();
    let strands = ended.strands().iter().map(|(key, (counts, outside))| {
        let sums = vec![sum_snapshot(Address::NONE, outside, started)];
        strand(key.0, key.1, *counts, sums)
    });
    let calls = StrandSnapshot {
        #[cfg(feature = "sites")]
        sites: ended.sites().map(strand::sites),
        ..strand(Address::NONE, 0, Counts::ZERO, calls)
    };
    strands.chain([calls]).collect()
}
