//! How a figure is spread over requests, in some hundred bytes.

use std::time::Duration;

use crate::report::Percentiles;

/// So many bins for each doubling: a value is told to a thirty-second of itself.
const BINS_PER_OCTAVE: u32 = 16;
/// Smaller values have a bin each.
const EXACT: u64 = 2 * BINS_PER_OCTAVE as u64;

/// Counts of values, in bins whose width grows with the value, as those of HDR histograms
/// (<http://hdrhistogram.org>) do.
///
/// Only the bins from the lowest value that came to the highest take memory: most figures of one
/// place in a program are within a few doublings of each other. (`hdrhistogram` begins at zero, and
/// takes five to ten times as much.)
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    /// The first bin's number.
    first: usize,
    bins: Vec<u32>,
    count: u64,
    max: u64,
}

fn bin_of(value: u64) -> usize {
    if value < EXACT {
        return usize::try_from(value).unwrap_or(0);
    }
    let octave = value.ilog2() - EXACT.ilog2();
    let within = (value >> (octave + 1)) - u64::from(BINS_PER_OCTAVE);
    let within = usize::try_from(within).unwrap_or(0);
    (2 * BINS_PER_OCTAVE + octave * BINS_PER_OCTAVE) as usize + within
}

/// The lowest value of a bin, and that of the next.
fn bounds(bin: usize) -> (u64, u64) {
    let bin = bin as u64;
    if bin < EXACT {
        return (bin, bin + 1);
    }
    let per_octave = u64::from(BINS_PER_OCTAVE);
    let octave = bin / per_octave - 2;
    let lowest = (bin % per_octave + per_octave) << (octave + 1);
    (lowest, lowest.saturating_add(1 << (octave + 1)))
}

impl Sketch {
    /// What the bins take.
    pub(super) fn bytes(&self) -> usize {
        self.bins.capacity() * size_of::<u32>()
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Counts a value. Where there is no room for its bin, the nearest is taken. `room` is how many
    /// bytes the bins may take more.
    pub(super) fn record(&mut self, value: u64, room: &mut usize) {
        self.max = self.max.max(value);
        self.count += 1;
        let bin = bin_of(value);
        if let Some(count) = bin
            .checked_sub(self.first)
            .and_then(|bin| self.bins.get_mut(bin))
        {
            *count = count.saturating_add(1);
        } else {
            self.widen(bin, 1, room);
        }
    }

    #[cold]
    fn widen(&mut self, bin: usize, by: u32, room: &mut usize) {
        let (first, end) = match self.bins.len() {
            0 => (bin, bin + 1),
            len => (self.first.min(bin), (self.first + len).max(bin + 1)),
        };
        let more = (end - first).saturating_sub(self.bins.capacity()) * size_of::<u32>();
        let fits = more <= *room
            && self
                .bins
                .try_reserve_exact(end - first - self.bins.len())
                .is_ok();
        if fits {
            *room -= more;
            let before = if self.bins.is_empty() {
                0
            } else {
                self.first - first
            };
            self.bins.splice(0..0, std::iter::repeat_n(0, before));
            self.bins.resize(end - first, 0);
            self.first = first;
        }
        let nearest = bin.saturating_sub(self.first);
        let nearest = nearest.min(self.bins.len().saturating_sub(1));
        if let Some(count) = self.bins.get_mut(nearest) {
            *count = count.saturating_add(by);
        }
    }

    /// Adds what another counted.
    pub(super) fn add(&mut self, other: &Self) {
        let mut room = usize::MAX;
        for (place, count) in other
            .bins
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            let bin = other.first + place;
            match bin
                .checked_sub(self.first)
                .and_then(|bin| self.bins.get_mut(bin))
            {
                Some(mine) => *mine = mine.saturating_add(*count),
                None => self.widen(bin, *count, &mut room),
            }
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// None where no value came.
    pub(super) fn percentiles(&self) -> Option<Percentiles<u64>> {
        (!self.is_empty()).then(|| Percentiles {
            p50: self.at(50),
            p95: self.at(95),
            p99: self.at(99),
            max: self.max,
        })
    }

    /// How many values there are between bounds: each is from the first bound to below the second.
    pub(super) fn bins(&self) -> Vec<(u64, u64, u64)> {
        let bins = self
            .bins
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        let bins = bins.map(|(place, count)| {
            let (lowest, next) = bounds(self.first + place);
            (lowest, next, u64::from(*count))
        });
        bins.collect()
    }

    /// The same of values that are nanoseconds.
    pub(super) fn durations(&self) -> Option<Percentiles<Duration>> {
        Some(self.percentiles()?.map(Duration::from_nanos))
    }

    /// The middle of the bin in which the value stands that so many of a hundred do not exceed; of the
    /// last bin, the highest value.
    fn at(&self, percent: u64) -> u64 {
        let counted: u64 = self.bins.iter().map(|count| u64::from(*count)).sum();
        let rank = (u128::from(counted) * u128::from(percent)).div_ceil(100);
        let mut below = 0;
        for (place, count) in self.bins.iter().enumerate() {
            below += u128::from(*count);
            if below >= rank && *count > 0 {
                let (lowest, next) = bounds(self.first + place);
                // Of the last bin one value is known.
                let is_last = below == u128::from(counted);
                let middle = lowest + (next - lowest) / 2;
                return if is_last { self.max } else { middle };
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bins_follow_each_other_without_a_gap() {
        let mut next = 0;
        for bin in 0..=bin_of(u64::MAX) {
            let (lowest, after) = bounds(bin);
            assert_eq!(
                (lowest, bin_of(lowest), bin_of(after - 1)),
                (next, bin, bin)
            );
            assert!(after == u64::MAX || (after - lowest) * 16 <= lowest.max(16));
            next = after;
        }
        assert_eq!(next, u64::MAX);
    }

    #[test]
    fn without_room_a_value_is_in_the_nearest_bin() {
        let mut sketch = Sketch::default();
        let mut room = 8;
        for value in [10, 11, 30, 2] {
            sketch.record(value, &mut room);
        }
        assert_eq!((sketch.bytes(), room), (8, 0));
        assert_eq!(sketch.bins(), [(10, 11, 2), (11, 12, 2)]);
        assert_eq!((sketch.count(), sketch.percentiles().unwrap().max), (4, 30));
    }

    fn at(values: &[u64], percent: usize) -> u64 {
        values[(values.len() * percent).div_ceil(100) - 1]
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_values(
            mut values in proptest::collection::vec(0_u64..1 << 40, 1..200),
            shift in 0_u32..40,
            split in 0_usize..200,
        ) {
            for value in &mut values {
                *value >>= shift;
            }
            let (mut sketch, mut other) = (Sketch::default(), Sketch::default());
            for (place, value) in values.iter().enumerate() {
                let into = if place < split { &mut sketch } else { &mut other };
                into.record(*value, &mut usize::MAX.clone());
            }
            sketch.add(&other);
            values.sort_unstable();
            let found = sketch.percentiles().unwrap();
            prop_assert_eq!(found.max, *values.last().unwrap());
            for (found, percent) in [(found.p50, 50), (found.p95, 95), (found.p99, 99)] {
                let exact = at(&values, percent);
                prop_assert!(found.abs_diff(exact) <= exact / 16, "{} for {}", found, exact);
            }
        }
    }
}
