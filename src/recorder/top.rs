//! The highest figures of one name's requests in a window of time: the times of the slowest, the bytes
//! of the heaviest.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::report::duration::nanoseconds;

use super::process_lock::ProcessLock;

/// How many requests of each name are kept in each window of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extremes {
    pub(super) count: usize,
    pub(super) window: Duration,
}

impl Extremes {
    pub(super) const NONE: Self = Self {
        count: 0,
        window: Duration::ZERO,
    };
}

const MOST: usize = 64;

/// The highest figures of a window of time.
pub(super) struct Top {
    count: usize,
    /// In nanoseconds.
    window: u64,
    /// A figure that is not above this can't be among them. Without the lock it is only a hint: another
    /// thread may be changing it.
    threshold: AtomicU64,
    /// The end of the window, in the clock's nanoseconds.
    end: AtomicU64,
    figures: ProcessLock<Vec<u64>>,
}

impl Top {
    /// Makes an empty one; `None` if there is no memory.
    pub(super) fn new(extremes: Extremes) -> Option<Self> {
        let count = extremes.count.min(MOST);
        let mut figures = Vec::new();
        figures.try_reserve_exact(count).ok()?;
        Some(Self {
            count,
            window: nanoseconds(extremes.window.max(Duration::from_millis(1))),
            threshold: AtomicU64::new(0),
            end: AtomicU64::new(0),
            figures: ProcessLock::new(figures),
        })
    }

    /// Adds the figure if it is among the highest of its window until now. Returns whether it is.
    pub(super) fn admits(&self, figure: u64, now: u64) -> bool {
        if self.count == 0 || (self.is_within(now) && figure <= self.threshold.load(Relaxed)) {
            return false;
        }
        self.admit(figure, now)
    }

    /// Returns whether the window is not over. One that would last too long is over: the clock was set
    /// back.
    fn is_within(&self, now: u64) -> bool {
        let left = self.end.load(Relaxed).saturating_sub(now);
        (1..=self.window).contains(&left)
    }

    #[cold]
    fn admit(&self, figure: u64, now: u64) -> bool {
        let Some(mut figures) = self.figures.take() else {
            return false;
        };
        if !self.is_within(now) {
            figures.clear();
            self.threshold.store(0, Relaxed);
            self.end.store(now.saturating_add(self.window), Relaxed);
        }
        // In falling order.
        let place = figures.partition_point(|higher| *higher >= figure);
        if place >= self.count {
            return false;
        }
        figures.truncate(self.count - 1);
        figures.insert(place, figure);
        if figures.len() == self.count {
            self.threshold.store(figures[self.count - 1], Relaxed);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_of_a_window() {
        let mut top = Top::new(Extremes {
            count: 2,
            window: Duration::ZERO,
        })
        .unwrap();
        top.window = 100;
        let figures = [5, 3, 3, 4, 5, 5, 9, 5];
        let admitted = figures.map(|figure| top.admits(figure, 1000));
        assert_eq!(
            admitted,
            [true, true, false, true, true, false, true, false]
        );
        assert!(top.admits(8, 1099));
        assert!(top.admits(1, 1100), "another window");
        assert!(top.admits(9, 1101) && top.admits(9, 1102) && !top.admits(9, 1103));
        assert!(top.admits(1, 500), "a clock that was set back");
        let none = Top::new(Extremes {
            count: 0,
            window: Duration::ZERO,
        })
        .unwrap();
        assert!(!none.admits(u64::MAX, 1));
    }
}
