//! The baseline of one name: figures of its requests in the last minutes, as a whole and by path.
//!
//! Figures are kept for two windows of time, the present one and the one before. So the baseline covers
//! at least one window's length, and figures older than two windows are forgotten.

mod paths;

use crate::read::summary::Summary;
use crate::report::Outcome;
use crate::store::callsite::Callsite;

use super::quota::Quota;
use super::sketch::Sketch;
use super::window::{CallsInWindow, RequestsInWindow};

use paths::PathTable;

/// The fewest requests that make a baseline.
pub(super) const ENOUGH: u64 = 20;

/// The baseline of the requests of one name.
#[derive(Debug)]
pub(super) struct Baseline {
    /// The number of the present window.
    window: u64,
    /// The present one, and the one before.
    requests: [RequestsInWindow; 2],
    paths: PathTable,
    /// Memory for the figures of whole requests, which the paths can't take.
    reserve: Quota,
    lost: Lost,
}

/// The number of calls for whose path or figures memory ran out: ever, and in each of the two windows.
#[derive(Debug, Default)]
struct Lost {
    ever: u64,
    recently: [u64; 2],
}

impl Lost {
    fn add(&mut self, calls: u64) {
        self.ever += calls;
        self.recently[0] += calls;
    }
}

impl Baseline {
    /// Enough for all sketches of whole requests, in both windows, with a bin for each doubling.
    pub(super) const RESERVED_BYTES: usize = 100 * Self::SKETCHES;
    const SKETCHES: usize = 8;

    pub(super) fn new(most_paths: usize) -> Self {
        Self {
            window: 0,
            requests: Default::default(),
            paths: PathTable::new(most_paths),
            reserve: Quota::new(Self::RESERVED_BYTES),
            lost: Lost::default(),
        }
    }

    /// Returns for how many paths these bytes are enough, without their bins.
    pub(super) fn most_paths(bytes: usize) -> usize {
        PathTable::most(bytes)
    }

    /// Adds a request. Adds up the calls of each path in its summary.
    pub(super) fn add(
        &mut self,
        summary: &mut Summary,
        wall_ns: u64,
        outcome: &Outcome,
        window: u64,
        quota: &mut Quota,
    ) {
        if window != self.window {
            self.turn_to(window, quota);
        }
        let [requests, _] = &mut self.requests;
        requests.count += 1;
        if *outcome != Outcome::Ok {
            requests.count_outcome(outcome);
        }
        requests.total += summary.total;
        let mut memory = Reserved {
            quota,
            reserve: &mut self.reserve,
            lost: 0,
        };
        let RequestsInWindow {
            wall,
            allocates,
            bytes,
            net_bytes,
            ..
        } = requests;
        if !wall.record_within(wall_ns) {
            memory.extend(wall, wall_ns);
        }
        let figures = [
            (allocates, summary.total.allocates()),
            (bytes, summary.total.bytes_allocated),
            (net_bytes, summary.total.net_bytes().max(0).cast_unsigned()),
        ];
        for (sketch, figure) in figures {
            if !sketch.record_like_last_within(figure) {
                memory.extend(sketch, figure);
            }
        }
        // These are of whole requests; nothing is missing from the paths.
        self.lost.ever += memory.lost;
        let lost = self.paths.add(summary.calls_mut(), quota);
        self.lost.add(summary.lost() + lost);
    }

    /// Begins the given window, if it is a new one, and forgets what is older than the one before.
    pub(super) fn turn_to(&mut self, window: u64, quota: &mut Quota) {
        // A thread may come late, with an earlier window. If the window is far back, the clock was set
        // back, and a new window begins.
        if (window..window.saturating_add(3)).contains(&self.window) {
            return;
        }
        let is_next = window == self.window + 1;
        self.window = window;
        let before = self.bytes();
        self.requests.swap(0, 1);
        self.requests[0] = RequestsInWindow::default();
        self.lost.recently = [0, self.lost.recently[0]];
        if !is_next {
            self.requests[1] = RequestsInWindow::default();
            self.lost.recently[1] = 0;
        }
        self.paths.turn(is_next);
        let free = before.saturating_sub(self.bytes());
        // The reserve is refilled first.
        let owed = (Self::RESERVED_BYTES - self.reserve.left()).min(free);
        self.reserve.give_back(owed);
        quota.give_back(free - owed);
    }

    fn bytes(&self) -> usize {
        let requests = self.requests.iter().map(RequestsInWindow::bytes);
        self.paths.bytes() + requests.sum::<usize>()
    }

    /// Returns for how many calls memory ran out: for their path or for some of their figures.
    pub(super) fn lost(&self) -> u64 {
        self.lost.ever
    }

    /// Returns whether no call of either window is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.lost.recently == [0, 0]
    }

    /// Returns the figures of whole requests, of both windows.
    pub(super) fn requests(&self) -> &[RequestsInWindow; 2] {
        &self.requests
    }

    /// Returns the paths: the callsite, the number of the path that leads there, and the calls of both
    /// windows.
    pub(super) fn paths(
        &self,
    ) -> impl Iterator<
        Item = (
            Option<&'static Callsite>,
            Option<usize>,
            &[CallsInWindow; 2],
        ),
    > {
        let nodes = self.paths.iter();
        nodes.map(|node| (Callsite::get(node.callsite), node.parent(), &node.windows))
    }
}

/// Memory for the figures of whole requests: what all may take, and then what is reserved for them.
struct Reserved<'a> {
    quota: &'a mut Quota,
    reserve: &'a mut Quota,
    /// The number of figures without memory.
    lost: u64,
}

impl Reserved<'_> {
    /// Counts a value for whose bin memory must be taken.
    #[cold]
    fn extend(&mut self, sketch: &mut Sketch, value: u64) {
        const EACH: usize = Baseline::RESERVED_BYTES / Baseline::SKETCHES;
        let share = EACH.saturating_sub(sketch.bytes());
        let fits = { &mut *self.quota }
            .with_reserve(self.reserve, share, |quota| sketch.extend(value, quota));
        self.lost += u64::from(!fits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recent_is_of_this_window_and_the_one_before() {
        let mut baseline = Baseline::new(0);
        let mut quota = Quota::new(10_000);
        let mut recent = |window| {
            let (mut summary, ok) = (Summary::new(), Outcome::Ok);
            baseline.add(&mut summary, 1000, &ok, window, &mut quota);
            baseline.requests().clone().map(|it| it.count)
        };
        assert_eq!(recent(10), [1, 0]);
        assert_eq!(recent(10), [2, 0]);
        assert_eq!(recent(11), [1, 2]);
        // A thread that comes late.
        assert_eq!(recent(10), [2, 2]);
        assert_eq!(recent(13), [1, 0]);
        // A clock that was set back.
        assert_eq!(recent(7), [1, 0]);
        assert_eq!(recent(8), [1, 1]);
    }

    #[test]
    fn the_reserve_is_for_whole_requests() {
        let mut baseline = Baseline::new(0);
        let mut quota = Quota::default();
        let mut summary = Summary::new();
        let mut number: u64 = 1;
        for window in 1..=6 {
            for _ in 0..2000 {
                number = number
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let figure = |bits: u32| (16 << (number >> 60)) + (number << bits >> 44);
                summary.total.allocations = figure(3) >> 8;
                summary.total.bytes_allocated = figure(9);
                summary.total.bytes_deallocated = figure(21);
                let wall = figure(15);
                let ok = Outcome::Ok;
                baseline.add(&mut summary, wall, &ok, window, &mut quota);
            }
            for requests in baseline.requests().iter().filter(|it| it.count > 0) {
                for sketch in [&requests.wall, &requests.bytes, &requests.net_bytes] {
                    assert!(sketch.percentiles().is_some(), "in window {window}");
                }
                let bins = requests.allocates.bins();
                let counted: u64 = bins.iter().map(|(.., count)| count).sum();
                assert_eq!(counted, requests.count);
            }
        }
        assert_eq!((quota.left(), baseline.lost()), (0, 0));
        let used: usize = baseline.requests.iter().map(RequestsInWindow::bytes).sum();
        assert_eq!(baseline.reserve.left(), Baseline::RESERVED_BYTES - used);
    }
}
