//! Ways to run something many times.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use quanta::Clock;

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::new);

/// So many runs, in portions of `size`, each within something that is opened afresh: a request of
/// realistic size, say. Opening and closing are not timed.
///
/// A portion adds one clock read to its runs, so rivals of one race have portions of one size, the
/// floor too.
pub fn within<T, R>(
    times: u64,
    size: u64,
    mut open: impl FnMut() -> T,
    mut run: impl FnMut(&mut T) -> R,
) -> Duration {
    let mut ticks = 0;
    let mut left = times;
    while left > 0 {
        let mut opened = open();
        let some = left.min(size);
        let start = CLOCK.raw();
        for _ in 0..some {
            black_box(run(&mut opened));
        }
        ticks += CLOCK.raw() - start;
        left -= some;
    }
    Duration::from_nanos(CLOCK.delta_as_nanos(0, ticks))
}

/// What so many cost where each run does `size` of them at once, its beginning and end included.
pub fn each_of<R>(times: u64, size: u32, run: impl FnMut() -> R) -> Duration {
    let start = Instant::now();
    each_of_by(|| start.elapsed(), times, size, run)
}

/// The same by another clock, which says how late it is.
pub fn each_of_by<R>(
    now: impl Fn() -> Duration,
    times: u64,
    size: u32,
    mut run: impl FnMut() -> R,
) -> Duration {
    let runs = times.div_ceil(u64::from(size));
    let start = now();
    for _ in 0..runs {
        black_box(run());
    }
    let done = f64::from(size) * count(runs);
    now().saturating_sub(start).mul_f64(count(times) / done)
}

#[expect(clippy::cast_precision_loss, reason = "a number of runs")]
pub(crate) fn count(times: u64) -> f64 {
    times as f64
}
