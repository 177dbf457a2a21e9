//! Which allocations are recorded, and for how many others each of them stands.
//!
//! A sampled allocation is one that a byte falls into which a Poisson process over all allocated bytes
//! chooses, as in the profilers of tcmalloc, jemalloc and Go:
//! <https://github.com/google/tcmalloc/blob/master/docs/sampling.md>. An allocation of `s` bytes is chosen
//! with the probability `p = 1 − exp(−s / mean)`, so one that was chosen stands for `1 / p` of its size.

use std::cell::Cell;
use std::num::NonZeroU64;

/// Which allocations are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    Exact,
    /// So many, and then no more.
    First(u64),
    /// One for so many bytes.
    Mean(NonZeroU64),
}

/// Draws how many bytes a thread may allocate up to the next sample, for all recordings of samples that it adds to.
///
/// The process is that of the least of their means. It has no memory, so it can go on through any number of
/// recordings, and begin anew at any time.
pub(super) struct Countdown {
    /// 0 if there is none.
    mean: Cell<u64>,
    random: Cell<u64>,
}

impl Countdown {
    pub(super) const fn new() -> Self {
        Self {
            mean: Cell::new(0),
            random: Cell::new(0),
        }
    }

    /// Makes it random. Without this, it chooses the same each time.
    pub(super) fn seed(&self, seed: u64) {
        self.random.set(seed);
    }

    pub(super) fn is_seeded(&self) -> bool {
        self.random.get() != 0
    }

    pub(super) fn mean(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.mean.get())
    }

    /// Begins anew, with the least mean of the recordings; without one, nothing is chosen. Returns how many bytes are
    /// not.
    pub(super) fn begin(&self, mean: Option<NonZeroU64>) -> u64 {
        self.mean.set(mean.map_or(0, NonZeroU64::get));
        mean.map_or(u64::MAX, |mean| self.draw(mean))
    }

    /// Returns for how many allocations one stands that was chosen, in a recording of this mean, which is not below
    /// the least; `None` if the recording leaves it out.
    pub(super) fn weight(&self, bytes: u64, mean: NonZeroU64) -> Option<f64> {
        let wanted = probability(bytes, mean);
        let is_in = match self.mean() {
            Some(least) if least < mean => self.uniform() * probability(bytes, least) <= wanted,
            _ => true,
        };
        is_in.then_some(1.0 / wanted)
    }

    /// Draws the bytes up to the next one that is chosen.
    fn draw(&self, mean: NonZeroU64) -> u64 {
        #[expect(clippy::cast_precision_loss, reason = "a random number")]
        let bytes = -self.uniform().ln() * mean.get() as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and saturating"
        )]
        let bytes = bytes as u64;
        bytes
    }

    /// Returns a random number above 0 and up to 1.
    fn uniform(&self) -> f64 {
        // SplitMix64, which takes any state: <https://prng.di.unimi.it/splitmix64.c>.
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits, which are exact")]
        let uniform = ((mixed >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        uniform
    }
}

/// Returns the probability that an allocation is recorded.
pub(super) fn probability(bytes: u64, mean: NonZeroU64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let ratio = bytes as f64 / mean.get() as f64;
    -(-ratio).exp_m1()
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "statistics")]
mod tests {
    use super::*;
    use crate::hot;

    const MEAN: NonZeroU64 = NonZeroU64::new(512 << 10).unwrap();

    /// Many small allocations, some large ones, and one of more than the mean.
    fn sizes() -> impl Iterator<Item = u64> {
        let repeated = |size, times| std::iter::repeat_n(size, times);
        repeated(8, 2000)
            .chain(repeated(200, 300))
            .chain(repeated(4 << 10, 50))
            .chain(repeated(100 << 10, 10))
            .chain([1 << 20, 10 << 20])
    }

    /// Of many runs with other seeds, the estimates' mean is the sum, and their spread is as estimated.
    fn assert_right(least: NonZeroU64) {
        const RUNS: u64 = 10_000;
        let sum = sizes().sum::<u64>() as f64;
        let variance: f64 = sizes()
            .map(|size| {
                let p = probability(size, MEAN);
                (size * size) as f64 * (1.0 - p) / p
            })
            .sum();
        let (mut mean, mut spread, mut estimated) = (0.0, 0.0, 0.0);
        for seed in 1..=RUNS {
            let countdown = Countdown::new();
            countdown.seed(seed);
            hot::set_left(countdown.begin(Some(least)));
            let mut estimate = 0.0;
            for size in sizes() {
                if hot::try_subtract(size) {
                    continue;
                }
                let weight = countdown.weight(size, MEAN);
                hot::set_left(countdown.begin(Some(least)));
                if let Some(weight) = weight {
                    let size = size as f64;
                    estimate += size * weight;
                    estimated += size * size * weight * (weight - 1.0) / RUNS as f64;
                }
            }
            mean += estimate / RUNS as f64;
            spread += (estimate - sum).powi(2) / RUNS as f64;
        }
        let ratios = [mean / sum, spread / variance, estimated / variance];
        assert!((ratios[0] - 1.0).abs() < 0.01, "{ratios:?}");
        assert!((ratios[1] - 1.0).abs() < 0.05, "{ratios:?}");
        assert!((ratios[2] - 1.0).abs() < 0.05, "{ratios:?}");
    }

    #[test]
    fn estimates_are_right_on_average() {
        assert_right(MEAN);
    }

    /// Another recording, of a smaller mean, has more of them chosen.
    #[test]
    fn estimates_beside_another_mean_are_right_on_average() {
        assert_right(NonZeroU64::new(100 << 10).unwrap());
    }

    /// The first allocation is chosen as often as the others.
    #[test]
    fn the_first_is_not_favoured() {
        let is_chosen = |seed: &u64| {
            let countdown = Countdown::new();
            countdown.seed(*seed);
            hot::set_left(countdown.begin(Some(MEAN)));
            !hot::try_subtract(MEAN.get() / 10)
        };
        // 9.5 per cent of 10,000; the standard deviation is 29.
        let chosen = (1..=10_000).filter(is_chosen).count();
        assert!((850..1050).contains(&chosen), "{chosen}");
    }
}
