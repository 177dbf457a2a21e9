//! The end of a request: its figures go into the baseline, and the policy decides whether it is kept.

use std::time::Duration;

use crate::primitives::clock;
use crate::primitives::fallible::Boxed;
use crate::read::footprint::Footprint;
use crate::read::summary::Summary;
#[cfg(feature = "sites")]
use crate::recorder::arming;
use crate::recorder::finished::Finished;
use crate::recorder::policy::{Ended, Reason, Verdict};
use crate::recorder::queue::Refusal;
use crate::recorder::route::Route;
use crate::recorder::shared::Shared;
use crate::recorder::stripe::{Ending, Fate, ToAdd};
use crate::recorder::typical::Recent;
use crate::report::Outcome;
use crate::store::state::OutcomeKind;

use super::Recording;

/// Ends a request. If it is kept, `describe` labels it before. Returns whether it is kept.
pub(super) fn end(recording: &mut Recording, describe: impl FnOnce(&mut Recording)) -> bool {
    recording.is_over = true;
    let now = clock::ticks();
    let shared = &*recording.shared;
    let stripes = &shared.stripes;
    let here = stripes.here();
    // A rule of the program may end another request meanwhile; that one finds none.
    let mut taken = match stripes.take_summary(here) {
        Some(spare) => Ok(spare),
        None => Boxed::new(Summary::new()),
    };
    let summary = match &mut taken {
        Ok(boxed) => &mut **boxed,
        Err(unboxed) => unboxed,
    };
    summary.read(&recording.trace);
    let wall_ns = clock::nanoseconds(now.saturating_sub(recording.started));
    let now = clock::nanoseconds(now);
    let set = recording.outcome.take();
    let outcome = set.unwrap_or_else(|| outcome_of(summary, recording.was_panicking));
    let ending = Ending::of(&outcome);
    let route = shared.routes.at(recording.route);
    let mut verdict = None;
    if shared.policy.may_apply(&outcome, wall_ns) {
        verdict = judge(recording, route, summary, &outcome, wall_ns);
    }
    #[cfg(feature = "sites")]
    let is_armed = recording.armed.is_some();
    #[cfg(not(feature = "sites"))]
    let is_armed = false;
    // An armed request takes longer by what it records, and is kept in any case.
    if is_armed {
        Verdict::keep(&mut verdict, Reason::Armed);
    } else {
        #[cfg(feature = "sites")]
        arming::watch(shared, route, &summary.total, now);
        if route.slowest.admits(wall_ns, now) {
            Verdict::keep(&mut verdict, Reason::Slowest);
        }
    }
    let bytes = summary.total.bytes_allocated;
    if bytes > 0 && route.heaviest.admits(bytes, now) {
        Verdict::keep(&mut verdict, Reason::Heaviest);
    }
    drop(recording.active.and_then(|active| stripes.remove(active)));
    // `None` if this process was forked at the wrong moment: then nothing is counted.
    if let Some(mut aggregates) = stripes.aggregates(here) {
        #[cfg(feature = "metrics")]
        aggregates.measure(recording.route, wall_ns, &summary.total);
        if let Some(ToAdd {
            baseline,
            minute,
            quota,
        }) = aggregates.of(recording.route)
        {
            baseline.add(summary, wall_ns, &outcome, shared.window(now), quota);
            let total = &summary.total;
            minute.add(now, wall_ns, &outcome, total, &route.minutes, quota);
        } else {
            aggregates.lose(summary.count());
        }
        if verdict.is_none() {
            stripes.count(&mut aggregates, recording.route, Fate::NotKept, ending);
        }
    }
    let allocates = summary.total.allocates();
    if let Ok(boxed) = taken {
        stripes.give_summary(here, boxed);
    }
    // An armed request is none, as it takes longer.
    let is_typical = !is_armed
        && outcome == Outcome::Ok
        && route.typical.is_wanted(now)
        && is_typical(shared, route, [wall_ns, allocates], now);
    if verdict.is_none() && !is_typical {
        return false;
    }
    // The request is in the baseline before its report is built.
    describe(recording);
    let is_kept = verdict.is_some();
    let handed_over = hand_over(recording, wall_ns, outcome, verdict, is_typical);
    if !is_kept {
        // If there is no room for it, there will be another typical one.
        return false;
    }
    let fate = match handed_over {
        Ok(()) => Fate::Kept,
        Err(why) => Fate::Dropped(why),
    };
    let stripes = &recording.shared.stripes;
    if let Some(mut aggregates) = stripes.aggregates(here) {
        stripes.count(&mut aggregates, recording.route, fate, ending);
    }
    matches!(fate, Fate::Kept)
}

/// Decides by the rules that look at one request alone.
#[inline(never)]
fn judge(
    recording: &Recording,
    route: &Route,
    summary: &Summary,
    outcome: &Outcome,
    wall_ns: u64,
) -> Option<Verdict> {
    let shared = &*recording.shared;
    let id = { shared.policy.asks() }.then(|| recording.current_id());
    let ended = Ended {
        name: &route.name,
        id: id.as_ref().and_then(Option::as_deref),
        wall: Duration::from_nanos(wall_ns),
        outcome,
        total: shared.is_counted.then_some(summary.total),
        peak_bytes: shared.is_counted.then(|| summary.peak_bytes()),
        calls: summary.count(),
        status: recording.status,
        kept_downstream: recording.trace.is_kept_downstream(),
        sampled_upstream: recording.trace.is_sampled_upstream(),
    };
    shared.policy.judge(&ended, &shared.policy_panics)
}

/// Returns whether a request stands for the others of its route.
#[cold]
fn is_typical(shared: &Shared, route: &Route, figures: [u64; 2], now: u64) -> bool {
    let recent = || {
        let window = shared.window(now);
        shared
            .stripes
            .try_sum_route(route.number, window, Recent::add)
    };
    route.typical.choose(figures, now, shared.window_ns, recent)
}

/// Hands a request over to the thread that builds reports, or returns why it is dropped.
fn hand_over(
    recording: &mut Recording,
    wall_ns: u64,
    outcome: Outcome,
    verdict: Option<Verdict>,
    is_typical: bool,
) -> Result<(), Refusal> {
    if verdict.as_ref().is_some_and(|it| it.reasons.is_empty()) {
        // There was no memory for the reason.
        return Err(Refusal::NoMemory);
    }
    let finished = Finished {
        trace: recording.trace.clone(),
        route: recording.route,
        id: recording.current_id(),
        labels: std::mem::take(&mut recording.labels),
        footprint: Footprint::of(&recording.trace),
        wall: Duration::from_nanos(wall_ns),
        outcome,
        is_general: recording.is_general,
        reasons: verdict.unwrap_or_default().reasons,
        is_typical,
        #[cfg(feature = "sites")]
        armed: recording.armed.take(),
    };
    let bytes = finished.bytes();
    let pushed = recording.shared.queue.push(finished, bytes);
    pushed.map_err(|(refused, why)| {
        // Otherwise the recorder's thread gives it back.
        #[cfg(feature = "sites")]
        if let Some(armed) = refused.armed {
            recording.shared.arms.give_back(armed);
        }
        #[cfg(not(feature = "sites"))]
        drop(refused);
        why
    })
}

/// Returns panicked if the thread panicked, or else the outcome of the outermost calls.
#[inline]
fn outcome_of(summary: &Summary, was_panicking: bool) -> Outcome {
    if std::thread::panicking() && !was_panicking {
        return Outcome::Panicked;
    }
    match summary.end() {
        OutcomeKind::Running | OutcomeKind::Ok => Outcome::Ok,
        OutcomeKind::Failed => Outcome::Failed(String::new()),
        OutcomeKind::Panicked => Outcome::Panicked,
        OutcomeKind::Cancelled => Outcome::Cancelled,
    }
}
