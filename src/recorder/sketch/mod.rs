//! The distribution of a figure over requests, in some hundred bytes.

mod bins;

use std::time::Duration;

use crate::report::Percentiles;

use super::quota::Quota;

use bins::{BINS_PER_OCTAVE, bin_of, bounds};

/// The most doublings of a bin's width, if there is no memory for more bins: then there is one bin for
/// each doubling of the value.
const WIDEST: u32 = BINS_PER_OCTAVE.ilog2();

/// Counts of values, in bins whose width grows with the value, as those of HDR histograms
/// (<http://hdrhistogram.org>) do.
///
/// Only the bins from the lowest value to the highest take memory: most figures of one place in a
/// program are within a few doublings of each other. `hdrhistogram` begins at zero, and takes five to
/// ten times as much. If there is no memory for that either, neighbouring bins are merged. If that is
/// not enough, only the number of values below all bins, or above, is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    /// The first bin's number. There are fewer than a thousand.
    first: u16,
    /// The place of the bin of `last`.
    place: u16,
    /// How often neighbouring bins were merged in pairs.
    wider: u32,
    bins: Vec<u32>,
    /// The value that [`record_like_last`](Self::record_like_last) counted last; 0 if its bin may have moved since.
    last: u64,
    /// The number of values, all of them `last`, that are not in its bin yet.
    run: u64,
    /// The number of values that were 0. These are in no bin.
    zeros: u64,
    below: u64,
    above: u64,
    max: u64,
}

/// Shortens the number of values in a bin, of which more than these are not counted.
fn in_32_bits(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Shortens a bin's number or place.
fn in_16_bits(bin: usize) -> u16 {
    u16::try_from(bin).unwrap_or(u16::MAX)
}

impl Sketch {
    /// Returns how many bytes the bins take.
    pub(super) fn bytes(&self) -> usize {
        self.bins.capacity() * size_of::<u32>()
    }

    /// Returns the number of values.
    pub(super) fn count(&self) -> u64 {
        let in_bins: u64 = self.bins.iter().map(|count| u64::from(*count)).sum();
        self.zeros + self.below + self.above + self.run + in_bins
    }

    /// Counts a value. Takes memory for bins from `quota`. Returns `false` if there is none for the
    /// value's bin.
    #[inline]
    pub(super) fn record(&mut self, value: u64, quota: &mut Quota) -> bool {
        self.record_within(value) || self.extend(value, quota)
    }

    /// Counts a value as [`record`](Self::record) does. Returns `false` if memory must be taken for the value's bin:
    /// then it is to be [extended](Self::extend) for it.
    #[inline]
    pub(super) fn record_within(&mut self, value: u64) -> bool {
        if value == 0 {
            self.zeros += 1;
            return true;
        }
        if value > self.max {
            self.max = value;
        }
        self.put_within(bin_of(value), 1)
    }

    /// Counts a value as [`record`](Self::record) does, at less cost if it is 0 or the one that was counted last.
    #[inline]
    pub(super) fn record_like_last(&mut self, value: u64, quota: &mut Quota) -> bool {
        self.record_like_last_within(value) || self.extend(value, quota)
    }

    /// Counts a value as [`record_within`](Self::record_within) does, at less cost if it is 0 or the one that was
    /// counted last.
    #[inline]
    pub(super) fn record_like_last_within(&mut self, value: u64) -> bool {
        if value == 0 {
            self.zeros += 1;
        } else if value == self.last {
            self.run += 1;
        } else {
            return self.begin_run(value);
        }
        true
    }

    fn begin_run(&mut self, value: u64) -> bool {
        self.end_run();
        self.max = self.max.max(value);
        let Some(place) = self.place_of(bin_of(value)) else {
            return false;
        };
        (self.last, self.run, self.place) = (value, 1, in_16_bits(place));
        true
    }

    /// Puts the values that are not in their bin yet into it.
    fn end_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        if let Some(count) = self.bins.get_mut(usize::from(self.place)) {
            *count = count.saturating_add(in_32_bits(run));
        }
        self.last = 0;
    }

    /// Counts a value for whose bin memory must be taken. Returns `false` if there is none.
    #[cold]
    pub(super) fn extend(&mut self, value: u64, quota: &mut Quota) -> bool {
        self.extend_to(bin_of(value), 1, quota)
    }

    /// Counts this many zeros.
    pub(super) fn add_zeros(&mut self, zeros: u64) {
        self.zeros += zeros;
    }

    /// Counts `by` values in a bin, whose number is that of the narrowest bins.
    fn put(&mut self, bin: usize, by: u32, quota: &mut Quota) -> bool {
        self.put_within(bin, by) || self.extend_to(bin, by, quota)
    }

    /// Counts `by` values in a bin, if there is memory for it.
    #[inline]
    fn put_within(&mut self, bin: usize, by: u32) -> bool {
        let Some(place) = self.place_of(bin) else {
            return false;
        };
        let count = &mut self.bins[place];
        *count = count.saturating_add(by);
        true
    }

    /// Returns the place of a bin, whose number is that of the narrowest bins; `None` if there is no memory for it
    /// yet.
    #[inline]
    fn place_of(&self, bin: usize) -> Option<usize> {
        let place = (bin >> self.wider).wrapping_sub(usize::from(self.first));
        (place < self.bins.len()).then_some(place)
    }

    #[cold]
    fn extend_to(&mut self, bin: usize, by: u32, quota: &mut Quota) -> bool {
        self.end_run();
        loop {
            let wide = bin >> self.wider;
            let present = usize::from(self.first);
            let (first, end) = match self.bins.len() {
                0 => (wide, wide + 1),
                len => (present.min(wide), (present + len).max(wide + 1)),
            };
            if self.reserve(end - first, quota) {
                let before = if self.bins.is_empty() {
                    0
                } else {
                    present - first
                };
                self.bins.splice(0..0, std::iter::repeat_n(0, before));
                self.bins.resize(end - first, 0);
                self.first = in_16_bits(first);
                let count = &mut self.bins[wide - first];
                *count = count.saturating_add(by);
                return true;
            }
            if self.wider == WIDEST || self.bins.is_empty() {
                let is_below = !self.bins.is_empty() && wide < present;
                let unknown = if is_below {
                    &mut self.below
                } else {
                    &mut self.above
                };
                *unknown += u64::from(by);
                return false;
            }
            self.widen();
        }
    }

    /// Reserves memory for this many bins. Returns whether there is any.
    fn reserve(&mut self, bins: usize, quota: &mut Quota) -> bool {
        let more = bins.saturating_sub(self.bins.capacity()) * size_of::<u32>();
        let Some(taken) = quota.take(more) else {
            return false;
        };
        let fits = self.bins.try_reserve_exact(bins - self.bins.len()).is_ok();
        if fits {
            taken.keep();
        }
        fits
    }

    /// Merges the bins in pairs, in the memory that they have.
    fn widen(&mut self) {
        self.end_run();
        let before = usize::from(self.first);
        let first = before / 2;
        for place in 0..self.bins.len() {
            let count = std::mem::take(&mut self.bins[place]);
            let wide = &mut self.bins[((before + place) >> 1) - first];
            *wide = wide.saturating_add(count);
        }
        let end = (before + self.bins.len()).div_ceil(2);
        self.bins.truncate(end - first);
        self.first = in_16_bits(first);
        self.wider += 1;
    }

    /// Adds the values of another sketch.
    pub(super) fn add(&mut self, other: &Self) {
        self.add_within(other, &mut Quota::unlimited());
    }

    /// Adds the values of another sketch. Takes memory for bins from `quota`, as [`record`](Self::record) does.
    pub(super) fn add_within(&mut self, other: &Self, quota: &mut Quota) {
        while self.wider < other.wider {
            self.widen();
        }
        for (place, count) in other.counts() {
            let bin = (usize::from(other.first) + place) << other.wider;
            self.put(bin, in_32_bits(count), quota);
        }
        self.zeros += other.zeros;
        self.below += other.below;
        self.above += other.above;
        self.max = self.max.max(other.max);
    }

    /// Returns the bins that have values: their places, and the number of values.
    fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        let counts = self.bins.iter().enumerate().map(|(place, count)| {
            let is_last = place == usize::from(self.place);
            (
                place,
                u64::from(*count) + if is_last { self.run } else { 0 },
            )
        });
        counts.filter(|(_, count)| *count > 0)
    }

    /// Returns the percentiles; `None` if there are no values, or if one of the percentiles is not
    /// known, because memory ran out.
    pub(super) fn percentiles(&self) -> Option<Percentiles<u64>> {
        Some(Percentiles {
            p50: self.at(50)?,
            p95: self.at(95)?,
            p99: self.at(99)?,
            max: self.max,
        })
    }

    /// Returns the bins that have values: the lowest value, the first one that is too high, and the
    /// number of values.
    pub(super) fn bins(&self) -> Vec<(u64, u64, u64)> {
        let zeros = (self.zeros > 0).then_some((0, 1, self.zeros));
        let bins = self.counts().map(|(place, count)| {
            let (lowest, next) = self.bounds(place);
            (lowest, next, count)
        });
        zeros.into_iter().chain(bins).collect()
    }

    /// Returns the lowest value of a bin, and that of the next.
    fn bounds(&self, place: usize) -> (u64, u64) {
        let first = (usize::from(self.first) + place) << self.wider;
        let last = first + (1 << self.wider) - 1;
        (bounds(first).0.max(1), bounds(last).1)
    }

    /// Returns the percentiles of values that are nanoseconds.
    pub(super) fn durations(&self) -> Option<Percentiles<Duration>> {
        Some(self.percentiles()?.map(Duration::from_nanos))
    }

    /// Returns a value that this many per cent of all do not exceed: the middle of its bin or, in the last
    /// bin, the highest value. `None` if the value is in no bin, or in one that is too wide.
    pub(super) fn at(&self, percent: u64) -> Option<u64> {
        let all = self.count();
        let rank = u128::from(all) * u128::from(percent);
        let rank = u64::try_from(rank.div_ceil(100)).unwrap_or(u64::MAX);
        if all == 0 {
            return None;
        }
        if rank <= self.zeros {
            return Some(0);
        }
        let mut until = self.zeros + self.below;
        if rank <= until {
            return None;
        }
        for (place, count) in self.counts() {
            until += count;
            if until >= rank {
                let (lowest, next) = self.bounds(place);
                // One value of the last bin is known: the highest.
                let is_last = until == all;
                let middle = lowest + (next - lowest) / 2;
                let says_something = next - lowest <= lowest;
                let known = if is_last { self.max } else { middle };
                return (is_last || says_something).then_some(known);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_room_bins_are_wider_and_what_is_in_none_is_not_known() {
        let mut sketch = Sketch::default();
        let mut quota = Quota::new(8);
        let fit = [10, 11, 30, 1].map(|value| sketch.record(value, &mut quota));
        // Two bins for 0 to 15 and 16 to 31.
        assert_eq!((fit, sketch.bytes(), quota.left()), ([true; 4], 8, 0));
        assert_eq!(sketch.bins(), [(1, 16, 3), (16, 32, 1)]);
        let percentiles = |sketch: &Sketch| sketch.percentiles().map(|it| (it.p50, it.p99, it.max));
        assert_eq!((sketch.at(50), sketch.at(99)), (None, Some(30)));
        assert!(!sketch.record(100, &mut quota));
        assert_eq!(percentiles(&sketch), None, "the highest one in a hundred");
        for _ in 0..100 {
            assert!(sketch.record(20, &mut quota));
        }
        assert_eq!(percentiles(&sketch), Some((24, 24, 100)));
        let mut none = Sketch::default();
        assert!(!none.record(7, &mut Quota::default()));
        assert_eq!((percentiles(&none), none.max), (None, 7));
        let mut all = Sketch::default();
        all.record(5, &mut Quota::unlimited());
        all.add(&sketch);
        assert_eq!(all.bins(), [(1, 16, 4), (16, 32, 101)]);
        assert_eq!(percentiles(&all), Some((24, 24, 100)));
        all.add_zeros(200);
        assert_eq!(
            (percentiles(&all), all.bins()[0]),
            (Some((0, 24, 100)), (0, 1, 200))
        );
        for _ in 0..10 {
            all.add(&none);
        }
        assert_eq!(
            percentiles(&all),
            None,
            "of so many it is not known what they were"
        );
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
            wider in 0..=WIDEST,
            times in 1_usize..5,
        ) {
            for value in &mut values {
                *value >>= shift;
            }
            let (mut sketch, mut other) = (Sketch::default(), Sketch::default());
            for _ in 0..wider {
                other.widen();
            }
            for (place, value) in values.iter().enumerate() {
                let into = if place < split { &mut sketch } else { &mut other };
                into.record(*value, &mut Quota::unlimited());
                for _ in 1..times {
                    into.record_like_last(*value, &mut Quota::unlimited());
                }
            }
            sketch.add(&other);
            values = { values.iter() }.flat_map(|value| std::iter::repeat_n(*value, times)).collect();
            values.sort_unstable();
            prop_assert_eq!(sketch.max, *values.last().unwrap());
            for percent in [50, 95, 99] {
                let exact = at(&values, percent);
                let Some(found) = sketch.at(percent as u64) else {
                    prop_assert!(wider > 0 && exact < 1 << wider, "none for {}", exact);
                    continue;
                };
                let most = (exact >> (4 - wider)).max((1 << wider) - 1);
                prop_assert!(found.abs_diff(exact) <= most, "{} for {}", found, exact);
                prop_assert!(exact > 0 || found == 0);
            }
        }
    }
}
