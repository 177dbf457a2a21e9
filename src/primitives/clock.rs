//! The clock: ticks, which cost one instruction to read, and their conversion.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use quanta::Clock;

/// Calibrated once. `quanta` reads the time-stamp counter if the processor keeps a steady one, and falls
/// back to the operating system's clock if it does not.
static CLOCK: OnceLock<Clock> = OnceLock::new();

#[cold]
#[inline(never)]
fn calibrate() -> &'static Clock {
    alloc_counter::exclude(|| CLOCK.get_or_init(Clock::new))
}

#[inline]
fn clock() -> &'static Clock {
    CLOCK.get().unwrap_or_else(calibrate)
}

/// Calibrates the clock, once in a process; takes up to 200 ms.
pub(crate) fn warm_up() {
    clock();
}

/// Returns the present moment, in ticks of an unspecified unit; never 0, which stands for "not yet".
#[inline]
pub(crate) fn ticks() -> u64 {
    clock().raw() | 1
}

/// Converts ticks to a duration.
pub(crate) fn duration(ticks: u64) -> Duration {
    Duration::from_nanos(nanoseconds(ticks))
}

/// Converts ticks to nanoseconds. For a moment, they count from an origin that is constant within the
/// process.
#[inline]
pub(crate) fn nanoseconds(ticks: u64) -> u64 {
    clock().delta_as_nanos(0, ticks)
}

/// Returns the time between two moments; zero if they are out of order, as readings of two processors
/// may be by a few nanoseconds.
pub(crate) fn between(start: u64, end: u64) -> Duration {
    duration(end.saturating_sub(start))
}

/// Returns the wall-clock time of a moment, computed back from now, so that recording the moment does
/// not read that clock.
pub(crate) fn wall_time(moment: u64) -> SystemTime {
    let age = between(moment, ticks());
    let now = SystemTime::now();
    now.checked_sub(age).unwrap_or(now)
}
