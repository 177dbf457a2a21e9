//! Histograms of the requests of one name that ever ended, in buckets with fixed bounds.
//!
//! Unlike a baseline's figures they are never forgotten: those who read them compute differences, so they
//! must only grow.

use alloc_counter::Counts;

/// The highest value of each bucket of wall times, in nanoseconds.
pub(crate) const WALL_NS: [u64; 17] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    u64::MAX,
];
/// The highest value of each bucket of how often a request allocated.
pub(crate) const ALLOCATIONS: [u64; 13] = [
    0,
    10,
    30,
    100,
    300,
    1_000,
    3_000,
    10_000,
    30_000,
    100_000,
    300_000,
    1_000_000,
    u64::MAX,
];
/// The highest value of each bucket of allocated bytes.
pub(crate) const BYTES: [u64; 13] = [
    0,
    1 << 10,
    1 << 12,
    1 << 14,
    1 << 16,
    1 << 18,
    1 << 20,
    1 << 22,
    1 << 24,
    1 << 26,
    1 << 28,
    1 << 30,
    u64::MAX,
];

/// Figures of the requests of one name that ever ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ever {
    /// In nanoseconds.
    pub(crate) wall: Histogram<17>,
    pub(crate) allocations: Histogram<13>,
    pub(crate) bytes: Histogram<13>,
}

impl Ever {
    pub(super) fn record(&mut self, wall_ns: u64, total: &Counts) {
        self.wall.record(&WALL_NS, wall_ns);
        self.allocations.record(&ALLOCATIONS, total.allocates());
        self.bytes.record(&BYTES, total.bytes_allocated);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.wall.add(&other.wall);
        self.allocations.add(&other.allocations);
        self.bytes.add(&other.bytes);
    }
}

/// The number of values in each bucket, and the sum of all.
#[derive(Clone, Debug)]
pub(crate) struct Histogram<const BUCKETS: usize> {
    pub(crate) counts: [u64; BUCKETS],
    pub(crate) sum: u64,
}

impl<const BUCKETS: usize> Default for Histogram<BUCKETS> {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            sum: 0,
        }
    }
}

impl<const BUCKETS: usize> Histogram<BUCKETS> {
    /// Returns the bucket of a value, which is at most the bucket's bound.
    pub(crate) fn bucket(bounds: &[u64; BUCKETS], value: u64) -> usize {
        bounds.partition_point(|bound| *bound < value)
    }

    fn record(&mut self, bounds: &[u64; BUCKETS], value: u64) {
        if let Some(count) = self.counts.get_mut(Self::bucket(bounds, value)) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(value);
    }

    fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_at_most_the_bound_of_its_bucket() {
        for (place, bound) in WALL_NS.into_iter().enumerate() {
            let bucket = |value| Histogram::bucket(&WALL_NS, value);
            assert_eq!(bucket(bound), place);
            let next = bound.checked_add(1).map(bucket);
            assert_eq!(next, (bound < u64::MAX).then_some(place + 1));
        }
        assert!(ALLOCATIONS.is_sorted() && BYTES.is_sorted());
    }

    #[test]
    fn sums_stop_at_the_highest_number() {
        let mut ever = Ever::default();
        for wall in [0, 100_001, u64::MAX] {
            ever.record(wall, &Counts::ZERO);
        }
        let mut twice = ever.clone();
        twice.add(&ever);
        let counts = twice.wall.counts;
        assert_eq!((counts[0], counts[1], counts[16]), (2, 2, 2));
        assert_eq!((twice.wall.sum, twice.bytes.counts[0]), (u64::MAX, 6));
    }
}
