//! Which allocations are recorded, and for how many others each of them stands.
//!
//! A sampled allocation is one that a byte falls into which a Poisson process over all allocated bytes
//! chooses, as in the profilers of tcmalloc, jemalloc and Go:
//! <https://github.com/google/tcmalloc/blob/master/docs/sampling.md>. An allocation of `s` bytes is chosen
//! with the probability `p = 1 − exp(−s / mean)`, so one that was chosen stands for `1 / p` of its size.

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

/// The state of a thread's sampling.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampler {
    sampling: Sampling,
    /// How many more bytes are not chosen; of the first allocations, how many more are.
    left: u64,
    random: u64,
}

impl Sampler {
    pub(super) fn new(sampling: Sampling, seed: u64) -> Self {
        let mut sampler = Self {
            sampling,
            left: 0,
            // SplitMix64's step takes any state.
            random: seed,
        };
        sampler.left = match sampling {
            Sampling::Exact => 0,
            Sampling::First(most) => most,
            // Also the first allocation is chosen by chance.
            Sampling::Mean(mean) => sampler.draw(mean),
        };
        sampler
    }

    pub(super) fn records_all(&self) -> bool {
        self.sampling == Sampling::Exact
    }

    /// Returns for how many allocations this one stands; `None` if it is not recorded.
    pub(super) fn weight(&mut self, bytes: u64) -> Option<f64> {
        let mean = match self.sampling {
            Sampling::Exact => return Some(1.0),
            Sampling::First(_) => {
                self.left = self.left.checked_sub(1)?;
                return Some(1.0);
            }
            Sampling::Mean(mean) => mean,
        };
        if bytes <= self.left {
            self.left -= bytes;
            return None;
        }
        self.left = self.draw(mean);
        Some(1.0 / probability(bytes, mean))
    }

    /// Returns whether allocations that are not recorded are missing, since no other one stands for them.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self.sampling, Sampling::First(_))
    }

    /// Draws the bytes up to the next one that is chosen.
    fn draw(&mut self, mean: NonZeroU64) -> u64 {
        // SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits, which are exact")]
        let uniform = ((mixed >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        #[expect(clippy::cast_precision_loss, reason = "a random number")]
        let bytes = -uniform.ln() * mean.get() as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and saturating"
        )]
        let bytes = bytes as u64;
        bytes
    }
}

/// Returns the probability that an allocation is recorded.
pub(super) fn probability(bytes: u64, mean: NonZeroU64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let ratio = bytes as f64 / mean.get() as f64;
    -(-ratio).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    #[test]
    #[expect(clippy::cast_precision_loss, reason = "statistics")]
    fn estimates_are_right_on_average() {
        const RUNS: u64 = 10_000;
        let sum = sizes().sum::<u64>() as f64;
        let variance: f64 = sizes()
            .map(|size| {
                let p = probability(size, MEAN);
                (size * size) as f64 * (1.0 - p) / p
            })
            .sum();
        let (mut mean, mut spread, mut estimated) = (0.0, 0.0, 0.0);
        for seed in 0..RUNS {
            let mut sampler = Sampler::new(Sampling::Mean(MEAN), seed);
            let mut estimate = 0.0;
            for size in sizes() {
                if let Some(weight) = sampler.weight(size) {
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

    /// The first allocation is chosen as often as the others.
    #[test]
    fn the_first_is_not_favoured() {
        let is_chosen = |seed: &u64| {
            let mut sampler = Sampler::new(Sampling::Mean(MEAN), *seed);
            sampler.weight(MEAN.get() / 10).is_some()
        };
        // 9.5 per cent of 10,000; the standard deviation is 29.
        let chosen = (0..10_000).filter(is_chosen).count();
        assert!((850..1050).contains(&chosen), "{chosen}");
    }
}
