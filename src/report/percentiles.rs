//! How a figure is spread.

/// Half the calls are at most at `p50`, 95 of a hundred at `p95`, and so on; `max` is the highest.
///
/// `max` is exact. The others are exact where they are small, and else a little off, as values are
/// counted in bins: those of `Hotspots` up to 255 are exact and others
/// at most 0.8 % too high; those of a `Recorder`'s baseline up to 31
/// are exact and others at most 6.3 % off, and more only where its memory is used up, at most the double
/// or the half. Where even that can't be said, there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Percentiles<T> {
    /// The median.
    pub p50: T,
    /// 95 of a hundred are at most this.
    pub p95: T,
    /// 99 of a hundred are at most this.
    pub p99: T,
    /// The highest.
    pub max: T,
}

impl<T> Percentiles<T> {
    /// The same in another unit.
    pub fn map<U>(self, map: impl Fn(T) -> U) -> Percentiles<U> {
        Percentiles {
            p50: map(self.p50),
            p95: map(self.p95),
            p99: map(self.p99),
            max: map(self.max),
        }
    }
}
