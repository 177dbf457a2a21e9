//! What a number of iterations allocated.

use std::hint::black_box;

use alloc_counter::{Counts, measure};

use crate::NOT_COUNTED;

/// What a number of iterations allocated: made by [`count`] for `iter_custom`, and by
/// [`Heap`](crate::Heap) for criterion's own loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub(crate) counts: Counts,
    /// The sum of the peaks of the iterations, as criterion divides by their number.
    /// `None` where one is not known: criterion's own loops do not tell iterations apart.
    pub(crate) peak_bytes: Option<u64>,
    /// How many they were; 0 of criterion's own loops, which do not tell.
    pub(crate) iterations: u64,
}

impl Counted {
    pub(crate) const ZERO: Self = Self {
        counts: Counts::ZERO,
        peak_bytes: Some(0),
        iterations: 0,
    };

    pub(crate) fn of_a_loop(counts: Option<Counts>) -> Self {
        Self {
            counts: known(counts),
            peak_bytes: None,
            iterations: 0,
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            counts: self.counts + other.counts,
            peak_bytes: self
                .peak_bytes
                .zip(other.peak_bytes)
                .map(|(one, other)| one.wrapping_add(other)),
            iterations: self.iterations.wrapping_add(other.iterations),
        }
    }
}

/// Runs `routine` so many times and counts what it allocates, iteration by iteration: the loop of a
/// bench of [`Heap`](crate::Heap), within `iter_custom`.
///
/// Other than in criterion's own loops, peaks are measured too, and outputs are dropped outside of
/// what is counted. What an iteration needs and should not count is made in an
/// [`exclude`](crate::alloc::exclude).
///
/// # Panics
///
/// Where nothing is counted, because no [`Counting`](crate::Counting) allocator is installed.
///
/// ```
/// # use criterion::{Criterion, criterion_group, criterion_main};
/// # use tracer_criterion::{Counting, Heap, count};
/// # #[global_allocator]
/// # static ALLOCATOR: Counting = Counting::system();
/// fn bench(criterion: &mut Criterion<Heap>) {
///     let mut group = criterion.benchmark_group("sum");
///     for length in [10, 1_000] {
///         let numbers = vec![1_u64; length];
///         group.bench_function(length.to_string(), |bencher| {
///             bencher.iter_custom(|times| count(times, || numbers.iter().sum::<u64>()));
///         });
///     }
/// }
/// # criterion_group! { name = sums; config = Heap::allocations().criterion(); targets = bench }
/// # criterion_main!(sums);
/// # main();
/// ```
pub fn count<O>(iterations: u64, mut routine: impl FnMut() -> O) -> Counted {
    let mut counted = Counted::ZERO;
    for _ in 0..iterations {
        let measured = measure(|| black_box(routine()));
        counted = counted.plus(Counted {
            counts: known(measured.counts),
            peak_bytes: measured.peak_bytes,
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
