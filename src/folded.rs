//! Calls beyond their trace's limit: recorded while they are open, and then only added up.
//!
//! A folded call has a record like any other as long as it is open, so a guard does with it what it
//! does with any call. When it stops, what it did is added to the sum of its callsite, and the
//! record is vacated for the next one: memory is bounded by how many are open at once.
//!
//! Whatever is opened inside a folded call is folded too. A folded call that is put to rest, or
//! goes on within another, has what it did until then added up where that was done, and begins
//! anew; so a vacated record is in nobody's way.

use alloc_counter::Counts;

use crate::chunk::{CallRef, Vacant};
use crate::figures::Figures;
use crate::position::{self, Position};
use crate::record::Record;
use crate::state::End;
use crate::strand::Strand;
use crate::sum::Sum;

/// Where a folded call is recorded while it is open.
pub(crate) enum Place {
    New(Vacant),
    /// One that another has left; readers pass it over, as they did before.
    Vacated(CallRef),
}

impl Place {
    /// None where the trace has no memory left, even for calls that are open.
    pub(crate) fn find(here: &Position, strand: &Strand) -> Option<Self> {
        match strand.take_vacated() {
            Some(call) => Some(Self::Vacated(call)),
            None => here.vacant(strand).map(Self::New),
        }
    }

    pub(crate) fn record(&self) -> &'static Record {
        match self {
            Self::New(vacant) => vacant.record,
            Self::Vacated(call) => call.record,
        }
    }

    pub(crate) fn publish(self) -> CallRef {
        match self {
            Self::New(vacant) => vacant.publish(),
            Self::Vacated(call) => call,
        }
    }
}

/// Adds up what a call used, and vacates its record. Nothing that runs is within it.
pub(crate) fn close(strand: &Strand, call: CallRef, used: Figures, now: u64, end: End) {
    let record = call.record;
    record.close(used, now, end);
    let stopped = Sum {
        calls: 1,
        failures: u64::from(end != End::Ok),
        wall: now.saturating_sub(record.start()),
        ..Sum::default()
    };
    add(strand, record, used, stopped);
    strand.vacate(call);
}

/// Adds up what a call has used until now; it goes on from nothing.
pub(crate) fn account(strand: &Strand, record: &Record, used: Figures) {
    add(strand, record, used, Sum::default());
}

fn add(strand: &Strand, record: &Record, used: Figures, mut sum: Sum) {
    let parent = record.parent();
    let around = parent.record().filter(|it| it.state().is_folded());
    let own = used.counts - record.inside();
    record.set_inside(Counts::ZERO);
    sum.busy = used.busy;
    sum.outermost_busy = if around.is_none() { used.busy } else { 0 };
    sum.total = used.counts;
    sum.own = own;
    sum.is_partial = record.state().is_partial();
    let mut within = position::recorded(parent);
    while used.counts != Counts::ZERO
        && let Some(stopped) = within.record().filter(|it| !it.is_open())
    {
        // On another thread, which did not tell when.
        within = position::recorded(stopped.parent());
        sum.is_partial = true;
        if let Some(around) = within.record() {
            around.set_partial();
        }
    }
    strand.add_to_sum(within, record.callsite(), &sum);
    if let Some(around) = around {
        around.set_inside(around.inside() + used.counts);
    }
}

/// A call is put to rest: the call around may be gone when it goes on.
pub(crate) fn leave_around(record: &Record) {
    let around = position::recorded(record.parent());
    if around != record.parent() {
        if let Some(around) = around.record().filter(|_| !record.state().is_folded()) {
            // What a recorded call does in a folded one is in the one around twice.
            around.set_partial();
        }
        record.move_to(around, || ());
    }
}

/// A running call is about to go on within another; these are its strand's readings now. Those
/// inside it come first.
pub(crate) fn begin_anew(strand: &Strand, record: &Record, reading: Figures) {
    account(strand, record, reading.since(strand.meter.start(record)));
    // In the form which it had: those inside are in that or a newer one.
    let was_settled = !record.state().is_of_thread();
    let on_thread = strand.meter.on_thread(reading).filter(|_| !was_settled);
    record.resume(on_thread.unwrap_or(reading), on_thread.is_some());
}
