//! Allocations of a number of iterations.

use std::hint::black_box;

use alloc_counter::{Counts, measure};

use crate::NOT_COUNTED;

/// Allocations of a number of iterations, made by [`count`] for `iter_custom`, and by
/// [`Heap`](crate::Heap) for criterion's own loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub(crate) counts: Counts,
    /// The sum of the peaks of the iterations, because criterion divides by their number.
    /// `None` if a peak is not known: criterion's own loops do not separate iterations.
    pub(crate) peak_bytes: Option<u64>,
    /// The number of iterations; 0 for criterion's own loops, which do not report it.
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

/// Runs `routine` `iterations` times and counts the allocations of each iteration. It is the loop of a
/// bench of [`Heap`](crate::Heap), within `iter_custom`.
///
/// Unlike criterion's own loops, it measures peaks as well, and drops outputs outside of the
/// measurement. Use [`exclude`](crate::alloc::exclude) for allocations of an iteration that should not
/// count.
///
/// # Panics
///
/// If nothing is counted, because no [`Counting`](crate::Counting) allocator is installed.
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
