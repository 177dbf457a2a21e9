//! Measures heap allocations in [criterion](https://docs.rs/criterion), instead of time or beside it.
//!
//! Allocation counts repeat exactly, so one allocation more is a regression that criterion reports,
//! however noisy the machine. The counts come from [`Counting`], the counting global allocator of the
//! crate `tracer-alloc-counter`; this crate re-exports that crate as [`alloc`]. A bench needs
//! `tracer-criterion` and `criterion` in version 0.8.
//!
//! # Instead of time
//!
//! [`Heap`] makes criterion measure allocations, bytes allocated, or the peak of live bytes per
//! iteration. Criterion compares them with the last run: one allocation more is "Performance has
//! regressed".
//!
//! ```
//! use criterion::{Criterion, criterion_group, criterion_main};
//! use tracer_criterion::{Counting, Heap, count};
//!
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting::system();
//!
//! fn benches(criterion: &mut Criterion<Heap>) {
//!     criterion.bench_function("split", |bencher| {
//!         bencher.iter_custom(|iterations| {
//!             count(iterations, || "1,2,3".split(',').collect::<Vec<_>>())
//!         });
//!     });
//! }
//!
//! criterion_group! {
//!     name = allocations;
//!     config = Heap::allocations().criterion();
//!     targets = benches
//! }
//! criterion_main!(allocations);
//! # main();
//! ```
//!
//! ```text
//! split                   time:   [1.0000 allocs 1.0000 allocs 1.0000 allocs]
//! ```
//!
//! The word `time:` is criterion's own. A group has one measurement. For another figure make another
//! group, with other names in it, because results are compared by name only.
//!
//! ## Contents of the figure
//!
//! The figure has the requests of the routine itself on the bench's thread, by the
//! [rules of counting](crate::alloc::Counts#rules-of-counting), and not those of other threads. It has
//! no requests of criterion's own, whichever loop is used:
//!
//! | loop | also counted | zero allocations | peak |
//! |---|---|---|---|
//! | `iter_custom` with [`count`] | nothing | measured | measured |
//! | `iter` | allocations of dropping the output | measured | refused |
//! | `iter_batched`, `iter_batched_ref`, `iter_with_large_drop` | allocations of dropping the input in the routine | measured | refused |
//!
//! Freed bytes are not subtracted from bytes allocated, so a drop is in the figure only if it allocates.
//!
//! ## Exact figures in criterion
//!
//! - **Zero.** Criterion (0.8) takes a sample of 0 for an error: it prints a message, analyses
//!   nothing and saves nothing, so it would not notice when the figure rises. [`count`] knows the number
//!   of iterations, and reports a billionth (2⁻³⁰) for each iteration without allocations, shown as 0.
//!   From 0 to 1 is then a rise by some 10¹¹ per cent. Criterion's own loops do not report the number of
//!   iterations. A sample without allocations is then 10⁻¹⁶², which has no variance either, and a rise
//!   from there to 1 has some 170 digits. Criterion's verdict is right in both cases.
//! - **No variance.** If both runs measured the same in every sample, there is no test statistic:
//!   criterion prints `p = NaN` and "No change in performance detected", which is right. Its
//!   plots panic then, so [`Heap::criterion`] turns them off.
//! - **Noise.** By default criterion takes changes below one per cent for noise, such as one
//!   allocation in 200. [`Heap::criterion`] sets the threshold to a billionth, because criterion reads
//!   its own files with an error in the last digit, so that two figures of 0 may differ by it.
//!
//! # Beside time
//!
//! [`time_and_heap`] is `bench_function` with one more line; [`one_iteration`] returns the content of
//! that line.

#![forbid(unsafe_code)]

mod units;

mod counted;
mod one_iteration;

use std::time::Duration;

use alloc_counter::Region;
use criterion::Criterion;
use criterion::measurement::{Measurement, ValueFormatter};

use units::{ALLOCATIONS, BYTES, PEAK_BYTES};

pub use alloc_counter::{self as alloc, Counting};
pub use counted::{Counted, count};
pub use one_iteration::{OneIteration, one_iteration, time_and_heap};

/// The reason why there is no figure, and the remedy.
const NOT_COUNTED: &str = "not counted \
    (is `#[global_allocator] static A: Counting = Counting::system();` there?)";

const NO_PEAK: &str = "the peak of an iteration is not known: it takes \
    `bencher.iter_custom(|iterations| tracer_criterion::count(iterations, routine))`, \
    and traces that are left in the opposite order of entering them";

/// A [`Measurement`] of the allocations of each iteration, in place of its time.
///
/// See the [crate](self) for an example, and for the contents of the figure.
///
/// # Panics
///
/// Like the assertions of [`Budget`](crate::alloc::Budget), a bench fails rather than measure
/// nothing: if no [`Counting`] allocator is installed, and if a peak is measured without [`count`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    figure: Figure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Allocations,
    Bytes,
    PeakBytes,
}

impl Heap {
    /// Measures requests that obtained memory, reallocations included: [`Counts::allocates`].
    ///
    /// [`Counts::allocates`]: crate::alloc::Counts::allocates
    pub const fn allocations() -> Self {
        Self {
            figure: Figure::Allocations,
        }
    }

    /// Measures bytes allocated, growth by reallocations included. Freed bytes are not subtracted.
    pub const fn bytes() -> Self {
        Self {
            figure: Figure::Bytes,
        }
    }

    /// Measures the highest point of live bytes above those at the start of an iteration, with its
    /// output still alive; the average of all iterations in a sample. Works with [`count`] only,
    /// because criterion's own loops do not mark the beginning and end of an iteration.
    pub const fn peak_bytes() -> Self {
        Self {
            figure: Figure::PeakBytes,
        }
    }

    /// Returns a criterion that measures this, with defaults for figures that repeat exactly: 10
    /// samples within about a tenth of a second, a noise threshold of 10⁻⁹, no plots. All of these
    /// can be changed.
    pub fn criterion(self) -> Criterion<Self> {
        Criterion::default()
            .with_measurement(self)
            .without_plots()
            .noise_threshold(1e-9)
            .sample_size(10)
            .nresamples(2_000)
            .warm_up_time(Duration::from_millis(50))
            .measurement_time(Duration::from_millis(100))
    }
}

impl Measurement for Heap {
    type Intermediate = Region;
    type Value = Counted;

    fn start(&self) -> Region {
        Region::new()
    }

    fn end(&self, region: Region) -> Counted {
        Counted::of_a_loop(region.counts())
    }

    fn add(&self, one: &Counted, other: &Counted) -> Counted {
        one.plus(*other)
    }

    fn zero(&self) -> Counted {
        Counted::ZERO
    }

    fn to_f64(&self, value: &Counted) -> f64 {
        let figure = match self.figure {
            Figure::Allocations => value.counts.allocates(),
            Figure::Bytes => value.counts.bytes_allocated,
            Figure::PeakBytes => value.peak_bytes.unwrap_or_else(|| panic!("{NO_PEAK}")),
        };
        units::of_a_sample(figure, value.iterations)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        match self.figure {
            Figure::Allocations => &ALLOCATIONS,
            Figure::Bytes => &BYTES,
            Figure::PeakBytes => &PEAK_BYTES,
        }
    }
}

/// The README's code block is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
