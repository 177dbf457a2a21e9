//! Sums up one strand.

use crate::primitives::clock;
use crate::store::address::Address;
use crate::store::record::{MoveRecord, RecordedCall};
use crate::store::remote::{RemoteKind, RemoteOperation};
use crate::store::state::{OutcomeKind, RecordKind, RecordState};
use crate::store::strand::Strand;
use crate::store::usage::{Figures, Reading, Usage};

use super::calls::{CallSummary, TraceCalls};
use super::moves::Moves;

/// Adds a strand's calls and their moves.
pub(super) fn add_strand(strand: &Strand, calls: &mut TraceCalls, moves: &mut Moves) {
    let of_strand = calls.index(strand.parent());
    let (first_call, first_move) = (calls.all.len(), moves.len());
    // One for all running calls.
    let mut reading = None;
    for page in strand.pages() {
        for (address, record) in page {
            let state = record.state();
            if state.is_recorded_call() {
                let call = RecordedCall::of(record);
                add_call(strand, of_strand, (address, call), &mut reading, calls);
            } else if state.kind() == RecordKind::Move {
                let it = MoveRecord::of(record);
                let before = calls.index(it.before()).or(of_strand);
                if let Some(call) = calls.index(it.call()) {
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

#[inline]
fn add_call(
    strand: &Strand,
    of_strand: Option<usize>,
    (address, record): (Address, RecordedCall),
    reading: &mut Option<Reading>,
    calls: &mut TraceCalls,
) {
    let (state, stop, used) = match record.read_stopped() {
        Some(stopped) => stopped,
        None => read_open(strand, record, reading),
    };
    if !calls.has_room(1) {
        return;
    }
    let around = calls.index(record.parent()).or(of_strand);
    let end = state.outcome();
    let call = CallSummary {
        callsite: record.callsite(),
        parent: around,
        within: around,
        calls: 1,
        failures: u64::from(end.is_failure()),
        cancelled: u64::from(end == OutcomeKind::Cancelled),
        wall: stop.saturating_sub(record.start()),
        busy: used.busy,
        total: used.counts,
        peak_bytes: peak_bytes(strand, used),
        end,
        has_failed: state.has_failed(),
    };
    calls.push(address, call);
}

/// Reads a call that was open a moment ago. If it still is, it has stopped now.
#[cold]
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
    let Some(index) = calls.index(operation.call) else {
        return;
    };
    let call = &mut calls.all[index];
    match &operation.kind {
        RemoteKind::Checkpoint(..) | RemoteKind::Label(..) => {}
        RemoteKind::Fail(_) => {
            call.has_failed = true;
            call.end(call.end.failed());
        }
        RemoteKind::Stop(stopped) => {
            call.total = stopped.used.counts;
            call.busy = stopped.used.busy;
            if strand.has_peaks() {
                call.peak_bytes = peak_bytes(strand, stopped.used);
            }
            call.end(if call.has_failed {
                stopped.outcome.failed()
            } else {
                stopped.outcome
            });
            let inner = stopped.left_open.as_ref();
            if let Some(inner) = inner.and_then(|(inner, _)| calls.index(*inner)) {
                moves.add(inner, operation.at, Some(index));
            }
            if !stopped.is_exact {
                moves.add_stopped(index, operation.at);
            }
        }
    }
}
