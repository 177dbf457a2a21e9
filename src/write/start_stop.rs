//! Starts and stops calls, also folded calls, cancelled ones and ones that stop on another thread.

use alloc_counter::Local;

use crate::primitives::clock;
use crate::primitives::pool::Member;
use crate::store::address::Address;
use crate::store::callsite::Callsite;
use crate::store::cancelling::Cancelling;
use crate::store::chunk::CallRef;
use crate::store::record::{CallRecord, NewCall};
use crate::store::remote::{RemoteKind, RemoteStop};
use crate::store::short_text::ShortText;
use crate::store::state::{OutcomeKind, RecordKind, RecordState};
use crate::store::strand::Strand;
use crate::store::sum;
use crate::store::usage::{Figures, Reading, Start, Usage};
use crate::write::cursor::{self, Position};
use crate::write::folded;
use crate::write::nesting::{inside, leave_to_outer, open_inside, outer, read, reparent, used};
use crate::write::plain::{end_plainly, start_plainly};

/// Starts a call without a text within the innermost one. Returns `None` if no trace is current, or memory ran out.
///
/// Out of line, so that a function that opens a call grows by a load and a branch only.
#[inline(never)]
pub(crate) fn start(callsite: &'static Callsite) -> Option<CallRef> {
    // First, while there is little to be kept over the call that this may be.
    if std::thread::panicking() {
        return start_otherwise(callsite, None);
    }
    match cursor::here(|here| {
        start_plainly(here, here.plain(), clock::counter_ticks, callsite, None)
    }) {
        None => start_otherwise(callsite, None),
        started => started,
    }
}

/// Starts a call with a text.
pub(crate) fn start_with(callsite: &'static Callsite, text: &[u8]) -> Option<CallRef> {
    match ShortText::of(text) {
        Some(short) => start_with_short(callsite, &short),
        None => start_otherwise(callsite, Some(&TextOf::Long(text))),
    }
}

/// Starts a call with a text that fits into its record.
pub(crate) fn start_with_short(callsite: &'static Callsite, text: &ShortText) -> Option<CallRef> {
    if std::thread::panicking() {
        return start_otherwise(callsite, Some(&TextOf::Short(text)));
    }
    match cursor::here(|here| {
        start_plainly(
            here,
            here.plain(),
            clock::counter_ticks,
            callsite,
            Some(text),
        )
    }) {
        None => start_otherwise(callsite, Some(&TextOf::Short(text))),
        started => started,
    }
}

/// The text of a call.
#[derive(Clone, Copy)]
enum TextOf<'a> {
    Short(&'a ShortText),
    Long(&'a [u8]),
}

/// Starts any call, also a folded one. Returns `None` if no trace is current, or memory ran out.
#[cold]
#[inline(never)]
fn start_otherwise(callsite: &'static Callsite, text: Option<&TextOf<'_>>) -> Option<CallRef> {
    cursor::here(|here| {
        let strand = here.strand()?;
        if !here.may_open(strand) {
            return start_folded(here, strand, callsite);
        }
        let short = match text {
            None => None,
            Some(TextOf::Short(short)) => Some(*short),
            Some(TextOf::Long(text)) => return start_with_long(here, strand, callsite, text),
        };
        if !std::thread::panicking() {
            // A page was full, the thread or the callsite was new, or the clock is not the counter.
            here.tag();
            callsite.number();
            here.make_room(strand)?;
            let local = here.counting();
            if let Some(call) = start_plainly(here, local, clock::ticks, callsite, short) {
                return Some(call);
            }
        }
        start_alone(here, strand, callsite, (short, false))
    })
}

/// Starts a call with a text in the records before it.
fn start_with_long(
    here: &Position,
    strand: &Strand,
    callsite: &'static Callsite,
    text: &[u8],
) -> Option<CallRef> {
    let short = here.write_long_text(strand, text);
    start_alone(here, strand, callsite, (short.as_ref(), short.is_none()))
}

/// Starts a call that is not folded. The text `is_long` if it is in the records before.
#[inline(never)]
fn start_alone(
    here: &Position,
    strand: &Strand,
    callsite: &'static Callsite,
    (text, is_long): (Option<&ShortText>, bool),
) -> Option<CallRef> {
    let state = RecordState::new(RecordKind::Call).long_text(is_long);
    let vacant = here.vacant_call(strand)?;
    let record = vacant.as_call();
    if let Some(text) = text {
        record.write_text(text);
    }
    record.set_callsite(callsite.number());
    begin(here, strand, *record, state);
    let call = vacant.publish_call();
    here.set_innermost(Some(call));
    Some(call)
}

/// Starts a call of the current trace with the texts that its callsite asks for. Returns `None` if no trace
/// is current, or memory ran out.
#[cfg(feature = "tracing")]
pub(crate) fn start_current(callsite: &'static Callsite, text: &[u8]) -> Option<CallRef> {
    if callsite.has_texts() {
        start_with(callsite, text)
    } else {
        start(callsite)
    }
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
    begin(here, strand, *opening.record(), state);
    let call = opening.publish(strand);
    here.set_innermost(Some(call));
    Some(call)
}

/// Writes the start of a call within the innermost one.
fn begin(here: &Position, strand: &Strand, record: CallRecord, state: RecordState) {
    let outer = here.innermost_running();
    let start = clock::ticks();
    let reading = read(strand, outer, Local::current(), start);
    let figures = match reading {
        // In the thread's readings if the thread has counters. When the strand is left, `Strand::rebase`
        // turns the thread's readings into the strand's. It goes outwards and ends at the first call that
        // has the strand's already, so no call may have them before those inside it.
        Some(reading) => strand.meter.start_at(reading),
        None => Start::OfStrand(strand.meter.boundary()),
    };
    record.open(&NewCall {
        state: state
            .unwinding(std::thread::panicking())
            .cancelling(strand.cancelling.get() != Cancelling::No)
            .of_thread(figures.is_of_thread())
            .partial(reading.is_none()),
        parent: Address::of(outer),
        thread: here.tag().to_bits(),
        start,
    });
    record.set_start(figures);
}

/// Stops a call, on whichever thread.
///
/// Out of line, so that the code at each call's end is short.
#[inline(never)]
pub(crate) fn stop(call: CallRef) {
    // First, while there is little to be kept over the call that this may be.
    if std::thread::panicking() || !cursor::here(|here| stop_plainly(here, call)) {
        stop_otherwise(call);
    }
}

/// Stops a call as most stop: see [`end_plainly`].
#[inline(always)]
#[expect(clippy::inline_always, reason = "all that stopping most calls does")]
fn stop_plainly(here: &Position, call: CallRef) -> bool {
    let now = clock::counter_ticks();
    let outcome = |state: RecordState| (!state.has_failed()).then_some(OutcomeKind::Ok);
    end_plainly(here, Position::plain, call, (now, false), outcome)
}

/// Stops a call that does not stop plainly.
#[cold]
#[inline(never)]
fn stop_otherwise(call: CallRef) {
    let now = clock::ticks();
    cursor::here(|here| {
        let outcome = |state| here.strand().map(|strand| outcome(strand, state));
        if !end_plainly(here, Position::counting, call, (now, false), outcome) {
            stop_elsewhere(here, call, now);
        }
    });
}

/// Leaves the innermost call, as [`suspend::leave`](crate::write::suspend::leave) does. Returns `false` if
/// it takes more than that.
#[cfg(feature = "tracing")]
#[inline]
pub(crate) fn leave_on_thread(here: &Position, call: CallRef, now: u64) -> bool {
    end_plainly(here, Position::counting, call, (now, true), |state| {
        Some(state.outcome())
    })
}

#[cold]
#[inline(never)]
fn stop_elsewhere(here: &Position, call: CallRef, now: u64) {
    let Some(strand) = here.strand_of(call) else {
        return stop_remotely(call, now, None);
    };
    let record = call.record;
    let innermost = here.innermost_running();
    let start = match strand.meter.figures(record) {
        Figures::Started(start) => start,
        Figures::Used(used) => {
            leave_inner(here, strand, call, now);
            return close(strand, call, used, now, None);
        }
    };
    let Some(reading) = read(strand, innermost, Local::current(), now) else {
        // The thread is ending and has given its counters back.
        record.set_partial();
        let used = used(strand, None, start);
        if innermost.is_some_and(|innermost| innermost.is(call)) {
            here.go_into(strand, outer(here, call));
            return close(strand, call, used, now, None);
        }
        // Calls are open inside it: if it is folded, its record can't be vacated.
        strand.mark_partial();
        return record.close(used, now, outcome(strand, record.state()));
    };
    let peak = leave_to_outer(here, strand, call, reading, now);
    if innermost.is_some_and(|innermost| innermost.is(call)) {
        here.go_into(strand, outer(here, call));
    }
    let used = reading.since(Reading { peak, ..start });
    close(strand, call, used, now, None);
}

/// Moves the calls that are open inside a suspended one that stops into the call around, which may be
/// suspended too.
fn leave_inner(here: &Position, strand: &Strand, call: CallRef, now: u64) {
    let around = here.outwards(here.call_at(call.record.parent()));
    let outer = { around }.find(|outer| outer.record.is_open());
    for inner in inside(strand, call).filter(|inner| inner.record.is_open()) {
        reparent(here, strand, inner, outer, Reading::default(), now);
    }
}

/// Stops a call that [`suspend::leave`](crate::write::suspend::leave) suspended at the moment when it was
/// left, with this outcome, or the one that it has now. `is_innermost`: no call was open inside it then.
#[cfg(feature = "tracing")]
#[inline(always)]
#[expect(clippy::inline_always, reason = "all that ending most spans does")]
pub(crate) fn finish(call: CallRef, is_innermost: bool, known: Option<OutcomeKind>) {
    if !cursor::here(|here| finish_here(here, call, is_innermost, known)) {
        finish_otherwise(call, is_innermost, known);
    }
}

/// Stops a call at the moment at which it was left, if it is one of the strand's last ones; else returns `false`.
#[cfg(feature = "tracing")]
#[inline(never)]
fn finish_here(
    here: &Position,
    call: CallRef,
    is_innermost: bool,
    known: Option<OutcomeKind>,
) -> bool {
    let state = call.record.state();
    if is_innermost
        && !state.is_folded()
        && let Some(left) = call.record.left()
        && let Some(strand) = here.strand_near(call)
    {
        let outcome = known.unwrap_or_else(|| outcome(strand, state));
        call.record.finish(left, outcome);
        return true;
    }
    false
}

#[cfg(feature = "tracing")]
#[cold]
#[inline(never)]
fn finish_otherwise(call: CallRef, is_innermost: bool, known: Option<OutcomeKind>) {
    let Some(left) = call.record.left() else {
        return stop(call);
    };
    cursor::here(|here| match here.strand_of(call) {
        Some(strand) => {
            let state = call.record.state();
            if is_innermost && !state.is_folded() {
                let outcome = known.unwrap_or_else(|| outcome(strand, state));
                return call.record.finish(left, outcome);
            }
            leave_inner(here, strand, call, clock::ticks());
            if let Figures::Used(used) = strand.meter.figures(call.record) {
                close(strand, call, used, left, known);
            }
        }
        // If the execution is over, readers know that the call has stopped.
        None if Strand::of(call).is_some_and(|strand| strand.is_over()) => {}
        None => {
            let outcome = known.unwrap_or_else(|| call.record.state().own_outcome());
            stop_remotely(call, left, Some(outcome));
        }
    });
}

fn close(strand: &Strand, call: CallRef, used: Usage, now: u64, known: Option<OutcomeKind>) {
    let state = call.record.state();
    let outcome = known.unwrap_or_else(|| outcome(strand, state));
    call.record.close(used, now, outcome);
    if let Some(record) = call.record.folded() {
        folded::add_stopped(strand, call.address(), record, used, now, outcome);
    }
}

/// Returns how the call that stops now has ended.
#[inline]
fn outcome(strand: &Strand, state: RecordState) -> OutcomeKind {
    let cancelling = strand.cancelling.get();
    if std::thread::panicking() || cancelling != Cancelling::No {
        return outcome_in_trouble(cancelling, state);
    }
    state.own_outcome()
}

#[cold]
fn outcome_in_trouble(cancelling: Cancelling, state: RecordState) -> OutcomeKind {
    let is_panicking = std::thread::panicking() && !state.was_unwinding();
    if is_panicking && cancelling != Cancelling::InPanic {
        OutcomeKind::Panicked
    } else if state.has_failed() {
        OutcomeKind::Failed
    } else if cancelling != Cancelling::No && !state.was_cancelling() {
        OutcomeKind::Cancelled
    } else {
        OutcomeKind::Ok
    }
}

/// Stops a call on a thread that does not run its strand, so the thread's counters are not the call's.
/// `known` is the outcome, if it does not depend on the strand.
#[cold]
#[inline(never)]
pub(crate) fn stop_remotely(call: CallRef, now: u64, known: Option<OutcomeKind>) {
    Strand::post(call, now, |strand| {
        let mut has_open = false;
        let mut open = open_inside(strand, call).inspect(|_| has_open = true);
        let left_open = open.find(|inner| inner.record.is_running());
        if let (true, Some(allowance)) = (has_open, strand.allowance()) {
            allowance.note_moved(now);
        }
        Some(RemoteKind::Stop(RemoteStop {
            within: sum::within(call.record.parent()),
            outcome: known.unwrap_or_else(|| outcome(strand, call.record.state())),
            used: strand.known_usage(call.record),
            is_exact: call.record.left().is_some(),
            left_open: left_open.map(|inner| (inner.address(), strand.known_usage(inner.record))),
        }))
    });
}
