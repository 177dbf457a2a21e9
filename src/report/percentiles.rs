//! Percentiles of a figure.

/// Percentiles of a figure: half of the values are at most `p50`, 95 % at most `p95`, and so on.
///
/// `max` is exact. The others are counted in bins. Those of `Hotspots` are exact up to 255, and at most
/// 0.8 % too high above. Those of a `Recorder`'s baseline are exact up to 31 and at most 6.3 % off above;
/// if its memory is used up, they may be off by a factor of two. If even that is not certain, there are no
/// percentiles. Those of the calls that a [`Tree`](crate::report::Tree) folds are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Percentiles<T> {
    /// The median.
    pub p50: T,
    /// 95 % of the values are at most this.
    pub p95: T,
    /// 99 % of the values are at most this.
    pub p99: T,
    /// The highest value.
    pub max: T,
}

impl<T: Copy + Default> Percentiles<T> {
    /// Returns the percentiles of sorted values, by the nearest rank; those of no value are 0.
    pub(crate) fn of_sorted(values: &[T]) -> Self {
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100);
            let value = rank.checked_sub(1).and_then(|place| values.get(place));
            value.copied().unwrap_or_default()
        };
        Self {
            p50: at(50),
            p95: at(95),
            p99: at(99),
            max: at(100),
        }
    }
}

impl<T> Percentiles<T> {
    /// Converts the values, such as to another unit.
    pub fn map<U>(self, map: impl Fn(T) -> U) -> Percentiles<U> {
        Percentiles {
            p50: map(self.p50),
            p95: map(self.p95),
            p99: map(self.p99),
            max: map(self.max),
        }
    }
}
