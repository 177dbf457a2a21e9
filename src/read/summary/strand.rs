//! Sums up one strand.

use crate::primitives::clock;
use crate::primitives::pool::Member;
use crate::read::address_map::Index;
use crate::store::address::Address;
use crate::store::chunk::Chunk;
use crate::store::record::{MoveRecord, RecordedCall};
use crate::store::remote::{RemoteKind, RemoteOperation};
use crate::store::state::RecordKind;
use crate::store::strand::Strand;
use crate::store::usage::{Figures, Reading};

use super::calls::{CallFigures, CallSummary, StoppedCall, Sums, TraceCalls, peak_bytes};
use super::moves::Moves;

/// Adds a strand's calls and their moves.
#[inline]
pub(super) fn add_strand(strand: &Strand, calls: &mut TraceCalls, moves: &mut Moves) {
    // Without a record, there are no operations on calls either.
    if strand.pages().any(|chunk| !chunk.is_empty()) {
        add_records(strand, calls, moves);
    }
}

fn add_records(strand: &Strand, calls: &mut TraceCalls, moves: &mut Moves) {
    let of_strand = calls.index(strand.parent());
    let (first_call, first_move) = (calls.all.len(), moves.len());
    // One for all running calls.
    let mut reading = None;
    for chunk in strand.pages() {
        add_chunk(strand, of_strand, chunk, &mut reading, calls, moves);
    }
    if strand.mailbox.has_any() {
        apply_remote(strand, calls, moves);
    }
    // Not before the calls were read, which may have stopped after a peak was lost.
    if !strand.has_peaks() {
        calls.forget_peaks(first_call);
    }
    if moves.len() > first_move {
        moves.resolve(strand, of_strand, first_call, calls);
    }
    if moves.has_stopped() {
        moves.leave_stopped(strand, calls);
    }
}

/// Adds the records of a chunk.
#[inline(never)]
fn add_chunk(
    strand: &Strand,
    of_strand: Index,
    chunk: &'static Member<Chunk>,
    reading: &mut Option<Reading>,
    calls: &mut TraceCalls,
    moves: &mut Moves,
) {
    let records = Chunk::published(chunk);
    if !calls.begin_chunk(chunk.number(), records.len()) {
        // Nor is there any for moves.
        let states = records.map(|(_, record)| record.state());
        calls.lost += states.filter(|state| state.is_recorded_call()).count() as u64;
        return;
    }
    for (address, record) in records {
        let state = record.state_of_stopped();
        if state.has_stopped_well() {
            let call = RecordedCall::of(record);
            let around = calls.index(call.parent()).or(of_strand);
            let figures = CallFigures::Recorded(StoppedCall(*call));
            let call = CallSummary::new(call.callsite(), around, state, figures);
            calls.push_next(address, call);
        } else if state.is_recorded_call() {
            let call = (address, RecordedCall::of(record));
            add_other_call(strand, of_strand, call, reading, calls);
        } else if state.kind() == RecordKind::Move {
            add_move(of_strand, MoveRecord::of(record), calls, moves);
        }
    }
}

#[cold]
fn add_move(of_strand: Index, it: MoveRecord, calls: &TraceCalls, moves: &mut Moves) {
    let before = calls.index(it.before()).or(of_strand);
    if let Some(call) = calls.index(it.call()).get() {
        moves.add(call, it.moment(), before);
    }
}

/// Adds a call that was open a moment ago, or has not simply stopped. If it is open, it has stopped now.
#[cold]
#[inline(never)]
fn add_other_call(
    strand: &Strand,
    of_strand: Index,
    (address, record): (Address, RecordedCall),
    reading: &mut Option<Reading>,
    calls: &mut TraceCalls,
) {
    calls.have_all_stopped_well = false;
    let around = calls.index(record.parent()).or(of_strand);
    let (state, stop, figures) = strand.read_record(*record);
    let used = match figures {
        Figures::Used(used) => used,
        running @ Figures::Started(_) => {
            running.used_at(*reading.get_or_insert_with(|| strand.meter.read().0))
        }
    };
    let stop = stop.unwrap_or_else(clock::ticks);
    let wall = stop.saturating_sub(record.start());
    let figures = CallFigures::Sums(Sums::of_call(state.outcome(), wall, used));
    let call = CallSummary::new(record.callsite(), around, state, figures);
    calls.push_next(address, call);
}

#[cold]
fn apply_remote(strand: &Strand, calls: &mut TraceCalls, moves: &mut Moves) {
    calls.have_all_stopped_well = false;
    strand.mailbox.look(|operations| {
        for operation in operations {
            apply(operation, calls, moves);
        }
    });
}

/// Applies a remote operation.
fn apply(operation: &RemoteOperation, calls: &mut TraceCalls, moves: &mut Moves) {
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
            call.change(|sums| {
                sums.total = stopped.used.counts;
                sums.busy = stopped.used.busy;
                sums.peak_bytes = peak_bytes(stopped.used);
            });
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
