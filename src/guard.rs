//! What a guard does: opens a call, stops it wherever that is, sets checkpoints.

use alloc_counter::{Counts, Local};

use crate::callsite::Callsite;
use crate::chunk::CallRef;
use crate::clock;
use crate::figures::Figures;
use crate::folded;
use crate::pool::Member;
use crate::position::{self, Position};
use crate::record::{Address, Opening, Record, ShortText};
use crate::state::{End, Kind, State};
use crate::strand::{Cancelling, Deed, Stopped, Strand};
use crate::text::Text;

/// Opens a call within the innermost one; none where there is no memory for it.
#[inline(always)]
#[expect(clippy::inline_always, reason = "once with a text, once without")]
pub(crate) fn open(
    here: &Position,
    strand: &'static Member<Strand>,
    callsite: &'static Callsite,
    text: Option<&[u8]>,
) -> Option<CallRef> {
    if !here.may_open(strand) {
        return open_folded(here, strand, callsite);
    }
    let mut state = State::new(Kind::Call);
    let mut short = text.and_then(ShortText::of);
    if let (Some(text), None) = (text, &short) {
        short = here.write_long_text(strand, text);
        state = state.long_text(short.is_none());
    }
    let vacant = here.vacant_call(strand)?;
    // What stands there otherwise is not read.
    if let Some(text) = &short {
        vacant.record.write_short_text(text);
    }
    begin(here, strand, callsite, vacant.record, state);
    let call = vacant.publish();
    here.set_innermost(Some(call));
    Some(call)
}

/// Opens a call beyond the trace's limit, or inside of one; none where there is no memory for that.
#[cold]
#[inline(never)]
fn open_folded(
    here: &Position,
    strand: &'static Member<Strand>,
    callsite: &'static Callsite,
) -> Option<CallRef> {
    let Some(place) = folded::Place::find(here, strand) else {
        // What it does stays with the call around.
        return None;
    };
    let record = place.record();
    record.set_inside(Counts::ZERO);
    let state = State::new(Kind::Call).folded();
    begin(here, strand, callsite, record, state);
    let call = place.publish();
    here.set_innermost(Some(call));
    Some(call)
}

/// Writes a call as it begins within the innermost one.
#[inline(always)]
#[expect(clippy::inline_always, reason = "all that opening a call does")]
fn begin(
    here: &Position,
    strand: &Strand,
    callsite: &'static Callsite,
    record: &'static Record,
    state: State,
) {
    // As most calls begin: within one that is running since this visit to the strand, or in none;
    // with counters; while nothing is going wrong.
    let outer = here.innermost();
    if let Some(local) = Local::current()
        && outer.is_none_or(|outer| outer.record.is_running_on_thread())
        && strand.meter.is_running()
        && strand.cancelling.get() == Cancelling::No
        && !std::thread::panicking()
    {
        let callsite = callsite.number();
        let start = clock::ticks();
        record.open(&Opening {
            state: state.of_thread(true),
            parent: Address::of(outer),
            callsite,
            thread: here.tag().to_bits(),
            start,
        });
        let level = record.set_readings(start, local.totals());
        let highest = local.take_peak_at(level);
        if let Some(outer) = outer {
            outer.record.raise_peak(highest);
        }
    } else {
        begin_otherwise(here, strand, callsite, record, state);
    }
}

#[cold]
#[inline(never)]
fn begin_otherwise(
    here: &Position,
    strand: &Strand,
    callsite: &'static Callsite,
    record: &'static Record,
    state: State,
) {
    let outer = here.innermost_running();
    let start = clock::ticks();
    let reading = read(strand, outer, Local::current(), start);
    // As the thread's, so that a call is never settled before those inside it.
    let on_thread = reading.and_then(|reading| strand.meter.on_thread(reading));
    record.open(&Opening {
        state: state
            .unwinding(std::thread::panicking())
            .cancelling(strand.cancelling.get() != Cancelling::No)
            .of_thread(on_thread.is_some())
            .partial(reading.is_none()),
        parent: Address::of(outer),
        callsite: callsite.number(),
        thread: here.tag().to_bits(),
        start,
    });
    let figures = on_thread.or(reading);
    record.store_figures(figures.unwrap_or_else(|| strand.meter.boundary()));
}

/// Stops a call, wherever that is.
#[inline]
pub(crate) fn stop(call: CallRef) {
    position::here(|here| stop_here(here, call));
}

/// Out of line, so that the way to it is as short as can be.
#[inline(never)]
fn stop_here(here: &Position, call: CallRef) {
    let now = clock::ticks();
    let record = call.record;
    // As most stops are: of the innermost call, in the visit to the strand in which it started.
    // Then the thread has the counters that it had at the start, or none.
    if let (Some(strand), Some(innermost)) = (here.strand(), here.innermost())
        && innermost.is(call)
        && let state = record.state()
        && state.is_plain()
        && let Some(local) = Local::current()
    {
        let state = state.ended(end(strand, state));
        let highest = record.close_on_thread(state, now, local.totals(), |level| {
            local.take_peak_at(level)
        });
        let outer = here.call_at(record.parent());
        if outer.is_none_or(|outer| outer.record.is_running_on_thread()) {
            here.set_innermost(outer);
            if let Some(outer) = outer {
                outer.record.raise_peak(highest);
            }
        } else {
            uncover(here, strand, call, strand.meter.level(highest));
        }
    } else {
        stop_elsewhere(here, call, now);
    }
}

#[cold]
#[inline(never)]
fn stop_elsewhere(here: &Position, call: CallRef, now: u64) {
    let Some(strand) = here.strand_of(call) else {
        return stop_from_afar(call, now, None);
    };
    let record = call.record;
    let innermost = here.innermost_running();
    if record.state().is_at_rest() {
        return stop_at_rest(here, strand, call, now);
    }
    let start = strand.meter.start(record);
    let Some(reading) = read(strand, innermost, Local::current(), now) else {
        // In the last moments of a thread, when its counters have been given back.
        record.set_partial();
        if innermost.is_some_and(|innermost| innermost.is(call)) {
            here.set_innermost(outer(here, call));
        }
        return close(strand, call, used(strand, None, start), now);
    };
    let peak = leave_to_outer(here, strand, call, reading, now);
    if innermost.is_some_and(|innermost| innermost.is(call)) {
        here.set_innermost(outer(here, call));
    }
    close(strand, call, reading.since(Figures { peak, ..start }), now);
}

/// Held by a future that is put aside, and stopped by somebody else. What was open within it goes
/// on within the call around, which may be put aside too.
fn stop_at_rest(here: &Position, strand: &Strand, call: CallRef, now: u64) {
    if let Some(inner) = inside(strand, call).find(|inner| inner.record.is_open()) {
        let around = here.outwards(here.call_at(call.record.parent()));
        let outer = { around }.find(|outer| outer.record.is_open());
        adopt(here, strand, inner, outer, Figures::default(), now);
    }
    close(strand, call, call.record.figures(), now);
}

fn close(strand: &Strand, call: CallRef, used: Figures, now: u64) {
    let state = call.record.state();
    let end = end(strand, state);
    if state.is_folded() {
        folded::close(strand, call, used, now, end);
    } else {
        call.record.close(used, now, end);
    }
}

/// How the call that stops now has ended.
#[inline]
fn end(strand: &Strand, state: State) -> End {
    let cancelling = strand.cancelling.get();
    if std::thread::panicking() || cancelling != Cancelling::No {
        return end_in_trouble(cancelling, state);
    }
    if state.has_failed() {
        End::Failed
    } else {
        End::Ok
    }
}

#[cold]
fn end_in_trouble(cancelling: Cancelling, state: State) -> End {
    let is_panicking = std::thread::panicking() && !state.was_unwinding();
    if is_panicking && cancelling != Cancelling::InPanic {
        End::Panicked
    } else if state.has_failed() {
        End::Failed
    } else if cancelling != Cancelling::No && !state.was_cancelling() {
        End::Cancelled
    } else {
        End::Ok
    }
}

/// The call around becomes the innermost; the highest level of the strand that this one reached was
/// within that one, too.
#[cold]
#[inline(never)]
pub(crate) fn uncover(here: &Position, strand: &Strand, call: CallRef, highest: i64) {
    let outer = outer(here, call);
    here.set_innermost(outer);
    if let Some(outer) = outer {
        strand.meter.raise_peak(outer.record, highest);
    }
}

/// The nearest running call around this one.
#[inline]
fn outer(here: &Position, call: CallRef) -> Option<CallRef> {
    position::running(here.call_at(call.record.parent()))
}

/// The calls directly within this one.
fn inside(strand: &Strand, call: CallRef) -> impl Iterator<Item = CallRef> {
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
    reading: Figures,
    now: u64,
) -> i64 {
    let own = strand.meter.start(call.record).peak;
    let mut highest = own;
    let mut first = None;
    for inner in here.outwards(here.innermost()) {
        if inner.is(call) {
            let outer = outer(here, call);
            if let Some(outer) = outer {
                strand.meter.raise_peak(outer.record, highest);
            }
            if let Some(first) = first {
                adopt(here, strand, first, outer, reading, now);
            }
            return highest;
        }
        // One that was stopped on another thread has not told those around how high it went.
        if !inner.record.state().is_at_rest() {
            highest = highest.max(strand.meter.start(inner.record).peak);
        }
        if inner.record.is_running() {
            first = Some(inner);
            if inner.record.state().is_folded() {
                folded::begin_anew(strand, inner.record, reading);
            }
        }
    }
    // Not among the calls that run here: nothing is within it.
    own
}

/// Lets a running call go on within another, and notes what it had done until then.
#[cold]
pub(crate) fn adopt(
    here: &Position,
    strand: &Strand,
    call: CallRef,
    outer: Option<CallRef>,
    reading: Figures,
    now: u64,
) {
    let outer_address = Address::of(outer);
    let goes_into_folded = outer.is_some_and(|outer| outer.record.state().is_folded());
    if call.record.state().is_folded() {
        return call.record.set_parent(outer_address);
    }
    if let (Some(outer), true) = (outer, goes_into_folded) {
        // Neither knows what the one does in the other.
        call.record.set_partial();
        outer.record.set_partial();
    }
    let figures = strand.meter.start(call.record);
    let so_far = if call.record.state().is_at_rest() {
        figures
    } else {
        reading.since(figures)
    };
    let before = call.record.parent();
    // The parent first, so that a reader who finds the note finds the call where it is now.
    call.record.move_to(outer_address, || {
        let Some(vacant) = here.vacant(strand) else {
            // What it did before will be taken for what it did there.
            return strand.mark_partial();
        };
        let state = State::new(Kind::Adoption);
        vacant.record.note(state, before, now);
        vacant.record.set_adopted(call.address(), so_far);
        vacant.publish();
    });
}

/// On a thread that does not run the strand: its counters can't be the call's. `end` where it is
/// known what becomes of the call.
#[cold]
#[inline(never)]
pub(crate) fn stop_from_afar(call: CallRef, now: u64, known_end: Option<End>) {
    Strand::do_from_afar(call, now, |strand| {
        Deed::Stopped(Stopped {
            end: known_end.unwrap_or_else(|| end(strand, call.record.state())),
            used: used_from_afar(strand, call.record),
            left_open: inside(strand, call)
                .find(|inner| inner.record.is_running())
                .map(|inner| (inner.address(), used_from_afar(strand, inner.record))),
        })
    });
}

/// What a call of the strand has used, as far as it can be known here.
fn used_from_afar(strand: &Strand, record: &Record) -> Figures {
    let (state, _, figures) = strand.read(record);
    if state.is_at_rest() {
        return figures;
    }
    // The clocks of two processors may differ; what is known may be older than the start.
    strand.meter.read().0.since_at_most(figures)
}

/// Sets a checkpoint. Inline as far as the name is made ready, which is a literal mostly.
#[inline]
pub(crate) fn checkpoint(call: CallRef, name: &str) {
    let short = ShortText::of(name.as_bytes());
    position::here(|here| match &short {
        Some(short) => checkpoint_here(here, call, short, name),
        None => checkpoint_elsewhere(here, call, name, clock::ticks()),
    });
}

#[inline(never)]
fn checkpoint_here(here: &Position, call: CallRef, short: &ShortText, name: &str) {
    let moment = clock::ticks();
    if let (Some(strand), Some(local)) = (here.strand_of(call), Local::current())
        && call.record.state().is_plain()
    {
        let Some(vacant) = here.vacant(strand) else {
            return;
        };
        let state = State::new(Kind::Checkpoint);
        vacant.record.write_short_text(short);
        vacant.record.note(state, call.address(), moment);
        vacant.record.set_counts_since(call.record, local.totals());
        vacant.publish();
    } else {
        checkpoint_elsewhere(here, call, name, moment);
    }
}

/// A checkpoint with a long name, of a call from an earlier visit to its strand, or of one that
/// does not run here.
#[cold]
#[inline(never)]
fn checkpoint_elsewhere(here: &Position, call: CallRef, name: &str, moment: u64) {
    if call.record.state().is_folded() {
        return;
    }
    let name = Text::of(&name);
    let strand = here.strand_of(call);
    let Some(strand) = strand.filter(|_| !call.record.state().is_at_rest()) else {
        return Strand::do_from_afar(call, moment, |strand| {
            Deed::Checkpoint(name.to_string(), used_from_afar(strand, call.record))
        });
    };
    let used = used_from_afar(strand, call.record).counts;
    note(
        here,
        strand,
        call,
        Kind::Checkpoint,
        name.as_bytes(),
        moment,
        used,
    );
}

/// Marks the call as failed.
#[cold]
#[inline(never)]
pub(crate) fn fail(call: CallRef, why: &Text) {
    position::here(|here| fail_here(here, call, why));
}

fn fail_here(here: &Position, call: CallRef, why: &Text) {
    let moment = clock::ticks();
    if let Some(strand) = here.strand_of(call) {
        if !call.record.state().is_folded() {
            let text = why.as_bytes();
            note(
                here,
                strand,
                call,
                Kind::Message,
                text,
                moment,
                Counts::ZERO,
            );
        }
        call.record.set_failed();
    } else {
        Strand::do_from_afar(call, moment, |_| Deed::Failed(why.to_string()));
    }
}

/// Writes a record that belongs to this call.
#[inline]
fn note(
    here: &Position,
    strand: &Strand,
    call: CallRef,
    kind: Kind,
    text: &[u8],
    moment: u64,
    used: Counts,
) {
    let short = ShortText::of(text).or_else(|| here.write_long_text(strand, text));
    let Some(vacant) = here.vacant(strand) else {
        return;
    };
    if let Some(short) = &short {
        vacant.record.write_short_text(short);
    }
    let state = State::new(kind).long_text(short.is_none());
    vacant.record.note(state, call.address(), moment);
    vacant.record.set_counts(used);
    vacant.publish();
}

/// What was used since the start; where there is no reading, as far as it is known.
#[inline]
pub(crate) fn used(strand: &Strand, reading: Option<Figures>, start: Figures) -> Figures {
    match reading {
        Some(reading) => reading.since(start),
        None => strand.meter.boundary().since_at_most(start),
    }
}

/// The strand's reading now; draws a boundary in the levels, so that the highest since the last is
/// in `innermost`. None where the thread has lost its counters.
pub(crate) fn read(
    strand: &Strand,
    innermost: Option<CallRef>,
    local: Option<Local>,
    now: u64,
) -> Option<Figures> {
    let reading = strand.meter.reading(local, now)?;
    let highest = strand.meter.level(local?.take_peak());
    if let Some(innermost) = innermost {
        strand.meter.raise_peak(innermost.record, highest);
    }
    Some(reading)
}
