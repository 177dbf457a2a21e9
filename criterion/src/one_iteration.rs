//! Allocations of one iteration, beside the time that criterion measures.

use std::fmt;
use std::hint::black_box;

use alloc_counter::{Counts, measure};
use criterion::Criterion;
use criterion::measurement::Measurement;

use crate::NOT_COUNTED;

/// Allocations of one iteration, returned by [`one_iteration`].
///
/// Its text is a line that fits below those of criterion:
///
/// ```text
/// parse                   time:   [1.1902 µs 1.1917 µs 1.1935 µs]
///                         heap:   [3 allocs, 1536 B, peak 1024 B]
/// ```
///
/// Allocations include reallocations, bytes are the sum of bytes allocated, and the peak is the
/// highest point of live bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it is there to be printed"]
#[non_exhaustive]
pub struct OneIteration {
    /// Requests of the routine on its thread; `None` if no [`Counting`](crate::Counting) allocator is
    /// installed.
    pub counts: Option<Counts>,
    /// The highest point of live bytes above those at the start, with the output still alive;
    /// `None` also if it is not known exactly.
    pub peak_bytes: Option<u64>,
}

/// Runs `routine` twice and counts the allocations of the second run, so that the figures don't
/// include those made only once. The output is dropped after the measurement.
///
/// ```
/// use tracer_criterion::{Counting, one_iteration};
///
/// #[global_allocator]
/// static ALLOCATOR: Counting = Counting::system();
///
/// let heap = one_iteration(|| "a".repeat(100));
/// assert_eq!(heap.to_string().trim_start(), "heap:   [1 alloc, 100 B, peak 100 B]");
/// ```
pub fn one_iteration<O>(mut routine: impl FnMut() -> O) -> OneIteration {
    drop(black_box(routine()));
    let measured = measure(|| black_box(routine()));
    OneIteration {
        counts: measured.counts,
        peak_bytes: measured.peak_bytes,
    }
}

/// Benches `routine` as `bench_function` and `iter` do, and prints the allocations of
/// [one iteration](one_iteration) below the time. A bench that is filtered out is not run, and prints
/// nothing.
///
/// In a group, or with a loop other than `iter`, print the line yourself:
/// `println!("{}", one_iteration(routine))`.
///
/// ```
/// use criterion::{Criterion, criterion_group, criterion_main};
/// use tracer_criterion::{Counting, time_and_heap};
///
/// #[global_allocator]
/// static ALLOCATOR: Counting = Counting::system();
///
/// fn split(criterion: &mut Criterion) {
///     time_and_heap(criterion, "split", || "1,2,3".split(',').collect::<Vec<_>>());
/// }
///
/// criterion_group!(benches, split);
/// criterion_main!(benches);
/// # main();
/// ```
pub fn time_and_heap<M, O>(criterion: &mut Criterion<M>, id: &str, mut routine: impl FnMut() -> O)
where
    M: Measurement + 'static,
{
    let mut heap = None;
    criterion.bench_function(id, |bencher| {
        // Run once, not for each sample.
        heap.get_or_insert_with(|| one_iteration(&mut routine));
        bencher.iter(&mut routine);
    });
    if let Some(heap) = heap {
        println!("{heap}");
    }
}

impl fmt::Display for OneIteration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Criterion's lines have the name of the bench in this column.
        write!(f, "{:24}heap:   ", "")?;
        let Some(counts) = self.counts else {
            return f.write_str(NOT_COUNTED);
        };
        let allocates = counts.allocates();
        let plural = if allocates == 1 { "" } else { "s" };
        write!(
            f,
            "[{allocates} alloc{plural}, {} B",
            counts.bytes_allocated
        )?;
        match self.peak_bytes {
            Some(peak_bytes) => write!(f, ", peak {peak_bytes} B]"),
            None => f.write_str(", peak n/a]"),
        }
    }
}
