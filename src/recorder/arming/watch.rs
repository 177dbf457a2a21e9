//! What arming knows of one route: when its requests are beyond the usual, and how many more are armed.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::primitives::turns::Turns;
use crate::recorder::baseline::Baseline;
use crate::recorder::sketch::Sketch;

/// How long what was seen at a look is as good as new, so that a route whose requests are all heavy looks
/// seldom.
const FRESH_NS: u64 = 100_000_000;

/// The state of a route. The limits are copies for the thread of each request: of another moment, each of
/// them, does no harm.
#[derive(Debug)]
pub(in crate::recorder) struct Watch {
    /// Requests that have more are beyond the usual.
    allocates: AtomicU64,
    bytes: AtomicU64,
    /// When the baseline was looked at, in nanoseconds; 0 if it had too few requests.
    looked_at: AtomicU64,
    /// It is not armed by itself until this moment.
    rests_until: AtomicU64,
    /// How many more of its requests are armed.
    pub(super) turns: Turns,
    /// Until when it is armed.
    pub(super) armed_until: AtomicU64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            allocates: AtomicU64::new(u64::MAX),
            bytes: AtomicU64::new(u64::MAX),
            looked_at: AtomicU64::new(0),
            rests_until: AtomicU64::new(0),
            turns: Turns::new(),
            armed_until: AtomicU64::new(0),
        }
    }
}

/// The figures of a route's recent requests.
#[derive(Debug, Default)]
pub(super) struct Usual {
    pub(super) requests: u64,
    allocates: Sketch,
    bytes: Sketch,
}

impl Usual {
    /// Adds the figures of both windows of a baseline.
    pub(super) fn add(&mut self, baseline: &Baseline) {
        for window in baseline.requests() {
            self.requests += window.count;
            self.allocates.add(&window.allocates);
            self.bytes.add(&window.bytes);
        }
    }

    /// Returns the figures of requests that are all equal.
    #[cfg(test)]
    pub(super) fn of(requests: u64, allocates: u64, bytes: u64) -> Self {
        let mut usual = Self {
            requests,
            ..Self::default()
        };
        for _ in 0..requests {
            let unlimited = &mut crate::recorder::quota::Quota::unlimited();
            usual.allocates.record(allocates, unlimited);
            usual.bytes.record(bytes, unlimited);
        }
        usual
    }

    /// Returns the limits of both figures. A figure whose percentiles are not known has none.
    fn limits(&self, percentile: u8) -> [u64; 2] {
        let limit = |sketch: &Sketch| {
            let twice = sketch.at(50)?.saturating_mul(2);
            // Above the percentile, and at least twice the median, as figures that a report marks.
            Some(twice.saturating_sub(1).max(sketch.at(percentile.into())?))
        };
        [&self.allocates, &self.bytes].map(|sketch| limit(sketch).unwrap_or(u64::MAX))
    }
}

impl Watch {
    /// Returns whether the baseline must be looked at: the request may be beyond it, or it was last looked at
    /// before so many nanoseconds.
    #[inline]
    pub(super) fn calls_for_a_look(&self, total: &Counts, now: u64, refresh_ns: u64) -> bool {
        self.exceeded_by(total) || now.wrapping_sub(self.looked_at.load(Relaxed)) >= refresh_ns
    }

    /// Returns whether the request is beyond the usual, as far as that is known.
    #[inline]
    pub(super) fn exceeded_by(&self, total: &Counts) -> bool {
        total.allocates() > self.allocates.load(Relaxed)
            || total.bytes_allocated > self.bytes.load(Relaxed)
    }

    pub(super) fn is_fresh(&self, now: u64, refresh_ns: u64) -> bool {
        now.wrapping_sub(self.looked_at.load(Relaxed)) < FRESH_NS.min(refresh_ns)
    }

    /// Takes the limits from what is usual; `None` if there are too few requests.
    pub(super) fn learn(&self, usual: Option<&Usual>, percentile: u8, now: u64) {
        let limits = usual.map(|usual| usual.limits(percentile));
        let [allocates, bytes] = limits.unwrap_or([u64::MAX; 2]);
        self.allocates.store(allocates, Relaxed);
        self.bytes.store(bytes, Relaxed);
        self.looked_at.store(limits.map_or(0, |_| now), Relaxed);
    }

    /// Returns whether it was armed by itself within the last so many nanoseconds.
    pub(super) fn is_resting(&self, now: u64, rest_ns: u64) -> bool {
        is_before(now, self.rests_until.load(Relaxed), rest_ns)
    }

    /// Begins a rest of so many nanoseconds. Returns the end of the one before; `None` if that is not over, or
    /// another thread has begun one.
    pub(super) fn rest(&self, now: u64, rest_ns: u64) -> Option<u64> {
        let before = self.rests_until.load(Relaxed);
        if is_before(now, before, rest_ns) {
            return None;
        }
        let until = now.saturating_add(rest_ns);
        let rests_until = &self.rests_until;
        let begun = rests_until.compare_exchange(before, until, Relaxed, Relaxed);
        begun.ok()
    }

    /// Ends a rest that this thread has begun.
    pub(super) fn end_rest(&self, before: u64) {
        self.rests_until.store(before, Relaxed);
    }
}

/// Returns whether `now` is before the end of something that takes so long. If it is too long before, the
/// clock was set back.
fn is_before(now: u64, end: u64, most_ns: u64) -> bool {
    (1..=most_ns).contains(&end.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::quota::Quota;

    fn counts(allocations: u64, bytes_allocated: u64) -> Counts {
        let mut counts = Counts::ZERO;
        (counts.allocations, counts.bytes_allocated) = (allocations, bytes_allocated);
        counts
    }

    fn usual(requests: u64, figures: &[(u64, u64)]) -> Usual {
        let mut usual = Usual {
            requests,
            ..Usual::default()
        };
        for (allocates, bytes) in figures {
            usual.allocates.record(*allocates, &mut Quota::unlimited());
            usual.bytes.record(*bytes, &mut Quota::unlimited());
        }
        usual
    }

    #[test]
    fn beyond_the_percentile_and_twice_the_median() {
        let watch = Watch::default();
        assert!(!watch.exceeded_by(&counts(u64::MAX, u64::MAX)));
        let figures = [(10, 1000), (10, 1000), (10, 1000), (30, 1000)];
        watch.learn(Some(&usual(4, &figures)), 75, 1);
        for (allocates, bytes, exceeds) in [
            (19, 1000, false),
            (20, 1000, true),
            (0, 1999, false),
            (0, 2000, true),
        ] {
            assert_eq!(watch.exceeded_by(&counts(allocates, bytes)), exceeds);
        }
        watch.learn(Some(&usual(4, &figures)), 100, 1);
        assert!(!watch.exceeded_by(&counts(30, 0)));
        assert!(watch.exceeded_by(&counts(31, 0)));
        watch.learn(None, 99, 1);
        assert!(!watch.exceeded_by(&counts(31, 2000)));
    }

    #[test]
    fn a_figure_that_is_not_known_has_no_limit() {
        let watch = Watch::default();
        let mut usual = usual(1, &[(10, 1000)]);
        usual.bytes = Sketch::default();
        watch.learn(Some(&usual), 99, 1);
        assert!(!watch.exceeded_by(&counts(19, u64::MAX)));
        assert!(watch.exceeded_by(&counts(20, 0)));
    }

    #[test]
    fn it_looks_if_a_request_exceeds_or_some_time_has_passed() {
        let watch = Watch::default();
        let (little, much) = (counts(1, 1), counts(9, 9));
        assert!(watch.calls_for_a_look(&little, 1000, 500));
        watch.learn(Some(&usual(1, &[(2, 2)])), 99, 1000);
        assert!(watch.is_fresh(1499, 500) && !watch.is_fresh(1500, 500));
        assert!(!watch.calls_for_a_look(&little, 1499, 500));
        assert!(watch.calls_for_a_look(&much, 1499, 500));
        assert!(watch.calls_for_a_look(&little, 1500, 500));
        assert!(
            watch.calls_for_a_look(&little, 999, 500),
            "a clock set back"
        );
    }

    #[test]
    fn it_rests_once_at_a_time() {
        let watch = Watch::default();
        assert_eq!(watch.rest(1000, 100), Some(0));
        assert_eq!(
            (watch.rest(1099, 100), watch.is_resting(1099, 100)),
            (None, true)
        );
        assert_eq!(watch.rest(1100, 100), Some(1100));
        watch.end_rest(1100);
        assert!(!watch.is_resting(1100, 100));
        assert_eq!(watch.rest(1150, 100), Some(1100));
        assert!(!watch.is_resting(7, 100), "a clock set back");
    }
}
