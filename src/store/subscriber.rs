//! What a subscriber of `tracing` allocated while it was told of a trace.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::primitives::sync::{AtomicBool, AtomicU64};

/// The sum for one trace, to which all of its threads add.
pub(crate) struct SubscriberCounts {
    /// Whether somebody has added.
    is_counted: AtomicBool,
    /// In the order of [`Counts::to_array`].
    totals: [AtomicU64; 5],
}

impl SubscriberCounts {
    pub(crate) fn new() -> Self {
        Self {
            is_counted: AtomicBool::new(false),
            totals: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Forgets what was counted, for the next trace.
    pub(crate) fn reset(&self) {
        if self.is_counted.load(Relaxed) {
            self.is_counted.store(false, Relaxed);
            for total in &self.totals {
                total.store(0, Relaxed);
            }
        }
    }

    pub(crate) fn add(&self, counts: Counts) {
        if !self.is_counted.load(Relaxed) {
            self.is_counted.store(true, Relaxed);
        }
        for (total, amount) in self.totals.iter().zip(counts.to_array()) {
            if amount > 0 {
                total.fetch_add(amount, Relaxed);
            }
        }
    }

    /// Returns the sum; `None` if nobody has added anything.
    pub(crate) fn read(&self) -> Option<Counts> {
        let totals = || std::array::from_fn(|place| self.totals[place].load(Relaxed));
        self.is_counted
            .load(Relaxed)
            .then(|| Counts::from_array(totals()))
    }
}
