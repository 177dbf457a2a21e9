//! The clock: ticks, which cost one instruction to read, and their conversion.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use quanta::Clock;

/// Calibrated once. `quanta` reads the time-stamp counter if the processor keeps a steady one, and falls
/// back to the operating system's clock if it does not.
static CLOCK: OnceLock<Clock> = OnceLock::new();

/// Whether that is the time-stamp counter, so that [`counter_ticks`] has the same ticks.
static IS_COUNTER: AtomicBool = AtomicBool::new(false);

#[cold]
#[inline(never)]
fn calibrate() -> &'static Clock {
    let clock = alloc_counter::exclude(|| CLOCK.get_or_init(Clock::new));
    IS_COUNTER.store(reads_counter(clock), Relaxed);
    clock
}

/// The operating system's clock has nanoseconds, so converting them changes nothing. A counter of nanoseconds is
/// taken for it.
fn reads_counter(clock: &Clock) -> bool {
    const LONG: u64 = 1 << 40;
    let is_known = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
    is_known && clock.delta_as_nanos(0, LONG) != LONG
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
    if is_counter() {
        return counter_ticks() | 1;
    }
    clock().raw() | 1
}

/// Returns whether [`counter_ticks`] may be used instead of [`ticks`].
#[inline]
pub(crate) fn is_counter() -> bool {
    IS_COUNTER.load(Relaxed)
}

/// Returns the ticks of the time-stamp counter, in one instruction and without a call. It counts from the
/// processor's reset, so this is never 0.
#[inline(always)]
#[expect(clippy::inline_always, reason = "one instruction")]
pub(crate) fn counter_ticks() -> u64 {
    alloc_counter::time_stamp()
}

/// Converts ticks to a duration.
#[inline]
pub(crate) fn duration(ticks: u64) -> Duration {
    from_nanoseconds(nanoseconds(ticks))
}

/// Returns a duration, without a division if it is below a second, as most are.
#[inline]
pub(crate) fn from_nanoseconds(nanoseconds: u64) -> Duration {
    match u32::try_from(nanoseconds) {
        Ok(below_a_second @ 0..1_000_000_000) => Duration::new(0, below_a_second),
        _ => Duration::from_nanos(nanoseconds),
    }
}

/// Converts ticks to nanoseconds. For a moment, they count from an origin that is constant within the
/// process.
#[inline]
pub(crate) fn nanoseconds(ticks: u64) -> u64 {
    clock().delta_as_nanos(0, ticks)
}

/// Returns the time between two moments; zero if they are out of order, as readings of two processors
/// may be by a few nanoseconds.
#[inline]
pub(crate) fn between(start: u64, end: u64) -> Duration {
    from_nanoseconds(nanoseconds_between(start, end))
}

/// Returns the time [`between`] two moments, in nanoseconds.
#[inline]
pub(crate) fn nanoseconds_between(start: u64, end: u64) -> u64 {
    nanoseconds(end.saturating_sub(start))
}

/// Returns the wall-clock time of a moment, computed back from now, so that recording the moment does
/// not read that clock.
pub(crate) fn wall_time(moment: u64) -> SystemTime {
    let age = between(moment, ticks());
    let now = SystemTime::now();
    now.checked_sub(age).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_ticks_are_those_of_the_clock() {
        warm_up();
        if is_counter() {
            let moments = [ticks(), counter_ticks() | 1, ticks()];
            assert!(moments.is_sorted(), "{moments:?}");
        }
    }
}
