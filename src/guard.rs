//! What a guard does: opens a call, stops it wherever that is, sets checkpoints.

use alloc_counter::Local;

use crate::callsite::Callsite;
use crate::chunk::CallRef;
use crate::clock;
use crate::figures::Figures;
use crate::pool::Member;
use crate::position;
use crate::record::{Address, Opening, Record, SHORT_TEXT};
use crate::state::{End, Kind, State};
use crate::strand::{Cancelling, Deed, Stopped, Strand};
use crate::text::Text;
use crate::threads::Tag;

/// Opens a call within the innermost one; none where the trace is full.
#[inline(always)]
#[expect(clippy::inline_always, reason = "once with a text, once without")]
pub(crate) fn open(
    strand: &'static Member<Strand>,
    callsite: &'static Callsite,
    text: Option<&[u8]>,
) -> Option<CallRef> {
    let long = text.filter(|text| text.len() > SHORT_TEXT);
    if !position::may_open(strand) {
        return None;
    }
    if let Some(text) = long {
        position::write_long_text(strand, text);
    }
    let vacant = position::vacant_call(strand)?;
    match text {
        Some(text) if long.is_none() => vacant.record.write_short_text(text),
        _ => vacant.record.clear_text(),
    }
    let callsite = callsite.number();
    let thread = Tag::current();
    let outer = position::innermost_running();
    let state = State::new(Kind::Call)
        .unwinding(std::thread::panicking())
        .cancelling(strand.cancelling.get() != Cancelling::No)
        .long_text(long.is_some());
    let local = Local::current();
    let start = clock::ticks();
    let (state, figures) = match read(strand, outer, local, start) {
        Some(reading) => (state, reading),
        None => (state.partial(true), strand.meter.boundary()),
    };
    vacant.record.open(&Opening {
        state,
        parent: Address::of(outer),
        callsite,
        thread: thread.to_bits(),
        start,
        figures,
    });
    let call = vacant.publish();
    position::set_innermost(Some(call));
    Some(call)
}

/// Stops a call, wherever that is.
#[inline(never)]
pub(crate) fn stop(call: CallRef) {
    let now = clock::ticks();
    if let (Some(strand), Some(innermost)) = (position::strand(), position::innermost())
        && innermost.is(call)
        && let Some(reading) = read(strand, Some(call), Local::current(), now)
    {
        let start = call.record.figures();
        close(strand, call, reading.since(start), now);
        uncover(call, start.peak);
    } else {
        stop_elsewhere(call, now);
    }
}

#[cold]
#[inline(never)]
fn stop_elsewhere(call: CallRef, now: u64) {
    let Some(strand) = position::strand_of(call) else {
        return stop_from_afar(call, now, None);
    };
    let record = call.record;
    let innermost = position::innermost_running();
    if record.state().is_at_rest() {
        return stop_at_rest(strand, call, now);
    }
    let start = record.figures();
    let Some(reading) = read(strand, innermost, Local::current(), now) else {
        // In the last moments of a thread, when its counters have been given back.
        record.set_partial();
        close(strand, call, used(strand, None, start), now);
        return position::set_innermost(position::innermost_running());
    };
    let peak = leave_to_outer(strand, call, reading, now);
    close(strand, call, reading.since(Figures { peak, ..start }), now);
}

/// Held by a future that is put aside, and stopped by somebody else. What was open within it goes
/// on within the call around, which may be put aside too.
fn stop_at_rest(strand: &Strand, call: CallRef, now: u64) {
    if let Some(inner) = inside(call).find(|inner| inner.record.is_open()) {
        let around = outwards(position::call_at(call.record.parent()));
        let outer = { around }.find(|outer| outer.record.is_open());
        adopt(strand, inner, outer, Figures::default(), now);
    }
    close(strand, call, call.record.figures(), now);
}

#[inline]
fn close(strand: &Strand, call: CallRef, used: Figures, now: u64) {
    let end = end(strand, call.record.state());
    call.record.close(used, now, end);
}

/// How the call that stops now has ended.
#[inline]
fn end(strand: &Strand, state: State) -> End {
    let cancelling = strand.cancelling.get();
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

/// The call around becomes the innermost; the highest level that this one reached was within that
/// one, too.
#[inline]
pub(crate) fn uncover(call: CallRef, highest: i64) {
    let outer = outer(call);
    position::set_innermost(outer);
    position::raise_peak(outer, highest);
}

/// The nearest running call around this one.
#[inline]
fn outer(call: CallRef) -> Option<CallRef> {
    position::running(position::call_at(call.record.parent()))
}

/// A call and those around it, inside out.
pub(crate) fn outwards(from: Option<CallRef>) -> impl Iterator<Item = CallRef> {
    std::iter::successors(from, |call| position::call_at(call.record.parent()))
}

/// The calls directly within this one.
fn inside(call: CallRef) -> impl Iterator<Item = CallRef> {
    let later = call.later().filter(|inner| inner.record.is_call());
    later.filter(move |inner| inner.record.parent() == call.address())
}

/// The first call that is running within this one goes on within the call around. Answers the
/// highest level that this one has reached, itself and in those within.
pub(crate) fn leave_to_outer(strand: &Strand, call: CallRef, reading: Figures, now: u64) -> i64 {
    let mut highest = call.record.figures().peak;
    let mut first = None;
    for inner in outwards(position::innermost()) {
        if inner.is(call) {
            let outer = outer(call);
            position::raise_peak(outer, highest);
            if let Some(first) = first {
                adopt(strand, first, outer, reading, now);
            }
            return highest;
        }
        // One that was stopped on another thread has not told those around how high it went.
        if !inner.record.state().is_at_rest() {
            highest = highest.max(inner.record.figures().peak);
        }
        if inner.record.is_running() {
            first = Some(inner);
        }
    }
    // Not among the calls that run here: nothing is within it.
    call.record.figures().peak
}

/// Lets a running call go on within another, and notes what it had done until then.
#[cold]
pub(crate) fn adopt(
    strand: &Strand,
    call: CallRef,
    outer: Option<CallRef>,
    reading: Figures,
    now: u64,
) {
    let figures = call.record.figures();
    let so_far = if call.record.state().is_at_rest() {
        figures
    } else {
        reading.since(figures)
    };
    let before = call.record.parent();
    // The parent first, so that a reader who finds the note finds the call where it is now.
    call.record.move_to(Address::of(outer), || {
        let Some(vacant) = position::vacant(strand) else {
            // What it did before will be taken for what it did there.
            return strand.mark_partial();
        };
        let state = State::new(Kind::Adoption);
        vacant.record.note(state, before, now, so_far);
        vacant.record.set_adopted(call.address());
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
            left_open: inside(call)
                .find(|inner| inner.record.is_running())
                .map(|inner| (inner.address(), used_from_afar(strand, inner.record))),
        })
    });
}

/// What a call of the strand has used, as far as it can be known here.
fn used_from_afar(strand: &Strand, record: &Record) -> Figures {
    let (state, _, figures) = record.read();
    if state.is_at_rest() {
        return figures;
    }
    // The clocks of two processors may differ; what is known may be older than the start.
    strand.meter.read().0.since_at_most(figures)
}

/// Sets a checkpoint.
#[inline]
pub(crate) fn checkpoint(call: CallRef, name: &str) {
    let moment = clock::ticks();
    let name = name.as_bytes();
    match position::strand_of(call) {
        Some(strand) if name.len() <= SHORT_TEXT && !call.record.state().is_at_rest() => {
            let reading = strand.meter.reading(Local::current(), moment);
            let used = used(strand, reading, call.record.figures());
            note(strand, call, Kind::Checkpoint, name, moment, used);
        }
        strand => checkpoint_elsewhere(call, strand, name, moment),
    }
}

/// A checkpoint with a long name, or of a call that does not run here.
#[cold]
#[inline(never)]
fn checkpoint_elsewhere(
    call: CallRef,
    strand: Option<&'static Member<Strand>>,
    name: &[u8],
    moment: u64,
) {
    let name = Text::of(&String::from_utf8_lossy(name));
    let Some(strand) = strand.filter(|_| !call.record.state().is_at_rest()) else {
        return Strand::do_from_afar(call, moment, |strand| {
            Deed::Checkpoint(name.to_string(), used_from_afar(strand, call.record))
        });
    };
    let used = used_from_afar(strand, call.record);
    note(
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
    let moment = clock::ticks();
    if let Some(strand) = position::strand_of(call) {
        let text = why.as_bytes();
        note(
            strand,
            call,
            Kind::Message,
            text,
            moment,
            Figures::default(),
        );
        call.record.set_failed();
    } else {
        Strand::do_from_afar(call, moment, |_| Deed::Failed(why.to_string()));
    }
}

/// Writes a record that belongs to this call.
#[inline]
fn note(strand: &Strand, call: CallRef, kind: Kind, text: &[u8], moment: u64, figures: Figures) {
    let is_long = text.len() > SHORT_TEXT;
    if is_long {
        position::write_long_text(strand, text);
    }
    let Some(vacant) = position::vacant(strand) else {
        return;
    };
    if !is_long {
        vacant.record.write_short_text(text);
    }
    let state = State::new(kind).long_text(is_long);
    vacant.record.note(state, call.address(), moment, figures);
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
#[inline]
pub(crate) fn read(
    strand: &Strand,
    innermost: Option<CallRef>,
    local: Option<Local>,
    now: u64,
) -> Option<Figures> {
    let reading = strand.meter.reading_with_peak(local?, now)?;
    position::raise_peak(innermost, reading.peak);
    let peak = reading.counts.net_bytes();
    Some(Figures { peak, ..reading })
}
