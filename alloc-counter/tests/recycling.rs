//! 10,000 short threads, 50 at once: they share 50 slots, and nothing is lost.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;

use alloc_counter::{Counting, Counts, current_thread, measure, process, threads};
use stats_alloc::StatsAlloc;

mod totals;

#[global_allocator]
static ALLOCATOR: Counting<StatsAlloc<System>> = Counting::new(StatsAlloc::system());

const AT_ONCE: usize = 50;
const WAVES: usize = 200;

/// Those at once, and the main thread's.
const SLOTS: usize = AT_ONCE + 1;

fn main() {
    waves_of_threads_share_the_slots_of_the_first();
    a_thread_begins_at_zero_in_a_used_slot();
    println!("test result: ok. 2 passed; 0 failed");
}

/// What each thread does.
const WORK: Counts = Counts {
    allocations: 3,
    deallocations: 3,
    reallocations: 3,
    bytes_allocated: 900,
    bytes_deallocated: 900,
};

fn work() {
    for _ in 0..3 {
        let mut bytes = black_box(vec![1_u8; 100]);
        bytes.reserve_exact(200);
    }
}

fn waves_of_threads_share_the_slots_of_the_first() {
    let all_are_alive = Barrier::new(AT_ONCE);
    let mut worked = Counts::ZERO;
    for _ in 0..WAVES {
        thread::scope(|scope| {
            let wave = [(); AT_ONCE].map(|()| {
                scope.spawn(|| {
                    let measured = measure(work);
                    all_are_alive.wait();
                    measured.counts.unwrap()
                })
            });
            // Joined one by one: the end of a scope does not wait for thread-locals' destructors.
            worked = wave
                .into_iter()
                .fold(worked, |sum, thread| sum + thread.join().unwrap());
        });
        assert_eq!(process().unwrap().slots, SLOTS);
        assert_eq!(threads().count(), 1);
        totals::assert_same_as(ALLOCATOR.inner().stats());
    }
    assert_eq!(worked, times(WORK, (WAVES * AT_ONCE) as u64));
    assert_eq!(process().unwrap().unattributed, Counts::ZERO);
}

fn a_thread_begins_at_zero_in_a_used_slot() {
    for _ in 0..2 {
        let begun = thread::spawn(|| {
            let begun = current_thread().unwrap().counts;
            drop(black_box(vec![1_u8; 100_000]));
            begun
        });
        assert!(begun.join().unwrap().bytes_allocated < 100_000);
    }
    assert_eq!(process().unwrap().slots, SLOTS);
    totals::assert_same_as(ALLOCATOR.inner().stats());
}

fn times(counts: Counts, factor: u64) -> Counts {
    Counts::from_array(counts.to_array().map(|total| total * factor))
}
