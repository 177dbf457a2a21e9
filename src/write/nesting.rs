//! Nesting: which call is inside which, and the usage of each. A call that stops or is suspended leaves
//! the calls running inside it to the call around it.

use alloc_counter::Local;

use crate::store::address::Address;
use crate::store::chunk::CallRef;
use crate::store::record::CallRecord;
use crate::store::strand::Strand;
use crate::store::usage::{Figures, Reading, Usage};
use crate::write::cursor::{self, Position};
use crate::write::folded;

/// Makes the call around this one the innermost. The strand's peak during this call, `highest`, was
/// reached inside that one, too.
#[cold]
#[inline(never)]
pub(crate) fn pop_to_parent(here: &Position, strand: &Strand, call: CallRef, highest: i64) {
    let outer = outer(here, call);
    here.go_into(strand, outer);
    if let Some(outer) = outer {
        strand.meter.raise_peak(outer.record, highest);
    }
}

/// Returns the nearest running call around this one.
#[inline]
pub(crate) fn outer(here: &Position, call: CallRef) -> Option<CallRef> {
    cursor::running(here.call_at(call.record.parent()))
}

/// Returns the calls directly inside this one.
pub(crate) fn inside(strand: &Strand, call: CallRef) -> impl Iterator<Item = CallRef> {
    let later = opened_later(strand, call);
    later.filter(move |inner| inner.record.parent() == call.address())
}

/// Returns all calls that may be inside this one.
fn opened_later(strand: &Strand, call: CallRef) -> impl Iterator<Item = CallRef> {
    // They were opened later, but a folded one may be in an older place, and one that moved may be older.
    let is_folded = call.record.state().is_folded();
    let start = call.record.start();
    let may_be_older = is_folded || { strand.allowance() }.is_some_and(|it| it.moved() > start);
    let after = if may_be_older {
        None
    } else {
        Some(call.address())
    };
    strand.calls_after(after)
}

/// Returns the calls that are open inside this one, directly or inside calls that other threads stopped: the
/// strand's own thread does not move them out of these.
pub(crate) fn open_inside(strand: &Strand, call: CallRef) -> impl Iterator<Item = CallRef> {
    // The strand is written meanwhile, so what is read may lead in a circle.
    let most = strand.records().count();
    let is_inside = move |inner: &CallRef| {
        let around = |it: &Address| it.call_record().map(CallRecord::parent);
        let mut around = std::iter::successors(Some(inner.record.parent()), around).take(most);
        let is_over = |it: &Address| it.call_record().is_some_and(|record| !record.is_open());
        around.find(|it| *it == call.address() || !is_over(it)) == Some(call.address())
    };
    let later = opened_later(strand, call);
    later.filter(move |inner| inner.record.is_open() && is_inside(inner))
}

/// Moves the outermost call that is running inside this one into the call around. Returns this call's
/// peak, including that of the calls inside it.
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
                // Calls inside it stay there.
                if let Some(first) = first.record.folded() {
                    folded::begin_anew(strand, first, reading);
                }
                reparent(here, strand, first, outer, reading, now);
            }
            return highest;
        }
        // A call that was stopped on another thread did not pass its peak on to the calls around it.
        if let Some(start) = strand.meter.start(inner.record) {
            highest = highest.max(start.peak);
            if !inner.record.is_running() {
                // It may not be among the calls that are rebased when the strand is left.
                inner.record.rebase(start);
            }
        }
        if inner.record.is_running() {
            first = Some(inner);
        }
    }
    // It is not among the calls that run here, so no call is inside it.
    own
}

/// Moves a running call into another one, and notes its usage until then.
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
        // Neither knows its usage inside the other.
        call.record.set_partial();
        outer.record.set_partial();
    }
    let so_far = match strand.meter.figures(call.record) {
        Figures::Started(start) => reading.since(start),
        Figures::Used(used) => used,
    };
    let before = call.record.parent();
    // The parent is set first, so that a reader that finds the note finds the call in its new place.
    call.record.reparent(outer_address, || {
        let Some(vacant) = here.vacant(strand) else {
            // Its earlier usage will be taken for usage in its new place.
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

/// Returns the usage since the start; without a reading, as much of it as is known.
#[inline]
pub(crate) fn used(strand: &Strand, reading: Option<Reading>, start: Reading) -> Usage {
    match reading {
        Some(reading) => reading.since(start),
        None => strand.meter.boundary().saturating_since(start),
    }
}

/// Returns the strand's present reading, and draws a boundary: the peak since the last boundary goes to
/// `innermost`. Returns `None` if the thread has lost its counters, and the last boundary if another
/// strand of the trace pauses this one.
pub(crate) fn read(
    strand: &Strand,
    innermost: Option<CallRef>,
    local: Option<Local>,
    now: u64,
) -> Option<Reading> {
    let counters = local?;
    if !strand.meter.is_running() {
        return Some(strand.meter.boundary());
    }
    let reading = strand.meter.reading(local, now)?;
    let highest = strand.meter.level(counters.take_peak());
    if let Some(innermost) = innermost {
        strand.meter.raise_peak(innermost.record, highest);
    }
    Some(reading)
}
