//! Percentiles of a figure.

/// Percentiles of a figure: half of the values are at most `p50`, 95 % at most `p95`, and so on.
///
/// `max` is exact. The others are counted in bins. Those of `Hotspots` are exact up to 255, and at most
/// 0.8 % too high above. Those of a `Recorder`'s baseline are exact up to 31 and at most 6.3 % off above;
/// if its memory is used up, they may be off by a factor of two. If even that is not certain, there are no
/// percentiles.
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
