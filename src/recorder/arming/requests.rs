//! Arming in the course of a request: when it gets its name, and when it ends.

use alloc_counter::Counts;

use crate::primitives::clock;
use crate::recorder::armed::ArmedRoute;
use crate::recorder::route::Route;
use crate::recorder::shared::Shared;
use crate::recorder::worker::has_memory;
use crate::store::trace::Trace;

use super::arms::ArmedPlace;
use super::watch::Usual;

/// Records which lines allocate in a trace, if its route is armed and nothing ran in it yet. `now` is in
/// ticks. Returns the place of an armed request that it takes.
#[inline]
pub(in crate::recorder) fn arm(
    shared: &Shared,
    route: usize,
    trace: &Trace,
    now: u64,
) -> Option<ArmedPlace> {
    if shared.arms.are_any() {
        arm_if_its_turn(shared, route, trace, now)
    } else {
        None
    }
}

#[cold]
#[inline(never)]
fn arm_if_its_turn(shared: &Shared, route: usize, trace: &Trace, now: u64) -> Option<ArmedPlace> {
    let watch = &shared.routes.at(route).watch;
    if watch.turns.left() == 0 || trace.is_empty() {
        return None;
    }
    let now = clock::nanoseconds(now);
    if trace.has_begun() {
        shared.arms.note_late(watch, now);
        return None;
    }
    // Sites take memory that can't be requested fallibly.
    if !has_memory(0) {
        return None;
    }
    let place = shared.arms.take(watch, now)?;
    shared.traces.record_exact_sites(trace);
    Some(place)
}

/// Looks at a request that has ended and is not in the baseline yet. If it is beyond what is usual, its
/// route is armed. `now` is in nanoseconds.
#[inline]
pub(in crate::recorder) fn watch(shared: &Shared, route: &Route, total: &Counts, now: u64) {
    let usual = || usual(shared, route, now);
    let others = || shared.routes.iter().map(|other| &other.watch);
    shared.arms.watch(&route.watch, total, now, usual, others);
}

/// Returns the figures of the route's recent requests; `None` if there is another reader.
fn usual(shared: &Shared, route: &Route, now: u64) -> Option<Usual> {
    let window = shared.window(now);
    shared
        .stripes
        .try_sum_route(route.number, window, Usual::add)
}

/// Returns how far the route has come if it is armed.
pub(in crate::recorder) fn progress(shared: &Shared, route: &Route) -> Option<ArmedRoute> {
    let now = clock::nanoseconds(clock::ticks());
    shared.arms.progress(&route.watch, now)
}
