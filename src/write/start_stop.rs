//! Where a call's start and its stop are written, also for folded calls, cancelled ones and ones that
//! stop on another thread.

use alloc_counter::Local;

use crate::primitives::clock;
use crate::primitives::pool::{Member, Number};
use crate::store::address::Address;
use crate::store::callsite::Callsite;
use crate::store::chunk::CallRef;
use crate::store::record::{Opening, Record};
use crate::store::short_text::ShortText;
use crate::store::state::{End, Kind, State};
use crate::store::strand::{Cancelling, Deed, Stopped, Strand};
use crate::store::sum;
use crate::store::usage::Figures;
use crate::write::cursor::{self, Position};
use crate::write::folded;
use crate::write::nesting::{adopt, inside, leave_to_outer, outer, read, uncover, used};

/// Starts a call within the innermost one. Returns `None` if memory ran out.
#[inline(always)]
#[expect(clippy::inline_always, reason = "once with a text, once without")]
pub(crate) fn start(
    here: &Position,
    strand: &'static Member<Strand>,
    callsite: &'static Callsite,
    text: Option<&[u8]>,
) -> Option<CallRef> {
    if !here.may_open(strand) {
        return start_folded(here, strand, callsite);
    }
    let mut state = State::new(Kind::Call);
    let mut short = text.and_then(ShortText::of);
    if let (Some(text), None) = (text, &short) {
        short = here.write_long_text(strand, text);
        state = state.long_text(short.is_none());
    }
    let vacant = here.vacant_call(strand)?;
    // Without a text, what the record's last owner left there is not read.
    if let Some(text) = &short {
        vacant.record.write_short_text(text);
    }
    begin(here, strand, callsite.number(), vacant.record, state);
    let call = vacant.publish();
    here.set_innermost(Some(call));
    Some(call)
}

/// Starts a call beyond the trace's limit, or inside a folded one. Returns `None` if memory ran out.
#[cold]
#[inline(never)]
fn start_folded(
    here: &Position,
    strand: &'static Member<Strand>,
    callsite: &'static Callsite,
) -> Option<CallRef> {
    let opening = folded::Opening::find(here, strand, callsite)?;
    let state = opening.begin();
    begin(here, strand, opening.sum.number(), opening.record(), state);
    let call = opening.publish(strand);
    here.set_innermost(Some(call));
    Some(call)
}

/// Writes the start of a call within the innermost one. `subject` is the call's callsite or, if it is
/// folded, its sum.
#[inline(always)]
#[expect(clippy::inline_always, reason = "all that starting a call does")]
fn begin(here: &Position, strand: &Strand, subject: Number, record: &'static Record, state: State) {
    // Most calls start within one that has been running since this visit to the strand, or in none,
    // with counters, and neither during a panic nor while a future is dropped.
    let outer = here.innermost();
    if let Some(local) = Local::current()
        && outer.is_none_or(|outer| outer.record.is_running_on_thread())
        && strand.meter.is_running()
        && strand.cancelling.get() == Cancelling::No
        && !std::thread::panicking()
    {
        let start = clock::ticks();
        record.open(&Opening {
            state: state.of_thread(true),
            parent: Address::of(outer),
            subject,
            thread: here.tag().to_bits(),
            start,
        });
        let level = record.set_readings(start, local.totals());
        let highest = local.take_peak_at(level);
        if let Some(outer) = outer {
            outer.record.raise_peak(highest);
        }
    } else {
        begin_otherwise(here, strand, subject, record, state);
    }
}

#[cold]
#[inline(never)]
fn begin_otherwise(
    here: &Position,
    strand: &Strand,
    subject: Number,
    record: &'static Record,
    state: State,
) {
    let outer = here.innermost_running();
    let start = clock::ticks();
    let reading = read(strand, outer, Local::current(), start);
    // In the thread's readings, so that a call is never settled before those inside it.
    let on_thread = reading.and_then(|reading| strand.meter.on_thread(reading));
    record.open(&Opening {
        state: state
            .unwinding(std::thread::panicking())
            .cancelling(strand.cancelling.get() != Cancelling::No)
            .of_thread(on_thread.is_some())
            .partial(reading.is_none()),
        parent: Address::of(outer),
        subject,
        thread: here.tag().to_bits(),
        start,
    });
    let figures = on_thread.or(reading);
    record.store_figures(figures.unwrap_or_else(|| strand.meter.boundary()));
}

/// Stops a call, on whichever thread.
#[inline]
pub(crate) fn stop(call: CallRef) {
    cursor::here(|here| stop_here(here, call));
}

/// Out of line, so that the code at each call's end is short.
#[inline(never)]
fn stop_here(here: &Position, call: CallRef) {
    let now = clock::ticks();
    let record = call.record;
    // Most stops are of the innermost call, in the visit to the strand in which it started. Then the
    // thread has the counters that it had at the start, or none.
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
        // The thread is ending and has given its counters back.
        record.set_partial();
        let used = used(strand, None, start);
        if innermost.is_some_and(|innermost| innermost.is(call)) {
            here.go_into(strand, outer(here, call));
            return close(strand, call, used, now);
        }
        // Calls are open within it: if it is folded, its record can't be vacated.
        strand.mark_partial();
        return record.close(used, now, end(strand, record.state()));
    };
    let peak = leave_to_outer(here, strand, call, reading, now);
    if innermost.is_some_and(|innermost| innermost.is(call)) {
        here.go_into(strand, outer(here, call));
    }
    close(strand, call, reading.since(Figures { peak, ..start }), now);
}

/// Stops a call whose future is suspended. What was open within it goes on within the call around,
/// which may be suspended too.
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
    call.record.close(used, now, end);
    if state.is_folded() {
        folded::add_stopped(strand, call, used, now, end);
    }
}

/// Returns how the call that stops now has ended.
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

/// Stops a call on a thread that does not run its strand, so the thread's counters are not the call's.
/// `known_end` is how it ends, if that does not depend on the strand.
#[cold]
#[inline(never)]
pub(crate) fn stop_from_afar(call: CallRef, now: u64, known_end: Option<End>) {
    Strand::do_from_afar(call, now, |strand| {
        let left_open = inside(strand, call).find(|inner| inner.record.is_running());
        if let (Some(_), Some(allowance)) = (left_open, strand.allowance()) {
            allowance.note_moved(now);
        }
        Some(Deed::Stopped(Stopped {
            within: sum::within(call.record.parent()),
            end: known_end.unwrap_or_else(|| end(strand, call.record.state())),
            used: strand.used_from_afar(call.record),
            left_open: left_open
                .map(|inner| (inner.address(), strand.used_from_afar(inner.record))),
        }))
    });
}
