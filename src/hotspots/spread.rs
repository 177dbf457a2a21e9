//! How a figure is spread over many calls.

use hdrhistogram::Histogram;

/// Half the calls are at most at `p50`, 95 of a hundred at `p95`, and so on; `max` is the highest.
///
/// `max` is exact, and so are values up to 255. Others are at most 0.8 % too high, as the histogram's
/// buckets have two significant digits.
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
    pub(super) fn map<U>(self, map: impl Fn(T) -> U) -> Percentiles<U> {
        Percentiles {
            p50: map(self.p50),
            p95: map(self.p95),
            p99: map(self.p99),
            max: map(self.max),
        }
    }
}

/// The values of many calls, in some kilobytes however many they are.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    histogram: Option<Histogram<u64>>,
    max: u64,
}

/// More than this takes eight times the memory, and nobody reads it.
const SIGNIFICANT_DIGITS: u8 = 2;

impl Spread {
    pub(super) fn new() -> Self {
        Self {
            histogram: None,
            max: 0,
        }
    }

    pub(super) fn record(&mut self, value: u64) {
        self.max = self.max.max(value);
        if self.histogram.is_none() {
            // It fails for impossible bounds only.
            self.histogram = Histogram::new(SIGNIFICANT_DIGITS).ok();
        }
        if let Some(histogram) = &mut self.histogram {
            // It fails beyond the highest value, of which there is none here: it grows.
            let _ = histogram.record(value);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.max = self.max.max(other.max);
        match (&mut self.histogram, &other.histogram) {
            (Some(histogram), Some(other)) => {
                let _ = histogram.add(other);
            }
            (None, Some(other)) => self.histogram = Some(other.clone()),
            (_, None) => {}
        }
    }

    /// None where no value was recorded.
    pub(super) fn percentiles(&self) -> Option<Percentiles<u64>> {
        let histogram = self.histogram.as_ref()?;
        let at = |quantile| histogram.value_at_quantile(quantile).min(self.max);
        Some(Percentiles {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: self.max,
        })
    }
}
