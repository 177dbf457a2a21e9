//! Several threads: each has its own figures, which other threads can read.

use std::hint::black_box;
use std::sync::OnceLock;
use std::thread;

use alloc_counter::{
    Counting, Counts, Local, Region, ThreadCounts, current_thread, measure, threads,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// Returns the figures of a running thread, by its number.
fn figures_of(thread: u64) -> Option<ThreadCounts> {
    threads().find(|figures| figures.thread == thread)
}

#[test]
fn a_thread_that_frees_blocks_of_another_goes_negative() {
    let allocating = || measure(|| black_box(vec![1_u8; 1000]));
    let allocated = thread::spawn(allocating).join().unwrap();
    assert_eq!(
        allocated.counts,
        Some(Counts {
            allocations: 1,
            bytes_allocated: 1000,
            ..Counts::ZERO
        }),
    );
    let freed = measure(|| drop(allocated.value)).counts.unwrap();
    assert_eq!(
        freed,
        Counts {
            deallocations: 1,
            bytes_deallocated: 1000,
            ..Counts::ZERO
        },
    );
    assert_eq!(freed.net_bytes(), -1000);
}

#[test]
fn a_noisy_thread_does_not_disturb_a_quiet_one() {
    thread::scope(|scope| {
        let quiet = scope.spawn(|| {
            let throughout = Region::new();
            for _ in 0..10_000 {
                let measured = measure(|| black_box(1) + black_box(1));
                assert_eq!(measured.counts, Some(Counts::ZERO));
                assert_eq!(measured.peak_bytes, Some(0));
            }
            assert_eq!(throughout.counts(), Some(Counts::ZERO));
        });
        while !quiet.is_finished() {
            drop(black_box(vec![1_u8; 100]));
        }
    });
}

#[test]
fn a_reader_sees_the_totals_of_a_working_thread_grow() {
    const ROUNDS: u64 = 100_000;
    let (working, at_end) = (current_thread().unwrap(), OnceLock::new());
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = working.counts;
            loop {
                let at_end = at_end.get().copied();
                let now = figures_of(working.thread).unwrap().counts;
                for (earlier, later) in seen.to_array().into_iter().zip(now.to_array()) {
                    assert!(earlier <= later, "first {seen}, then {now}");
                }
                seen = now;
                if let Some(at_end) = at_end {
                    assert_eq!(now, at_end);
                    break;
                }
            }
        });
        let worked = measure(|| {
            for _ in 0..ROUNDS {
                let mut bytes = black_box(vec![1_u8; 100]);
                bytes.reserve_exact(200);
                bytes.shrink_to(black_box(150));
            }
        });
        at_end.set(current_thread().unwrap().counts).unwrap();
        while !reader.is_finished() {
            thread::yield_now();
        }
        assert_eq!(
            worked.counts,
            Some(Counts {
                allocations: ROUNDS,
                deallocations: ROUNDS,
                reallocations: 2 * ROUNDS,
                bytes_allocated: 300 * ROUNDS,
                bytes_deallocated: 300 * ROUNDS,
            }),
        );
    });
}

#[test]
fn a_thread_is_listed_under_its_number() {
    let me = current_thread().unwrap();
    assert_eq!(figures_of(me.thread), current_thread());
    assert_eq!(Local::current().unwrap().thread(), me.thread);
}

#[test]
fn numbers_are_not_reused_and_ended_threads_not_listed() {
    let number = || current_thread().unwrap().thread;
    let first = thread::spawn(number).join().unwrap();
    let second = thread::spawn(number).join().unwrap();
    assert!(first < second);
    assert_eq!(figures_of(first), None);
    assert_eq!(figures_of(second), None);
}
