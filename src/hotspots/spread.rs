//! Distribution of a figure over many calls.

use hdrhistogram::Histogram;

use crate::report::Percentiles;

/// Histogram of the values of many calls; takes some kilobytes for any number of calls.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    histogram: Option<Histogram<u64>>,
    max: u64,
}

/// One digit more takes eight times the memory, and nobody reads it.
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
            // Fails for invalid bounds only.
            self.histogram = Histogram::new(SIGNIFICANT_DIGITS).ok();
        }
        if let Some(histogram) = &mut self.histogram {
            // Fails beyond the highest value only, and this histogram resizes itself.
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

    /// Returns the percentiles; `None` if no value was recorded.
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
