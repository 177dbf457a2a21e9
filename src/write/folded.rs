//! Calls beyond their trace's limit: recorded only while they are open, and then added up by path.
//!
//! A folded call has a record like any other as long as it is open, so its guard does the usual work.
//! When it stops, its usage is added to the sum of its path, and the record is vacated for the next one.
//! So memory is bounded by the number of calls open at once and by the number of paths.
//!
//! A call's path is that of its opening, as a recorded call's parent is. Its usage is also charged to
//! the call inside which it was used, which may have become another one by then, so self figures are
//! exact.
//!
//! Calls that are opened inside a folded call are folded too. When a folded call is suspended, or moves
//! into another call, its usage until then is added up and charged, and it starts from zero. So no
//! reference remains to a vacated record.

use alloc_counter::Counts;

use crate::primitives::pool::Member;
use crate::store::address::Address;
use crate::store::callsite::Callsite;
use crate::store::chunk::{CallRef, Vacant};
use crate::store::paths::PATHS;
use crate::store::record::{CallRecord, FoldedCall};
use crate::store::state::{OutcomeKind, RecordState};
use crate::store::strand::Strand;
use crate::store::sum::{self, SUMS, SharedSum, Sum, path_of};
use crate::store::usage::{Reading, Start, Usage};
use crate::write::cursor::{self, Position};

/// A folded call that is about to be opened.
pub(crate) struct Opening {
    pub(crate) sum: &'static Member<SharedSum>,
    around: Around,
    place: Place,
}

/// The call in which a folded one is opened.
enum Around {
    /// A recorded call, or none, with the sum of the folded calls inside it.
    Recorded(Option<CallRef>, &'static Member<SharedSum>),
    Folded(Address, FoldedCall),
}

/// The record of a folded call while it is open.
enum Place {
    New(Vacant),
    /// A record that another folded call has vacated. Readers know it as a folded call's.
    Vacated(CallRef, FoldedCall),
}

impl Opening {
    /// Finds the path, the sum and the record of a call that is opened here. Returns `None` if the trace
    /// has no room or memory left for one of them. Then the call's usage stays with the call around it.
    pub(crate) fn find(
        here: &Position,
        strand: &Strand,
        callsite: &'static Callsite,
    ) -> Option<Self> {
        let found = Self::find_sum(here, strand, callsite);
        if let (None, Some(allowance)) = (&found, strand.allowance()) {
            allowance.note_dropped();
        }
        let (sum, around) = found?;
        let place = match strand.folded.take_vacated() {
            Some((call, record)) => Place::Vacated(call, record),
            // A missing record is noted by `vacant`.
            None => Place::New(here.vacant(strand)?),
        };
        Some(Self { sum, around, place })
    }

    fn find_sum(
        here: &Position,
        strand: &Strand,
        callsite: &'static Callsite,
    ) -> Option<(&'static Member<SharedSum>, Around)> {
        let outer = here.innermost_running();
        let around = match outer.and_then(|outer| Some((outer, outer.record.folded()?))) {
            Some((outer, record)) => Around::Folded(outer.address(), record),
            None => Around::Recorded(outer, strand.sum_of(Address::of(outer))?),
        };
        let is_outermost = outer.is_none();
        let address = match around {
            _ if is_outermost => strand.parent(),
            Around::Recorded(outer, _) => Address::of(outer),
            Around::Folded(_, outer) => path_of(outer),
        };
        let path = strand.allowance()?.paths.find(address, callsite.number())?;
        let sum = strand.sum_of(Address::of_path(path.number()))?;
        Some((sum, around))
    }

    pub(crate) fn record(&self) -> FoldedCall {
        match &self.place {
            Place::New(vacant) => vacant.as_folded(),
            Place::Vacated(_, record) => *record,
        }
    }

    /// Returns the state of the call's record while it is written: readers ignore it until it is
    /// published.
    pub(crate) fn begin(&self) -> RecordState {
        let record = self.record();
        let state = record.begin_writing();
        record.set_sum(self.sum.number());
        state
    }

    /// Publishes the call, whose record has been written except for the words that only folded calls
    /// have.
    pub(crate) fn publish(self, strand: &Strand) -> CallRef {
        let record = self.record();
        let now = record.start();
        let opened_in = match self.around {
            Around::Recorded(outer, sum) => {
                sum.change(|sum| match outer {
                    Some(_) => sum.child_opened(now),
                    None => sum.calls += 1,
                });
                (Address::of(outer), 0)
            }
            Around::Folded(address, outer) => {
                outer.child_opened(now);
                (address, outer.serial())
            }
        };
        record.set_opened(strand.folded.next_serial(), opened_in);
        self.sum.change(|sum| {
            sum.calls += 1;
            sum.running += 1;
        });
        record.end_writing();
        match self.place {
            Place::New(vacant) => vacant.publish_call(),
            Place::Vacated(call, _) => call,
        }
    }
}

/// Adds up the usage of a call that has stopped, and vacates its record. No running call may be inside
/// it.
pub(crate) fn add_stopped(
    strand: &Strand,
    address: Address,
    record: FoldedCall,
    used: Usage,
    now: u64,
    end: OutcomeKind,
) {
    let sum = sum::ended(record, used, now, end);
    add(strand, record, sum);
    leave(strand, record, now);
    strand.folded.vacate(address, record);
}

/// Adds up the usage of a call until now. The call starts from zero again.
pub(crate) fn account(strand: &Strand, record: FoldedCall, used: Usage) {
    let mut sum = sum::so_far(used);
    sum.is_partial = record.state().is_partial();
    add(strand, record, sum);
}

fn add(strand: &Strand, record: FoldedCall, mut sum: Sum) {
    let mut around = record.parent();
    while (sum.busy, sum.total) != (0, Counts::ZERO)
        && let Some(stopped) = around.call_record().filter(|it| !it.is_open())
    {
        // It was stopped on another thread, and the moment is not known here.
        around = stopped.parent();
        sum.is_partial = true;
        if let Some(around) = around.call_record() {
            around.set_partial();
        }
    }
    if let Some(shared) = SUMS.get(record.sum()) {
        shared.change(|shared| shared.add(&sum));
    }
    if let Some(shared) = strand.sum_of(sum::within(around)) {
        shared.change(|shared| shared.add(&sum::inside(&sum)));
    }
}

/// Notes in the call in which this one was opened, if it is still there, that this one has closed.
fn leave(strand: &Strand, record: FoldedCall, now: u64) {
    let (address, serial) = record.opened_in();
    let Some(around) = address.call_record() else {
        return;
    };
    if let Some(around) = around.folded() {
        if around.is_open() && around.serial() == serial {
            around.child_closed(now);
        }
    } else if let Some(shared) = strand.sum_of(address) {
        let now = around.stop().map_or(now, |stop| stop.min(now));
        shared.change(|sum| sum.child_closed(now));
    }
}

/// Notes that a call is suspended: calls that run until it is resumed may overlap with it in the same
/// outer call.
pub(crate) fn note_rest(strand: &Strand, record: FoldedCall) {
    let (opened_in, _) = record.opened_in();
    let around = opened_in.call_record().and_then(CallRecord::recorded);
    if let Some(shared) = around.and_then(|_| strand.sum_of(opened_in)) {
        shared.change(|sum| sum.has_rested = true);
    }
}

/// Detaches a call that is suspended from a folded call around it, which may have ended when this one is
/// resumed.
pub(crate) fn leave_around(record: CallRecord) {
    let around = cursor::recorded(record.parent());
    if around != record.parent() {
        if let (Some(around), None) = (around.call_record(), record.folded()) {
            // The usage of a recorded call inside a folded one is counted twice in the recorded call
            // around both.
            around.set_partial();
        }
        record.reparent(around, || ());
    }
}

/// Adds up a running call that is about to move into another one. `reading` is its strand's present
/// reading.
pub(crate) fn begin_anew(strand: &Strand, record: FoldedCall, reading: Reading) {
    let Some(start) = strand.meter.start(*record) else {
        return;
    };
    account(strand, record, reading.since(start));
    // In its previous form: calls inside it are in that form or a newer one.
    record.resume(if record.state().is_of_thread() {
        strand.meter.start_at(reading)
    } else {
        Start::OfStrand(reading)
    });
}

/// Moves a call into another one, or back into the one that it was in before it was suspended.
pub(crate) fn go_on_in(record: FoldedCall, outer: Option<CallRef>) {
    let address = Address::of(outer);
    record.set_parent(address);
    if has_moved(record)
        && let Some(shared) = SUMS.get(record.sum())
    {
        shared.change(|sum| sum.is_moved = true);
    }
}

/// Returns whether a call is inside another one than that in which it was opened.
fn has_moved(record: FoldedCall) -> bool {
    let address = record.parent();
    let around = address.call_record().and_then(CallRecord::folded);
    record.opened_in() != (address, around.map_or(0, FoldedCall::serial))
}

/// Notes that a strand is spawned from this call and stands on its path. If the call or one around it
/// has moved, the calls around the path are not those around the call now, and the path is marked.
pub(crate) fn spawn_from(record: FoldedCall) {
    let around = |call: &FoldedCall| call.parent().call_record()?.folded();
    let mut folded = std::iter::successors(around(&record), around);
    if (has_moved(record) || folded.any(has_moved))
        && let Some(path) = path_of(record).path().and_then(|path| PATHS.get(path))
    {
        path.note_moved();
    }
}
