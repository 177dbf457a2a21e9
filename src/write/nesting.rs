//! Which call is within which, and what each has used: a call that stops, or is put aside, leaves those
//! running inside it to the one around.

use alloc_counter::Local;

use crate::store::address::Address;
use crate::store::chunk::CallRef;
use crate::store::strand::Strand;
use crate::store::usage::{Figures, Reading, Usage};
use crate::write::cursor::{self, Position};
use crate::write::folded;

/// The call around becomes the innermost; the highest level of the strand that this one reached was
/// within that one, too.
#[cold]
#[inline(never)]
pub(crate) fn pop_to_parent(here: &Position, strand: &Strand, call: CallRef, highest: i64) {
    let outer = outer(here, call);
    here.go_into(strand, outer);
    if let Some(outer) = outer {
        strand.meter.raise_peak(outer.record, highest);
    }
}

/// The nearest running call around this one.
#[inline]
pub(crate) fn outer(here: &Position, call: CallRef) -> Option<CallRef> {
    cursor::running(here.call_at(call.record.parent()))
}

/// The calls directly within this one.
pub(crate) fn inside(strand: &Strand, call: CallRef) -> impl Iterator<Item = CallRef> {
    // They were opened later, but a folded one may stand in an older place.
    let is_folded = call.record.state().is_folded();
    let after = if is_folded {
        None
    } else {
        Some(call.address())
    };
    strand
        .calls_after(after)
        .filter(move |inner| inner.record.parent() == call.address())
}

/// The first call that is running within this one goes on within the call around. Answers the
/// highest level that this one has reached, itself and in those within.
pub(crate) fn leave_to_outer(
    here: &Position,
    strand: &Strand,
    call: CallRef,
    reading: Reading,
    now: u64,
) -> i64 {
    let own = strand.meter.peak(call.record);
    let mut highest = own;
    let mut first: Option<CallRef> = None;
    for inner in here.outwards(here.innermost()) {
        if inner.is(call) {
            let outer = outer(here, call);
            if let Some(outer) = outer {
                strand.meter.raise_peak(outer.record, highest);
            }
            if let Some(first) = first {
                // Those inside it stay where they are.
                if let Some(first) = first.record.folded() {
                    folded::begin_anew(strand, first, reading);
                }
                reparent(here, strand, first, outer, reading, now);
            }
            return highest;
        }
        // One that was stopped on another thread has not told those around how high it went.
        if let Some(start) = strand.meter.start(inner.record) {
            highest = highest.max(start.peak);
            if !inner.record.is_running() {
                // It may not be among those around which the strand is left.
                inner.record.rebase(start);
            }
        }
        if inner.record.is_running() {
            first = Some(inner);
        }
    }
    // Not among the calls that run here: nothing is within it.
    own
}

/// Lets a running call go on within another, and notes what it had done until then.
#[cold]
pub(crate) fn reparent(
    here: &Position,
    strand: &Strand,
    call: CallRef,
    outer: Option<CallRef>,
    reading: Reading,
    now: u64,
) {
    let outer_address = Address::of(outer);
    let goes_into_folded = outer.is_some_and(|outer| outer.record.state().is_folded());
    if let Some(call) = call.record.folded() {
        return folded::go_on_in(call, outer);
    }
    if let (Some(outer), true) = (outer, goes_into_folded) {
        // Neither knows what the one does in the other.
        call.record.set_partial();
        outer.record.set_partial();
    }
    let so_far = match strand.meter.figures(call.record) {
        Figures::Started(start) => reading.since(start),
        Figures::Used(used) => used,
    };
    let before = call.record.parent();
    // The parent first, so that a reader who finds the note finds the call where it is now.
    call.record.reparent(outer_address, || {
        let Some(vacant) = here.vacant(strand) else {
            // What it did before will be taken for what it did there.
            return strand.mark_partial();
        };
        let record = vacant.as_move();
        record.write(call.address(), before, now, so_far);
        vacant.publish();
        if let Some(allowance) = strand.allowance() {
            allowance.note_moved(now);
        }
    });
}

/// What was used since the start; where there is no reading, as far as it is known.
#[inline]
pub(crate) fn used(strand: &Strand, reading: Option<Reading>, start: Reading) -> Usage {
    match reading {
        Some(reading) => reading.since(start),
        None => strand.meter.boundary().saturating_since(start),
    }
}

/// The strand's reading now; draws a boundary in the levels, so that the highest since the last is
/// in `innermost`. None where the thread has lost its counters.
pub(crate) fn read(
    strand: &Strand,
    innermost: Option<CallRef>,
    local: Option<Local>,
    now: u64,
) -> Option<Reading> {
    let reading = strand.meter.reading(local, now)?;
    let highest = strand.meter.level(local?.take_peak());
    if let Some(innermost) = innermost {
        strand.meter.raise_peak(innermost.record, highest);
    }
    Some(reading)
}
