//! 10,000 short threads, 50 at once, share 50 slots, and nothing is lost.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};

use alloc_counter::{
    Counting, Counts, Local, ThreadCounts, current_thread, measure, process, threads,
};
use stats_alloc::StatsAlloc;

mod totals;

#[global_allocator]
static ALLOCATOR: Counting<StatsAlloc<System>> = Counting::new(StatsAlloc::system());

const AT_ONCE: usize = 50;
const WAVES: usize = 200;

/// The slots of the threads at once, and of the main thread.
const SLOTS: usize = AT_ONCE + 1;

fn main() {
    waves_of_threads_share_the_slots_of_the_first();
    a_thread_begins_at_zero_in_a_used_slot();
    a_reader_of_threads_that_come_and_go_sees_no_torn_figures();
    println!("test result: ok. 3 passed; 0 failed");
}

/// The counts of each thread.
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
            // Joined one by one, because the end of a scope does not wait for destructors of
            // thread-locals.
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
    const MUCH: usize = 100_000;
    for _ in 0..2 {
        let thread = thread::spawn(|| {
            let begun = current_thread().unwrap().counts;
            assert!(begun.bytes_allocated < MUCH as u64);
            let local = Local::current().unwrap();
            let peak = local.take_peak() - local.counts().net_bytes();
            assert!(peak.unsigned_abs() < MUCH as u64);
            drop(black_box(vec![1_u8; MUCH]));
        });
        thread.join().unwrap();
    }
    assert_eq!(process().unwrap().slots, SLOTS);
    totals::assert_same_as(ALLOCATOR.inner().stats());
}

fn a_reader_of_threads_that_come_and_go_sees_no_torn_figures() {
    let come_and_go = || (0..2500).for_each(|_| thread::spawn(work).join().unwrap());
    thread::scope(|scope| {
        // More threads than processors, so that a reader is interrupted while it reads a slot.
        let spawning = [(); 4].map(|()| scope.spawn(come_and_go));
        while !spawning.iter().all(ScopedJoinHandle::is_finished) {
            for ThreadCounts { counts, .. } in threads() {
                // One thread's totals less another's start would wrap around.
                let greatest = counts.to_array().into_iter().max().unwrap();
                assert!(greatest < u64::MAX / 2, "{counts}");
            }
        }
        for thread in spawning {
            thread.join().unwrap();
        }
    });
    assert_eq!(process().unwrap().unattributed, Counts::ZERO);
    totals::assert_same_as(ALLOCATOR.inner().stats());
}

fn times(counts: Counts, factor: u64) -> Counts {
    Counts::from_array(counts.to_array().map(|total| total * factor))
}
