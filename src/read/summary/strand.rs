//! Sums up one strand.

use crate::primitives::clock;
use crate::read::address_map::Index;
use crate::store::address::Address;
use crate::store::record::{MoveRecord, RecordedCall};
use crate::store::remote::{RemoteKind, RemoteOperation};
use crate::store::state::{OutcomeKind, RecordKind, RecordState};
use crate::store::strand::Strand;
use crate::store::usage::{Figures, Reading, Usage};

use super::calls::{CallSummary, Sums, TraceCalls};
use super::moves::Moves;

/// Adds a strand's calls and their moves.
pub(super) fn add_strand(strand: &Strand, calls: &mut TraceCalls, moves: &mut Moves) {
    let of_strand = calls.index(strand.parent());
    let (first_call, first_move) = (calls.all.len(), moves.len());
    // One for all running calls.
    let mut reading = None;
    for page in strand.pages() {
        if !calls.has_room(page.len()) {
            let states = page.map(|(_, record)| record.state());
            calls.lost += states.filter(|state| state.is_recorded_call()).count() as u64;
            continue;
        }
        for (address, record) in page {
            let state = record.state();
            if state.is_recorded_call() {
                let call = RecordedCall::of(record);
                add_call(strand, of_strand, (address, call), &mut reading, calls);
            } else if state.kind() == RecordKind::Move {
                let it = MoveRecord::of(record);
                let before = calls.index(it.before()).or(of_strand);
                if let Some(call) = calls.index(it.call()).get() {
                    moves.add(call, it.moment(), before);
                }
            }
        }
    }
    strand.mailbox.look(|operations| {
        for operation in operations {
            apply(strand, operation, calls, moves);
        }
    });
    if moves.len() > first_move {
        moves.resolve(strand, of_strand, first_call, calls);
    }
    if moves.has_stopped() {
        moves.leave_stopped(strand, calls);
    }
}

/// Adds a call for which there is [room](TraceCalls::has_room). What is read of a call that has stopped stays in
/// registers until it is pushed.
#[inline]
fn add_call(
    strand: &Strand,
    of_strand: Index,
    (address, record): (Address, RecordedCall),
    reading: &mut Option<Reading>,
    calls: &mut TraceCalls,
) {
    let around = |parent| calls.index(parent).or(of_strand);
    match record.read_stopped(around) {
        Some((state, around, stop, used)) => {
            push_call(
                strand,
                around,
                (address, record),
                (state, stop, used),
                calls,
            );
        }
        None => add_open_call(strand, of_strand, (address, record), reading, calls),
    }
}

#[cold]
#[inline(never)]
fn add_open_call(
    strand: &Strand,
    of_strand: Index,
    (address, record): (Address, RecordedCall),
    reading: &mut Option<Reading>,
    calls: &mut TraceCalls,
) {
    let stopped = read_open(strand, record, reading);
    let around = calls.index(record.parent()).or(of_strand);
    push_call(strand, around, (address, record), stopped, calls);
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "for each recorded call")]
fn push_call(
    strand: &Strand,
    around: Index,
    (address, record): (Address, RecordedCall),
    (state, stop, used): (RecordState, u64, Usage),
    calls: &mut TraceCalls,
) {
    calls.push(
        address,
        CallSummary {
            callsite: record.callsite(),
            parent: around,
            within: around,
            path: 0,
            state,
            sums: Sums {
                calls: 1,
                failures: 0,
                cancelled: 0,
                wall: stop.saturating_sub(record.start()),
                busy: used.busy,
                total: used.counts,
                peak_bytes: peak_bytes(strand, used),
            },
        },
    );
    if state.outcome() != OutcomeKind::Ok
        && let Some(call) = calls.all.last_mut()
    {
        call.set_end(state.outcome());
    }
}

/// Reads a call that was open a moment ago. If it still is, it has stopped now.
fn read_open(
    strand: &Strand,
    record: RecordedCall,
    reading: &mut Option<Reading>,
) -> (RecordState, u64, Usage) {
    let (state, stop, figures) = strand.read_record(*record);
    let used = match figures {
        Figures::Used(used) => used,
        running @ Figures::Started(_) => {
            running.used_at(*reading.get_or_insert_with(|| strand.meter.read().0))
        }
    };
    (state, stop.unwrap_or_else(clock::ticks), used)
}

/// Returns the peak of a call that used this much; 0 if some level of the strand is not known.
fn peak_bytes(strand: &Strand, used: Usage) -> u64 {
    if strand.has_peaks() {
        u64::try_from(used.peak).unwrap_or(0)
    } else {
        0
    }
}

/// Applies a remote operation.
fn apply(strand: &Strand, operation: &RemoteOperation, calls: &mut TraceCalls, moves: &mut Moves) {
    let stopped_call = calls.index(operation.call);
    let Some(index) = stopped_call.get() else {
        return;
    };
    let call = &mut calls.all[index];
    match &operation.kind {
        RemoteKind::Checkpoint(..) | RemoteKind::Label(..) => {}
        RemoteKind::Fail(_) => {
            call.state = call.state.failed();
            call.set_end(call.end().failed());
        }
        RemoteKind::Stop(stopped) => {
            call.sums.total = stopped.used.counts;
            call.sums.busy = stopped.used.busy;
            if strand.has_peaks() {
                call.sums.peak_bytes = peak_bytes(strand, stopped.used);
            }
            call.set_end(if call.state.has_failed() {
                stopped.outcome.failed()
            } else {
                stopped.outcome
            });
            let inner = stopped.left_open.as_ref();
            if let Some(inner) = inner.and_then(|(inner, _)| calls.index(*inner).get()) {
                moves.add(inner, operation.at, stopped_call);
            }
            if !stopped.is_exact {
                moves.add_stopped(index, operation.at);
            }
        }
    }
}
