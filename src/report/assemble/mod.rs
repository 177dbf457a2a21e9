//! From a snapshot to a report: the strands' calls in one order, their parents, and what each used
//! with and without the calls inside.

mod call;
mod folded;
mod order;
mod shares;
#[cfg(feature = "sites")]
mod sites;

use alloc_counter::Counts;

use crate::read::snapshot::Snapshot;
use crate::store::identity::OwnIds;

use super::self_time::set_self_walls;
use super::{CallReport, Outcome, Report};

use call::{Around, ThreadNames, call_report, set_figures};
use folded::folded;
use order::Order;
use shares::{FoldedShare, Shares};

pub(super) fn report(snapshot: Snapshot) -> Report {
    let is_counted = alloc_counter::is_installed();
    let sites_not_recorded = snapshot.sites_not_recorded.filter(|_| is_counted);
    let order = Order::of(&snapshot.strands, &snapshot.paths);
    let shares = Shares::of(&snapshot, &order);
    let total: Counts = snapshot.strands.iter().map(|strand| strand.counts).sum();
    #[cfg(feature = "sites")]
    let mut sites = sites_not_recorded.map_or_else(sites::CallSites::default, |_| {
        sites::CallSites::of(&snapshot, &order)
    });
    #[cfg(feature = "sites")]
    let sites_of_path = |place| sites.of_path(place);
    #[cfg(not(feature = "sites"))]
    let sites_of_path = |_| None;
    let folded = folded(&snapshot.paths, &order, &shares, sites_of_path, is_counted);
    let own_ids = snapshot.own_ids;
    let mut names = ThreadNames::default();
    let mut calls = Vec::with_capacity(order.len());
    for (strand, mut snapshot) in snapshot.strands.into_iter().enumerate() {
        let around = Around {
            own_ids,
            strand: snapshot.ordinal,
            is_counted,
        };
        let mut checkpoints = snapshot.checkpoints.into_iter();
        let of_strand = snapshot.calls.iter_mut().enumerate().map(|(index, call)| {
            let place = order.place(strand, index);
            // It comes before, unless the trace had no room to note in which call this one was opened.
            let parent = shares.by_place[place].parent();
            let parent = parent.filter(|parent| *parent < place);
            let thread = names.thread(call.thread);
            call_report(call, &mut checkpoints, parent, thread, &around)
        });
        let first = calls.len();
        calls.extend(of_strand);
        let reports = calls[first..].iter_mut().zip(&snapshot.calls);
        for (index, (report, call)) in reports.enumerate() {
            let share = &shares.by_place[order.place(strand, index)];
            set_figures(report, call, share, is_counted);
        }
    }
    let mut calls = order.arrange(calls);
    let last_stop = set_self_walls(&mut calls).max(shares.last_stop(order.len()));
    for (call, folded) in calls.iter_mut().zip(&shares.folded) {
        call.self_wall = call.self_wall.saturating_sub(folded.covered);
    }
    if !shares.folded.is_empty() {
        mark_overlaps(&mut calls, &shares.folded);
    }
    #[cfg(feature = "sites")]
    let outside = sites.put_into(&mut calls);
    #[cfg(not(feature = "sites"))]
    let outside = None;
    let is_running = calls
        .iter()
        .any(|call| matches!(call.outcome, Outcome::Running))
        || folded.iter().any(|path| path.running > 0);
    Report {
        request: None,
        trace: snapshot.id,
        trace_id: snapshot.trace_id,
        span_id: own_ids.map(OwnIds::root),
        parent_span: snapshot.parent_span,
        tracestate: snapshot.tracestate,
        started: snapshot.started,
        elapsed: match last_stop {
            Some(stop) if !is_running => stop,
            _ => snapshot.age,
        },
        grown: snapshot.grown,
        dropped: snapshot.dropped,
        memory_bytes: snapshot.footprint.record_bytes(),
        total: is_counted.then_some(total),
        subscriber: snapshot.subscriber.filter(|_| is_counted),
        calls,
        folded,
        sites: outside,
        sites_not_recorded,
    }
}

/// Marks the calls inside which a recorded call and folded ones may have been open at the same time, as one
/// of them was suspended or they ran on different strands. The time of both is taken off the call around,
/// and it is not known how much of it they share.
fn mark_overlaps(calls: &mut [CallReport], shares: &[FoldedShare]) {
    for place in 0..calls.len() {
        let call = &calls[place];
        let Some(around) = call.parent else { continue };
        let (start, stop) = (call.start, call.start + call.wall);
        let Some(folded) = &shares[around].folded else {
            continue;
        };
        let may_be_beside =
            folded.was_suspended || call.busy < call.wall || call.strand != calls[around].strand;
        if may_be_beside && folded.first_start < stop && start < folded.last_stop {
            calls[around].partial = true;
        }
    }
}
