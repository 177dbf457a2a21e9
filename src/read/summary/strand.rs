//! Sums up one strand.

use crate::primitives::clock;
use crate::store::address::Address;
use crate::store::record::Record;
use crate::store::state::{End, Kind};
use crate::store::strand::{Afar, Deed, Strand};
use crate::store::usage::Figures;

use super::calls::{CallSummary, Calls};
use super::moves::Moves;

/// Adds a strand's calls and their moves.
pub(super) fn add_strand(strand: &Strand, calls: &mut Calls, moves: &mut Moves) {
    let of_strand = calls.index(strand.parent());
    let (first_call, first_move) = (calls.all.len(), moves.len());
    // One for all running calls.
    let mut reading = None;
    for (address, record) in strand.records() {
        let state = record.state();
        match state.kind() {
            Kind::Call if !state.is_folded() => {
                add_call(strand, of_strand, (address, record), &mut reading, calls);
            }
            Kind::Adoption => {
                let before = calls.index(record.parent()).or(of_strand);
                if let Some(call) = calls.index(record.adopted()) {
                    moves.add(call, record.start(), before);
                }
            }
            _ => {}
        }
    }
    strand.look_at_done_from_afar(|afar| {
        for afar in afar {
            apply(strand, afar, calls, moves);
        }
    });
    if moves.len() > first_move {
        moves.resolve(strand, of_strand, first_call, calls);
    }
    moves.leave_stopped(strand, calls);
}

#[inline]
fn add_call(
    strand: &Strand,
    of_strand: Option<usize>,
    (address, record): (Address, &Record),
    reading: &mut Option<Figures>,
    calls: &mut Calls,
) {
    let (mut state, mut stop, mut used) = record.read();
    if !state.is_at_rest() {
        let start;
        (state, stop, start) = strand.meter.read_record(record);
        used = if state.is_at_rest() {
            start
        } else {
            let reading = reading.get_or_insert_with(|| strand.meter.read().0);
            reading.since_at_most(start)
        };
    }
    let stop = stop.unwrap_or_else(clock::ticks);
    if !calls.has_room(1) {
        return;
    }
    let around = calls.index(record.parent()).or(of_strand);
    let mut call = CallSummary {
        callsite: record.callsite(),
        parent: around,
        within: around,
        calls: 1,
        failures: 0,
        cancelled: 0,
        wall: stop.saturating_sub(record.start()),
        busy: used.busy,
        total: used.counts,
        peak_bytes: peak_bytes(strand, used),
        end: End::Open,
        has_failed: state.has_failed(),
    };
    call.end(state.end());
    calls.push(address, call);
}

/// Returns the peak of a call that used this much; 0 if some level of the strand is not known.
fn peak_bytes(strand: &Strand, used: Figures) -> u64 {
    if strand.has_peaks() {
        u64::try_from(used.peak).unwrap_or(0)
    } else {
        0
    }
}

/// Applies what another thread did to a call.
fn apply(strand: &Strand, afar: &Afar, calls: &mut Calls, moves: &mut Moves) {
    let Some(index) = calls.index(afar.call) else {
        return;
    };
    let call = &mut calls.all[index];
    match &afar.deed {
        Deed::Checkpoint(..) => {}
        Deed::Failed(_) => {
            call.has_failed = true;
            call.end(call.end.failed());
        }
        Deed::Stopped(stopped) => {
            call.total = stopped.used.counts;
            call.busy = stopped.used.busy;
            if strand.has_peaks() {
                call.peak_bytes = peak_bytes(strand, stopped.used);
            }
            call.end(if call.has_failed {
                stopped.end.failed()
            } else {
                stopped.end
            });
            let inner = stopped.left_open.as_ref();
            if let Some(inner) = inner.and_then(|(inner, _)| calls.index(*inner)) {
                moves.add(inner, afar.moment, Some(index));
            }
            moves.add_stopped(index, afar.moment);
        }
    }
}
