//! Ways to run something many times.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use quanta::Clock;

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::new);

/// Times `times` runs in portions of `size`, each within something newly opened, such as a request of
/// realistic size. Opening and closing are not timed.
///
/// A portion adds one clock read to its runs, so all rivals of a race, and the floor, have portions of
/// the same size.
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

/// Times `times` items, if each run does `size` of them, with its begin and end.
pub fn each_of<R>(times: u64, size: u32, run: impl FnMut() -> R) -> Duration {
    let start = Instant::now();
    each_of_by(|| start.elapsed(), times, size, run)
}

/// Like [`each_of`], with another clock.
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
