//! What a number of iterations allocated.

use std::hint::black_box;

use alloc_counter::{Counts, measure};

use super::NOT_COUNTED;

/// What a number of iterations allocated: made by [`count`] for `iter_custom`, and by
/// [`Heap`](super::Heap) for criterion's own loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub(super) counts: Counts,
    /// The sum of the peaks of the iterations, as criterion divides by their number.
    pub(super) peak_bytes: u64,
    /// How many they were, where that is known: criterion's own loops do not tell.
    pub(super) iterations: u64,
}

impl Counted {
    pub(super) const ZERO: Self = Self {
        counts: Counts::ZERO,
        peak_bytes: 0,
        iterations: 0,
    };

    pub(super) fn of_a_loop(counts: Option<Counts>) -> Self {
        Self {
            counts: known(counts),
            ..Self::ZERO
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            counts: self.counts + other.counts,
            peak_bytes: self.peak_bytes.wrapping_add(other.peak_bytes),
            iterations: self.iterations.wrapping_add(other.iterations),
        }
    }
}

/// Runs `routine` so many times and counts what it allocates, iteration by iteration: the loop of a
/// bench of [`Heap`](super::Heap), within `iter_custom`.
///
/// Other than in criterion's own loops, 0 allocations and peaks are measured too, and outputs are
/// dropped outside of what is counted. What comes before the call, or is captured by the routine,
/// is not counted either.
///
/// # Panics
///
/// Where nothing is counted, because no [`Counting`](crate::Counting) allocator is installed; and
/// where a peak is not known exactly, because a trace was left in `routine` in another order than it
/// was entered.
///
/// ```no_run
/// # use criterion::Criterion;
/// # use tracer::criterion::{Heap, count};
/// fn bench(criterion: &mut Criterion<Heap>) {
///     let mut group = criterion.benchmark_group("sum");
///     for length in [10, 1_000] {
///         let numbers = vec![1_u64; length];
///         group.bench_function(length.to_string(), |bencher| {
///             bencher.iter_custom(|times| count(times, || numbers.iter().sum::<u64>()));
///         });
///     }
/// }
/// ```
pub fn count<O>(iterations: u64, mut routine: impl FnMut() -> O) -> Counted {
    let mut counted = Counted::ZERO;
    for _ in 0..iterations {
        let measured = measure(|| black_box(routine()));
        counted = counted.plus(Counted {
            counts: known(measured.counts),
            peak_bytes: measured
                .peak_bytes
                .expect("the routine leaves traces in the opposite order of entering them"),
            iterations: 1,
        });
    }
    counted
}

fn known(counts: Option<Counts>) -> Counts {
    match counts {
        Some(counts) => counts,
        None => panic!("allocations are {NOT_COUNTED}"),
    }
}
