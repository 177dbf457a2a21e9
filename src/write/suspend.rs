//! Calls around futures: suspended between polls, resumed, cancelled.

use alloc_counter::Local;

use crate::primitives::clock;
use crate::store::address::Address;
use crate::store::cancelling::Cancelling;
use crate::store::chunk::CallRef;
use crate::store::record::CallRecord;
use crate::store::state::OutcomeKind;
use crate::store::strand::Strand;
use crate::store::usage::{Figures, Reading, Usage};
#[cfg(feature = "tracing")]
use crate::write::context;
use crate::write::cursor::{self, Position};
use crate::write::folded;
use crate::write::nesting::{inside, leave_to_outer, pop_to_parent, read, reparent, used};
#[cfg(feature = "tracing")]
use crate::write::start_stop;
use crate::write::start_stop::{stop, stop_remotely};

/// Suspends a call, with the calls running inside it: until it is resumed, nothing on the strand counts
/// for them. Returns the innermost of them; `None` if this thread does not run the strand.
pub(crate) fn rest(call: CallRef) -> Option<CallRef> {
    cursor::here(|here| rest_here(here, call, clock::ticks()))
}

fn rest_here(here: &Position, call: CallRef, now: u64) -> Option<CallRef> {
    let strand = here.strand_of(call)?;
    let innermost = here
        .innermost()
        .filter(|innermost| is_within(here, *innermost, call));
    let Some(innermost) = innermost else {
        // Every running call has the innermost one inside it. If this one does not, it goes on counting.
        strand.mark_partial();
        return None;
    };
    let reading = read(
        strand,
        cursor::running(Some(innermost)),
        Local::current(),
        now,
    );
    let mut highest = i64::MIN;
    for record in path(here, innermost, call) {
        let Some(mut start) = strand.meter.start(record) else {
            continue;
        };
        if !record.is_open() {
            // It was stopped on another thread, and is not among the calls that are rebased later.
            highest = highest.max(start.peak);
            record.rebase(start);
            continue;
        }
        start.peak = start.peak.max(highest);
        highest = start.peak;
        if reading.is_none() {
            record.set_partial();
        }
        put_to_rest(strand, record, used(strand, reading, start));
    }
    pop_to_parent(here, strand, call, highest);
    folded::leave_around(call.record);
    Some(innermost)
}

/// Suspends a call alone: a call that is running inside it moves into the call around.
pub(crate) fn rest_alone(call: CallRef) -> Option<CallRef> {
    cursor::here(|here| rest_alone_here(here, call, clock::ticks()))
}

/// Suspends a call, [alone](rest_alone) or [not](rest), that may never be resumed: if it is not, it has
/// stopped now. Returns `None` if this thread has not entered the strand.
#[cfg(feature = "tracing")]
pub(crate) fn leave(call: CallRef, is_alone: bool) -> Option<CallRef> {
    cursor::here(|here| {
        let now = clock::ticks();
        if start_stop::leave_on_thread(here, call, now) {
            return Some(call);
        }
        if here.strand_of(call).is_some() {
            return leave_here(here, call, is_alone, now);
        }
        let strand = { cursor::entered(here) }.find(|it| call.strand() == Some(it.number()))?;
        context::within(here, strand, || leave_here(here, call, is_alone, now))
    })
}

#[cfg(feature = "tracing")]
fn leave_here(here: &Position, call: CallRef, is_alone: bool, now: u64) -> Option<CallRef> {
    let innermost = if is_alone {
        rest_alone_here(here, call, now)
    } else {
        rest_here(here, call, now)
    };
    if innermost.is_some() {
        call.record.leave(now);
    }
    innermost
}

fn rest_alone_here(here: &Position, call: CallRef, now: u64) -> Option<CallRef> {
    let innermost = here.innermost();
    if innermost.is_some_and(|innermost| innermost.is(call)) {
        return rest_here(here, call, now);
    }
    let strand = here.strand_of(call)?;
    let Some(mut start) = strand.meter.start(call.record) else {
        // It was suspended with the future in which it was opened, and now leaves that future.
        let outer = cursor::running(innermost);
        reparent(here, strand, call, outer, Reading::default(), now);
        folded::leave_around(call.record);
        return Some(call);
    };
    let reading = read(strand, cursor::running(innermost), Local::current(), now)?;
    start.peak = leave_to_outer(here, strand, call, reading, now);
    put_to_rest(strand, call.record, reading.since(start));
    folded::leave_around(call.record);
    Some(call)
}

fn put_to_rest(strand: &Strand, record: CallRecord, used: Usage) {
    if let Some(call) = record.folded() {
        folded::account(strand, call, used);
        folded::note_rest(strand, call);
        record.suspend(Usage::default());
    } else {
        record.suspend(used);
    }
}

/// Resumes a call, with the calls suspended inside it. `innermost` is the one that [`rest`] returned.
/// Returns `false` if this thread does not run the strand.
pub(crate) fn resume(call: CallRef, innermost: CallRef) -> bool {
    cursor::here(|here| {
        resume_on_thread(here, call, innermost) || resume_here(here, call, innermost)
    })
}

/// Resumes a call if no other was suspended with it, it is still in the call in which it was suspended, and the
/// thread has its counters. Most are.
#[inline]
fn resume_on_thread(here: &Position, call: CallRef, innermost: CallRef) -> bool {
    let record = call.record;
    let (state, outer) = (record.state(), here.innermost());
    if innermost.is(call)
        && record.is_open()
        && state.holds_usage()
        && !state.is_folded()
        && let Some(strand) = here.strand_near(call)
        && strand.meter.is_running()
        && Address::of(outer) == record.parent()
        && outer.is_none_or(|outer| outer.record.is_running_on_thread())
        && let Some(local) = Local::current()
    {
        let level = record.resume_on_thread(state, clock::ticks(), local.totals());
        let highest = local.take_peak_at(level);
        if let Some(outer) = outer {
            outer.record.raise_peak(highest);
        }
        here.set_innermost(Some(call));
        return true;
    }
    false
}

#[cold]
#[inline(never)]
fn resume_here(here: &Position, call: CallRef, innermost: CallRef) -> bool {
    let Some(strand) = here.strand_of(call) else {
        return false;
    };
    let now = clock::ticks();
    let outer = here.innermost_running();
    let reading =
        read(strand, outer, Local::current(), now).unwrap_or_else(|| strand.meter.boundary());
    if Address::of(outer) != call.record.parent() {
        reparent(here, strand, call, outer, reading, now);
    } else if let Some(call) = call.record.folded() {
        // It was detached from a folded call around it when it was suspended.
        folded::go_on_in(call, outer);
    }
    // The innermost may have been moved elsewhere meanwhile.
    let innermost = if is_within(here, innermost, call) {
        innermost
    } else {
        let mut inside = inside(strand, call);
        if inside.any(|inner| inner.record.is_open() && inner.record.state().holds_usage()) {
            // It is not known any more which of these was around the one that was moved.
            strand.mark_partial();
        }
        call
    };
    for record in path(here, innermost, call) {
        if record.is_open()
            && let Figures::Used(used) = record.figures()
        {
            record.resume(strand.meter.start_at(reading.start_for(used)));
        }
    }
    here.go_into(strand, Some(innermost));
    true
}

/// Returns whether one call is inside another, or is that call.
fn is_within(here: &Position, innermost: CallRef, call: CallRef) -> bool {
    here.outwards(Some(innermost)).any(|outer| outer.is(call))
}

/// Returns the calls from the innermost one outwards to `call`, which must be around it.
fn path(here: &Position, innermost: CallRef, call: CallRef) -> impl Iterator<Item = CallRecord> {
    let mut arrived = false;
    here.outwards(Some(innermost))
        .take_while(move |outer| !std::mem::replace(&mut arrived, outer.is(call)))
        .map(|outer| outer.record)
}

/// A call that is being cancelled: its future is being dropped, and calls that stop meanwhile are
/// cancelled too.
#[derive(Clone, Copy)]
pub(crate) enum Cancel {
    Here {
        strand: &'static Strand,
        before: Cancelling,
    },
    /// The thread does not run the strand.
    Remote { was_panicking: bool },
}

impl Cancel {
    pub(crate) fn begin(call: CallRef) -> Self {
        cursor::here(|here| match here.strand_of(call) {
            Some(strand) => {
                let before = strand.cancelling.begin();
                here.review(Local::current());
                Self::Here { strand, before }
            }
            None => Self::Remote {
                was_panicking: std::thread::panicking(),
            },
        })
    }

    /// Stops the call, even if the future's drop panics.
    pub(crate) fn finish(self, call: CallRef) {
        match self {
            Self::Here { strand, before } => {
                stop(call);
                strand.cancelling.set(before);
                cursor::here(|here| here.review(Local::current()));
            }
            Self::Remote { was_panicking } => {
                let end = if std::thread::panicking() && !was_panicking {
                    OutcomeKind::Panicked
                } else {
                    OutcomeKind::Cancelled
                };
                stop_remotely(call, clock::ticks(), Some(end));
            }
        }
    }
}
