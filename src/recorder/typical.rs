//! Which requests stand for the others of their name.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::baseline::{Baseline, ENOUGH};
use super::process_lock::ProcessLock;
use super::sketch::Sketch;

/// How long medians are as good as new. To compute them takes some microseconds.
const FRESH_NS: u64 = 1_000_000_000;
/// A figure is near a median if it differs by at most this part of it.
const NEAR: u64 = 8;

/// Chooses a typical request of one name now and then: one near the medians of the baseline.
pub(super) struct Typical {
    /// No other one is wanted before this moment of the recorder's clock.
    wanted_from: AtomicU64,
    looked: ProcessLock<Looked>,
}

/// What the baseline said when it was looked at.
#[derive(Debug, Default)]
struct Looked {
    /// When it was, in nanoseconds; 0 for never.
    at_ns: u64,
    /// The median of the wall times, in nanoseconds, and that of the allocations.
    medians: Option<[u64; 2]>,
}

/// The figures of a name's recent requests.
#[derive(Debug, Default)]
pub(super) struct Recent {
    requests: u64,
    wall: Sketch,
    allocates: Sketch,
}

impl Recent {
    /// Adds the figures of both windows of a baseline.
    pub(super) fn add(&mut self, baseline: &Baseline) {
        for window in baseline.requests() {
            self.requests += window.count;
            self.wall.add(&window.wall);
            self.allocates.add(&window.allocates);
        }
    }

    fn medians(&self) -> Option<[u64; 2]> {
        let is_enough = self.requests >= ENOUGH;
        let medians = || Some([self.wall.at(50)?, self.allocates.at(50)?]);
        is_enough.then(medians).flatten()
    }
}

impl Default for Typical {
    fn default() -> Self {
        Self {
            wanted_from: AtomicU64::new(0),
            looked: ProcessLock::new(Looked::default()),
        }
    }
}

impl Typical {
    /// Returns whether a request that ends at this moment may be chosen.
    #[inline]
    pub(super) fn is_wanted(&self, now_ns: u64) -> bool {
        now_ns >= self.wanted_from.load(Relaxed)
    }

    /// Returns whether this request is chosen: then no other one is for so many nanoseconds. `recent` reads the
    /// baseline, at most once a second; `None` if it can't be read now.
    pub(super) fn choose(
        &self,
        figures: [u64; 2],
        now_ns: u64,
        rest_ns: u64,
        recent: impl FnOnce() -> Option<Recent>,
    ) -> bool {
        // Whoever holds the lock chooses or looks at this moment.
        let Some(mut looked) = self.looked.try_take() else {
            return false;
        };
        if now_ns.wrapping_sub(looked.at_ns) >= FRESH_NS || looked.at_ns == 0 {
            looked.at_ns = now_ns;
            if let Some(recent) = recent() {
                looked.medians = recent.medians();
            }
        }
        let Some(medians) = looked.medians else {
            // Until the next look.
            self.wanted_from
                .store(looked.at_ns.saturating_add(FRESH_NS), Relaxed);
            return false;
        };
        let is_near = |(figure, median): (u64, u64)| figure.abs_diff(median) <= median / NEAR;
        let is_chosen = self.is_wanted(now_ns) && figures.into_iter().zip(medians).all(is_near);
        if is_chosen {
            let until = now_ns.saturating_add(rest_ns.max(FRESH_NS));
            self.wanted_from.store(until, Relaxed);
        }
        is_chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::quota::Quota;

    const SECOND: u64 = 1_000_000_000;

    fn recent(requests: u64, wall: u64, allocates: u64) -> Recent {
        let mut recent = Recent {
            requests,
            ..Recent::default()
        };
        for _ in 0..requests {
            recent.wall.record(wall, &mut Quota::unlimited());
            recent.allocates.record(allocates, &mut Quota::unlimited());
        }
        recent
    }

    #[test]
    fn one_near_both_medians_is_chosen_and_then_none_for_a_while() {
        let typical = Typical::default();
        let now = 5 * SECOND;
        let choose = |figures, now| {
            let usual = || Some(recent(20, 800, 16));
            typical.is_wanted(now) && typical.choose(figures, now, 300 * SECOND, usual)
        };
        for figures in [[699, 16], [901, 16], [800, 13], [800, 19]] {
            assert!(!choose(figures, now), "{figures:?}");
        }
        assert!(choose([900, 14], now));
        assert!(!choose([800, 16], now + 300 * SECOND - 1));
        assert!(choose([700, 18], now + 300 * SECOND));
    }

    #[test]
    fn the_baseline_is_read_at_most_once_a_second() {
        let typical = Typical::default();
        let mut reads = Vec::new();
        for now in [SECOND, SECOND + 1, 2 * SECOND - 1, 2 * SECOND, 3 * SECOND] {
            // Too few requests, then none that can be read, then enough.
            let requests = 19 + reads.len() as u64;
            let chosen = typical.choose([7, 7], now, 0, || {
                reads.push(now);
                (now != 2 * SECOND).then(|| recent(requests, 7, 7))
            });
            assert_eq!(chosen, now == 3 * SECOND);
        }
        assert_eq!(reads, [SECOND, 2 * SECOND, 3 * SECOND]);
        // A window of a millisecond: a second nevertheless.
        assert!(!typical.is_wanted(4 * SECOND - 1) && typical.is_wanted(4 * SECOND));
    }
}
