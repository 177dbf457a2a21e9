//! Where this thread writes: the strand that it is in, the chunk that it fills, the innermost open
//! call.
//!
//! Thread-locals without destructors: each can be read at any time of the thread's life, at the
//! cost of a load.

use std::cell::Cell;

use crate::chunk::{CallRef, Chunk, Vacant};
use crate::pool::{Member, Number};
use crate::record::{Address, TEXT_PIECE};
use crate::strand::{STRANDS, Strand};

thread_local! {
    static STRAND: Cell<Option<&'static Member<Strand>>> = const { Cell::new(None) };
    static TAIL: Cell<Option<&'static Member<Chunk>>> = const { Cell::new(None) };
    static INNERMOST: Cell<Option<CallRef>> = const { Cell::new(None) };
    /// How many calls may be recorded before the trace is asked again.
    static CALLS_LEFT: Cell<u32> = const { Cell::new(0) };
}

/// The strand into which this thread records.
#[inline]
pub(crate) fn strand() -> Option<&'static Member<Strand>> {
    STRAND.get()
}

#[inline]
pub(crate) fn is_current(strand: &'static Member<Strand>) -> bool {
    STRAND
        .get()
        .is_some_and(|current| std::ptr::eq(current, strand))
}

/// The strand into which this thread records, if the call is one of it.
pub(crate) fn strand_of(call: CallRef) -> Option<&'static Member<Strand>> {
    let strand = STRAND.get()?;
    let is_innermost = INNERMOST.get().is_some_and(|innermost| innermost.is(call));
    (is_innermost || call.strand() == Some(strand.number())).then_some(strand)
}

/// Goes on writing where the strand was put aside.
pub(crate) fn take_up(strand: Option<&'static Member<Strand>>) {
    STRAND.set(strand);
    if let Some(strand) = strand {
        TAIL.set(strand.aside.tail());
        INNERMOST.set(strand.aside.innermost().call_near(TAIL.get()));
        CALLS_LEFT.set(strand.aside.calls_left());
    }
}

/// Notes in the current strand where to go on.
pub(crate) fn put_aside() {
    if let Some(strand) = STRAND.get() {
        let tail = TAIL.get().map_or(Number::NONE, Member::number);
        let innermost = Address::of(INNERMOST.get());
        strand.aside.put(tail, innermost, CALLS_LEFT.get());
    }
}

/// The innermost open call of the current strand.
#[inline]
pub(crate) fn innermost() -> Option<CallRef> {
    INNERMOST.get()
}

/// The same, or where it has been stopped or put aside meanwhile, the nearest around it that is
/// running.
#[inline]
pub(crate) fn innermost_running() -> Option<CallRef> {
    running(innermost())
}

#[inline]
pub(crate) fn set_innermost(call: Option<CallRef>) {
    INNERMOST.set(call);
}

/// The call at this address in the current strand.
#[inline]
pub(crate) fn call_at(address: Address) -> Option<CallRef> {
    address.call_near(TAIL.get())
}

/// This call, or where it has been stopped or put aside, the nearest around it that is running.
#[inline]
pub(crate) fn running(call: Option<CallRef>) -> Option<CallRef> {
    match call {
        Some(call) if !call.record.is_running() => nearest_running(call),
        _ => call,
    }
}

#[cold]
#[inline(never)]
fn nearest_running(call: CallRef) -> Option<CallRef> {
    let strand = STRANDS.get(call.strand()?)?;
    let mut highest = i64::MIN;
    let mut next = Some(call);
    while let Some(call) = next
        && !call.record.is_running()
    {
        // One that was stopped on another thread has not told those around how high it went.
        if !call.record.state().is_at_rest() {
            let start = strand.meter.start(call.record);
            highest = highest.max(start.peak);
            // It will not be among those around which the strand is left.
            call.record.settle(start);
        }
        next = call.record.parent().call();
    }
    if let Some(call) = next {
        strand.meter.raise_peak(call.record, highest);
    }
    next
}

/// A call of the current strand and those around it, inside out.
pub(crate) fn outwards(from: Option<CallRef>) -> impl Iterator<Item = CallRef> {
    std::iter::successors(from, |call| call_at(call.record.parent()))
}

/// Whether one more call may be recorded.
#[inline]
pub(crate) fn may_open(strand: &Strand) -> bool {
    CALLS_LEFT.get() > 0 || refill(strand)
}

#[cold]
#[inline(never)]
fn refill(strand: &Strand) -> bool {
    // None where the strand only counts.
    let Some(allowance) = strand.allowance() else {
        return false;
    };
    let calls = allowance.take_calls();
    CALLS_LEFT.set(calls);
    if calls == 0 {
        allowance.note_dropped();
    }
    calls > 0
}

/// The place for a call, where one [may be opened](may_open).
#[inline]
pub(crate) fn vacant_call(strand: &Strand) -> Option<Vacant> {
    CALLS_LEFT.set(CALLS_LEFT.get().saturating_sub(1));
    vacant(strand)
}

/// The place for one more record; none when the trace holds as many as it may.
#[inline]
pub(crate) fn vacant(strand: &Strand) -> Option<Vacant> {
    match Chunk::vacant(TAIL.get()?) {
        Some(vacant) => Some(vacant),
        None => grow(strand),
    }
}

#[cold]
#[inline(never)]
fn grow(strand: &Strand) -> Option<Vacant> {
    let allowance = strand.allowance()?;
    let Some(chunk) = allowance.take_chunk() else {
        allowance.note_dropped();
        return None;
    };
    TAIL.get()?.link(chunk);
    TAIL.set(Some(chunk));
    Chunk::vacant(chunk)
}

/// Writes a text that is too long for its record, into records before it.
#[cold]
#[inline(never)]
pub(crate) fn write_long_text(strand: &Strand, text: &[u8]) {
    for (index, piece) in text.chunks(TEXT_PIECE).enumerate() {
        let Some(vacant) = vacant(strand) else {
            return;
        };
        vacant.record.write_text_piece(piece, index == 0);
        vacant.publish();
    }
}
