//! Meters, read from another thread.

use alloc_counter::model::Counters;
use loom::thread;

use super::{explore, leak};
use crate::store::meter::Meter;

/// Counters with a large count, so that a reading that mixes two states is far off.
pub(super) fn counters(before: usize) -> Counters {
    let counters = Counters::claim().unwrap();
    for _ in 0..before {
        counters.allocate(1000);
    }
    counters
}

pub(super) fn run(meter: &Meter, counters: &Counters) {
    meter.run(Some(counters.local()), 1);
}

pub(super) fn stand(meter: &Meter, counters: &Counters) {
    assert!(meter.pause(Some(counters.local()), 2));
}

/// Returns the reading's allocations and bytes, and whether it is exact.
fn read(meter: &Meter) -> (u64, u64, bool) {
    let (reading, is_exact) = meter.read();
    let counts = reading.counts;
    (counts.allocations, counts.bytes_allocated, is_exact)
}

/// Checks that a strand that has made this many allocations of one byte is read as one that has.
fn assert_exact(meter: &Meter, allocations: std::ops::RangeInclusive<u64>) {
    let (found, bytes, is_exact) = read(meter);
    if is_exact {
        assert!(allocations.contains(&found), "{found}");
        assert!(allocations.contains(&bytes), "{bytes}");
    }
    if let Some(counts) = meter.paused_counts() {
        assert_eq!(counts.allocations, counts.bytes_allocated);
        assert!(allocations.contains(&counts.allocations), "{counts:?}");
    }
}

#[test]
fn a_meter_that_begins_to_run_is_read_before_or_after() {
    explore(3, || {
        let meter = leak(Meter::new());
        let counters = counters(3);
        let reader = thread::spawn(|| assert_exact(meter, 0..=1));
        run(meter, &counters);
        counters.allocate(1);
        reader.join().unwrap();
    });
}

#[test]
fn a_meter_that_comes_to_a_stand_is_read_before_or_after() {
    explore(2, || {
        let meter = leak(Meter::new());
        let counters = counters(3);
        run(meter, &counters);
        let reader = thread::spawn(|| assert_exact(meter, 0..=1));
        counters.allocate(1);
        stand(meter, &counters);
        counters.allocate(1000);
        reader.join().unwrap();
        assert_eq!(read(meter), (1, 1, true));
    });
}

/// The strand was on one thread and moves to another.
#[test]
fn a_meter_that_changes_threads_is_read_with_its_own() {
    explore(3, || {
        let meter = leak(Meter::new());
        let (one, other) = (counters(3), counters(5));
        run(meter, &one);
        one.allocate(1);
        stand(meter, &one);
        one.allocate(1000);
        let reader = thread::spawn(|| assert_exact(meter, 1..=2));
        run(meter, &other);
        other.allocate(1);
        reader.join().unwrap();
        assert_eq!(read(meter), (2, 2, true));
    });
}

/// The strand's thread ends, and the next thread takes the counters.
#[test]
fn a_meter_whose_thread_ends_is_not_read_as_the_next_threads() {
    explore(3, || {
        let meter = leak(Meter::new());
        let ends = counters(0);
        let reader = thread::spawn(|| assert_exact(meter, 0..=1));
        run(meter, &ends);
        ends.allocate(1);
        drop(ends);
        let _next = counters(1);
        reader.join().unwrap();
        assert_eq!(read(meter), (0, 0, false));
    });
}
