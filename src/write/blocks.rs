//! Follows the blocks that the strands of a thread allocate, if someone wants to know which are freed.

use std::sync::atomic::Ordering::Relaxed;

use crate::store::strand::Strand;
use crate::store::trace::Trace;

/// Begins to follow what this thread allocates in a strand that it has entered.
#[inline]
pub(crate) fn enter(strand: &Strand) {
    Trace::blocks_of(strand.trace.load(Relaxed)).enter();
}

/// Ends that for a strand that this thread leaves.
#[inline]
pub(crate) fn leave(strand: &Strand) {
    Trace::blocks_of(strand.trace.load(Relaxed)).leave();
}

/// Notes that a trace has no strand for what runs.
pub(crate) fn lose(trace: &Trace) {
    Trace::blocks_of(trace.number()).lose();
}
