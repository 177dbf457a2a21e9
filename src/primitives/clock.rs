//! The clock: ticks, which cost one instruction to read, and their conversion.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use quanta::Clock;

/// Calibrated once. `quanta` reads the time-stamp counter where the processor keeps a steady one
/// and falls back to the operating system's clock where it does not.
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

/// Makes the clock ready: up to 200 ms, once in a process.
pub(crate) fn warm_up() {
    clock();
}

/// The present moment, in ticks of an unnamed unit; never 0, which stands for "not yet".
#[inline]
pub(crate) fn ticks() -> u64 {
    clock().raw() | 1
}

/// The time of so many ticks.
pub(crate) fn duration(ticks: u64) -> Duration {
    Duration::from_nanos(nanoseconds(ticks))
}

/// The same in nanoseconds; of a moment, since one that is the same in the whole process.
#[inline]
pub(crate) fn nanoseconds(ticks: u64) -> u64 {
    clock().delta_as_nanos(0, ticks)
}

/// The time between two moments; zero where they are out of order, as readings of two processors
/// may be by a few nanoseconds.
pub(crate) fn between(start: u64, end: u64) -> Duration {
    duration(end.saturating_sub(start))
}

/// The wall-clock time of a moment, reckoned back from now, so that it costs nothing when the
/// moment passes.
pub(crate) fn wall_time(moment: u64) -> SystemTime {
    let age = between(moment, ticks());
    let now = SystemTime::now();
    now.checked_sub(age).unwrap_or(now)
}
