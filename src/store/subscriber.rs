//! What a subscriber of `tracing` allocated while it was told of a trace.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::primitives::sync::AtomicU64;

/// The sum for one trace, to which all of its threads add.
pub(crate) struct SubscriberCounts {
    /// In the order of [`Counts::to_array`]. The first is [`NOTHING`] until somebody adds.
    totals: [AtomicU64; 5],
}

const NOTHING: u64 = u64::MAX;

impl SubscriberCounts {
    pub(crate) fn new() -> Self {
        Self {
            totals: std::array::from_fn(|place| AtomicU64::new(at_first(place))),
        }
    }

    /// Forgets what was counted, for the next trace.
    pub(crate) fn reset(&self) {
        if self.is_counted() {
            for (place, total) in self.totals.iter().enumerate() {
                total.store(at_first(place), Relaxed);
            }
        }
    }

    fn is_counted(&self) -> bool {
        self.totals[0].load(Relaxed) != NOTHING
    }

    pub(crate) fn add(&self, counts: Counts) {
        if !self.is_counted() {
            // Another thread may be first.
            let _ = self.totals[0].compare_exchange(NOTHING, 0, Relaxed, Relaxed);
        }
        for (total, amount) in self.totals.iter().zip(counts.to_array()) {
            if amount > 0 {
                total.fetch_add(amount, Relaxed);
            }
        }
    }

    /// Returns the sum; `None` if nobody has added anything.
    pub(crate) fn read(&self) -> Option<Counts> {
        let totals = std::array::from_fn(|place| self.totals[place].load(Relaxed));
        (totals[0] != NOTHING).then(|| Counts::from_array(totals))
    }
}

fn at_first(place: usize) -> u64 {
    if place == 0 { NOTHING } else { 0 }
}
