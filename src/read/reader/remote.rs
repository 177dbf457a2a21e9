//! Applies remote operations to the calls of a strand.

use crate::primitives::clock;
use crate::read::moves::leave_stopped;
use crate::read::snapshot::{Adoption, CallId};
use crate::store::address::Address;
use crate::store::callsite::TextPlace;
use crate::store::record::View;
use crate::store::remote::{RemoteKind, RemoteOperation};
use crate::store::strand::Strand;
use crate::store::sum::Sum;

use super::calls::{StrandCalls, peak_bytes};

/// Applies the first `count` remote operations to a strand's calls. Returns what they add to
/// sums of folded calls.
pub(super) fn apply_remote(
    strand: &Strand,
    count: usize,
    calls: &mut StrandCalls,
) -> Vec<(Address, Sum)> {
    let mut more = Vec::new();
    if count > 0 {
        let mut operations = strand.mailbox.read();
        operations.truncate(count);
        // A call that was left is stopped at that moment, but its stop is posted later.
        operations.sort_by_key(|operation| operation.at);
        for operation in operations {
            match operation.sums() {
                Some(sums) => more.extend(sums),
                None => apply(operation, strand, calls),
            }
        }
    }
    more
}

fn apply(operation: RemoteOperation, strand: &Strand, calls: &mut StrandCalls) {
    let (moment, address) = (operation.at, operation.call);
    match operation.kind {
        RemoteKind::Checkpoint(set) => {
            calls.add_checkpoint(address, moment, set.name.into(), set.used.counts);
            if let Some(call) = calls.get_mut(address) {
                call.is_partial |= !set.is_exact;
            }
        }
        RemoteKind::Fail(message) => {
            calls.add_message(address, moment, message);
            if let Some(call) = calls.get_mut(address) {
                call.end = call.end.failed();
            }
        }
        RemoteKind::Label(place, text) => {
            if !has_later_label(strand, address, place, moment) {
                calls.set_text(address, place, text);
            }
        }
        RemoteKind::Stop(stopped) => {
            let at_ns = calls.since_trace(moment);
            if let Some(call) = calls.get_mut(address) {
                call.end = match call.message {
                    Some(_) => stopped.outcome.failed(),
                    None => stopped.outcome,
                };
                call.wall_ns = at_ns.saturating_sub(call.start_ns);
                call.busy_ns = clock::nanoseconds(stopped.used.busy).min(call.wall_ns);
                call.counts = stopped.used.counts;
                call.peak_bytes = peak_bytes(strand, stopped.used);
                call.is_partial |= !stopped.is_exact;
            }
            if let Some((inner, so_far)) = stopped.left_open {
                calls.add_adoption(inner, address, so_far, moment);
            }
            if !stopped.is_exact {
                leave_to_around(CallId(address), at_ns, calls);
            }
        }
    }
}

/// Whether the strand's own thread has set the same text of the call later.
fn has_later_label(strand: &Strand, call: Address, place: TextPlace, moment: u64) -> bool {
    let mut records = strand.records();
    records.any(|(_, record)| match record.view(record.state()) {
        View::Label(it) => it.call() == call && it.place() == place && it.moment() > moment,
        _ => false,
    })
}

/// Moves calls that were inside a stopped call when another thread stopped it, or that came into it before the
/// strand's thread saw the stop, into the call around it. From there they left for others.
fn leave_to_around(stopped: CallId, at_ns: u64, calls: &mut StrandCalls) {
    let around = calls.get_mut(stopped.0).and_then(|call| call.within);
    for call in &mut calls.all {
        call.adoptions.sort_by_key(|adoption| adoption.left_ns);
        let moves = call.adoptions.iter_mut();
        let moves = moves.map(|it| (&mut it.left_ns, &mut it.within));
        let came_ns = leave_stopped(moves, call.start_ns, (Some(stopped), at_ns), around);
        let goes_on = !call.has_stopped() || call.start_ns.saturating_add(call.wall_ns) > at_ns;
        if call.within != Some(stopped) || !goes_on {
            continue;
        }
        call.within = around;
        if came_ns < at_ns {
            // It was suspended, and was not resumed since.
            call.adoptions.push(Adoption {
                within: Some(stopped),
                left_ns: at_ns,
                counts: call.counts,
                busy_ns: call.busy_ns,
            });
        }
    }
}
