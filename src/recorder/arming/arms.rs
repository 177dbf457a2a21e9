//! Which routes are armed, within limits that all requests share.
//!
//! Each limit is one word that is changed by exchanges, so none is exceeded, whatever the order of the
//! threads. A route counts as armed from before its first request until after its last one.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::primitives::turns::Places;
use crate::recorder::armed::{ArmedRoute, ArmingStatistics};
use crate::recorder::baseline::ENOUGH;

use super::Arming;
use super::minute::Minute;
use super::watch::{Usual, Watch};

/// A look takes some microseconds.
const REFRESH_NS: u64 = 1_000_000_000;

/// The limits of all routes, and what was refused.
#[derive(Debug)]
pub(in crate::recorder) struct Arms {
    settings: Arming,
    /// The length of the baseline's window.
    window_ns: u64,
    /// Those of the armed routes.
    routes: Places,
    /// Those of the armed requests that are in flight, or wait for their reports.
    requests: Places,
    minute: Minute,
    counted: Counted,
}

/// What [`ArmingStatistics`] shows.
#[derive(Debug, Default)]
struct Counted {
    routes: AtomicU64,
    requests: AtomicU64,
    too_many_routes: AtomicU64,
    too_many_requests: AtomicU64,
    too_soon: AtomicU64,
    too_late: AtomicU64,
}

fn one_more(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// The place of an armed request, until it is [given back](Arms::give_back).
#[derive(Debug)]
#[must_use = "it is given back"]
pub(in crate::recorder) struct ArmedPlace(());

impl Arms {
    pub(in crate::recorder) fn new(settings: Arming, window_ns: u64) -> Self {
        Self {
            settings,
            window_ns,
            routes: Places::new(),
            requests: Places::new(),
            minute: Minute::default(),
            counted: Counted::default(),
        }
    }

    /// Returns whether routes are armed by themselves.
    #[cfg(feature = "web")]
    pub(in crate::recorder) fn is_automatic(&self) -> bool {
        self.settings.is_automatic()
    }

    /// Returns whether a route may be armed.
    #[inline]
    pub(in crate::recorder) fn are_any(&self) -> bool {
        self.routes.are_taken()
    }

    /// Takes the turn of one more request of a route; `None` if the route is not armed or a limit is reached.
    pub(super) fn take(&self, watch: &Watch, now: u64) -> Option<ArmedPlace> {
        if !self.is_armed(watch, now) {
            return None;
        }
        let most = self.settings.requests_per_minute;
        if !self.requests.take(most) {
            one_more(&self.counted.too_many_requests);
            return None;
        }
        let Some(minute) = self.minute.take(now, most) else {
            self.requests.give_back();
            one_more(&self.counted.too_many_requests);
            return None;
        };
        if !watch.turns.take(&self.routes) {
            // Other threads have taken the last ones.
            self.minute.give_back(minute);
            self.requests.give_back();
            return None;
        }
        one_more(&self.counted.requests);
        Some(ArmedPlace(()))
    }

    /// Notes that an armed request needs no more memory.
    pub(in crate::recorder) fn give_back(&self, _: ArmedPlace) {
        self.requests.give_back();
    }

    /// Notes that a request of an armed route got its name too late.
    pub(super) fn note_late(&self, watch: &Watch, now: u64) {
        if self.is_armed(watch, now) {
            one_more(&self.counted.too_late);
        }
    }

    /// Returns whether a route is armed. One whose time is over is no longer.
    fn is_armed(&self, watch: &Watch, now: u64) -> bool {
        let left = watch.turns.left();
        if left > 0 && watch.armed_until.load(Relaxed) <= now {
            watch.turns.end(left, &self.routes);
            return false;
        }
        left > 0
    }

    /// Arms a route by hand, or begins again with one that is armed. `others` are all routes. Returns `false`
    /// if as many routes are armed as may be.
    pub(super) fn arm<'a>(
        &self,
        watch: &Watch,
        now: u64,
        others: impl Iterator<Item = &'a Watch>,
    ) -> bool {
        let requests = self.settings.requests;
        if requests == 0 {
            return false;
        }
        watch.armed_until.store(u64::MAX, Relaxed);
        watch.turns.begin_again(requests) || self.begin(watch, now, others)
    }

    fn begin<'a>(
        &self,
        watch: &Watch,
        now: u64,
        mut others: impl Iterator<Item = &'a Watch>,
    ) -> bool {
        let most = self.settings.routes;
        let is_over = |it: &Watch| it.turns.left() > 0 && !self.is_armed(it, now);
        // Those whose time is over have their place until somebody looks.
        let has_place = self.routes.take(most) || (others.any(is_over) && self.routes.take(most));
        if !has_place {
            one_more(&self.counted.too_many_routes);
            return false;
        }
        if watch.turns.begin(self.settings.requests, &self.routes) {
            one_more(&self.counted.routes);
        }
        true
    }

    /// Looks at a request that has ended, before it is in the baseline. If it is beyond what is usual, its
    /// route is armed. `usual` reads the baseline, and returns `None` if it can't do so now.
    #[inline]
    pub(super) fn watch<'a, Others: Iterator<Item = &'a Watch>>(
        &self,
        watch: &Watch,
        total: &Counts,
        now: u64,
        usual: impl FnOnce() -> Option<Usual>,
        others: impl FnOnce() -> Others,
    ) {
        if let Some(percentile) = self.settings.percentile
            && watch.calls_for_a_look(total, now, self.refresh_ns())
        {
            self.look(watch, total, now, percentile, usual, others);
        }
    }

    #[cold]
    fn look<'a, Others: Iterator<Item = &'a Watch>>(
        &self,
        watch: &Watch,
        total: &Counts,
        now: u64,
        percentile: u8,
        usual: impl FnOnce() -> Option<Usual>,
        others: impl FnOnce() -> Others,
    ) {
        if self.settings.requests == 0 || self.is_armed(watch, now) {
            return;
        }
        if watch.is_resting(now, self.window_ns) {
            if watch.exceeded_by(total) {
                one_more(&self.counted.too_soon);
            }
            return;
        }
        if !watch.is_fresh(now, self.refresh_ns()) {
            let Some(usual) = usual() else { return };
            let is_enough = usual.requests >= ENOUGH;
            watch.learn(Some(&usual).filter(|_| is_enough), percentile, now);
        }
        if !watch.exceeded_by(total) {
            return;
        }
        if let Some(before) = watch.rest(now, self.window_ns) {
            let until = now.saturating_add(self.window_ns);
            watch.armed_until.store(until, Relaxed);
            if !self.begin(watch, now, others()) {
                watch.end_rest(before);
            }
        }
    }

    /// After this time the baseline is looked at again, as its level may have fallen.
    fn refresh_ns(&self) -> u64 {
        (self.window_ns / 8).min(REFRESH_NS)
    }

    /// Returns how many of how many requests of a route have begun; `None` if it is not armed.
    pub(super) fn progress(&self, watch: &Watch, now: u64) -> Option<ArmedRoute> {
        let of = self.settings.requests;
        let is_armed = self.is_armed(watch, now);
        is_armed.then(|| ArmedRoute {
            begun: of.saturating_sub(watch.turns.left()),
            of,
        })
    }

    pub(in crate::recorder) fn statistics(&self) -> ArmingStatistics {
        let Counted {
            routes,
            requests,
            too_many_routes,
            too_many_requests,
            too_soon,
            too_late,
        } = &self.counted;
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        ArmingStatistics {
            routes: count(routes),
            requests: count(requests),
            too_many_routes: count(too_many_routes),
            too_many_requests: count(too_many_requests),
            too_soon: count(too_soon),
            too_late: count(too_late),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MINUTE: u64 = 61 * SECOND;

    fn takes(arms: &Arms, watch: &Watch, now: u64, times: u32) -> usize {
        (0..times).filter_map(|_| arms.take(watch, now)).count()
    }

    #[test]
    fn no_more_are_in_flight_than_in_a_minute() {
        let arms = Arms::new(Arming::by_hand().requests_per_minute(3), MINUTE);
        let watch = Watch::default();
        assert!(arms.arm(&watch, SECOND, [].into_iter()));
        assert_eq!(takes(&arms, &watch, SECOND, 2), 2);
        assert_eq!(takes(&arms, &watch, SECOND + MINUTE, 2), 1);
        arms.give_back(ArmedPlace(()));
        arms.give_back(ArmedPlace(()));
        assert_eq!(takes(&arms, &watch, SECOND + MINUTE, 3), 2);
        assert_eq!(takes(&arms, &watch, SECOND + 2 * MINUTE, 3), 0);
        let counted = arms.statistics();
        assert_eq!((counted.requests, counted.too_many_requests), (5, 5));
        let begun = arms.progress(&watch, SECOND).map(|it| (it.begun, it.of));
        assert_eq!(begun, Some((5, 20)));
    }

    #[test]
    fn a_route_that_was_armed_by_itself_is_so_for_a_window_at_most() {
        let arms = Arms::new(Arming::default().routes(1), MINUTE);
        let (rare, other) = (Watch::default(), Watch::default());
        let mut total = Counts::ZERO;
        total.allocations = 9;
        let usual = || Some(Usual::of(20, 1, 1));
        let watch =
            |it: &Watch, now| arms.watch(it, &total, now, usual, || [&rare, &other].into_iter());
        let are_armed = |now| [&rare, &other].map(|it| arms.progress(it, now).is_some());
        watch(&rare, SECOND);
        assert_eq!(takes(&arms, &rare, SECOND, 1), 1);
        watch(&other, 2 * SECOND);
        assert_eq!(are_armed(2 * SECOND), [true, false]);
        assert_eq!(arms.statistics().too_many_routes, 1);
        watch(&other, SECOND + MINUTE);
        assert_eq!(are_armed(SECOND + MINUTE), [false, true]);
        assert_eq!(takes(&arms, &rare, SECOND + MINUTE, 1), 0);
        assert_eq!(takes(&arms, &other, SECOND + MINUTE, 30), 20);
        assert!(!arms.are_any());
        assert!(arms.arm(&rare, 0, [].into_iter()));
        assert_eq!(
            takes(&arms, &rare, u64::MAX - 1, 30),
            20,
            "by hand it has no end"
        );
    }

    #[test]
    fn it_waits_for_the_next_request_if_there_is_another_reader() {
        let arms = Arms::new(Arming::default(), MINUTE);
        let (watch, mut total) = (Watch::default(), Counts::ZERO);
        total.bytes_allocated = 9;
        for (usual, is_armed) in [(None, false), (Some(Usual::of(20, 1, 1)), true)] {
            arms.watch(&watch, &total, SECOND, || usual, || [].into_iter());
            assert_eq!(arms.are_any(), is_armed);
        }
    }
}
