//! Totals of the process are exact if no other thread allocates.

use std::hint::black_box;
use std::thread;

use alloc_counter::{Counting, Counts, current_thread, exclude, exclude_counted, process};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

fn main() {
    all_totals_are_of_this_thread_or_overhead();
    blocks_freed_on_another_thread_balance_in_the_totals();
    excluded_requests_are_overhead();
    excluded_requests_are_counted();
    a_slot_takes_the_documented_memory();
    threads_take_back_what_they_had_for_sites();
    println!("test result: ok. 5 passed; 0 failed");
}

fn all_totals_are_of_this_thread_or_overhead() {
    let (process, me) = (process().unwrap(), current_thread().unwrap());
    assert_eq!(process.slots, 1);
    assert_eq!(process.overhead.allocations, 1);
    assert_eq!(process.unattributed, Counts::ZERO);
    assert_eq!(process.counts, me.counts + process.overhead);
    assert_eq!(me.thread, 1);
}

fn blocks_freed_on_another_thread_balance_in_the_totals() {
    // The first thread makes the standard library allocate blocks that it keeps for good.
    thread::spawn(|| ()).join().unwrap();
    let before = process().unwrap();
    let block = thread::spawn(|| black_box(vec![1_u8; 1_000_000]));
    let block = block.join().unwrap();
    let held = process().unwrap();
    drop(block);
    let after = process().unwrap();

    assert_eq!(
        after.counts - held.counts,
        Counts {
            deallocations: 1,
            bytes_deallocated: 1_000_000,
            ..Counts::ZERO
        },
    );
    let all = after.counts - before.counts;
    assert_eq!(all.allocations, all.deallocations);
    assert_eq!(all.net_bytes(), 0);
    assert!(all.bytes_allocated >= 1_000_000);
    assert_eq!(after.slots, 2);
    assert_eq!(after.overhead, before.overhead);
    assert_eq!(after.unattributed, Counts::ZERO);
}

fn excluded_requests_are_overhead() {
    let (before, me) = (process().unwrap(), current_thread());
    exclude(|| {
        let mut bytes = black_box(vec![1_u8; 100]);
        exclude(|| bytes.reserve_exact(200));
        bytes.shrink_to(black_box(150));
    });
    let after = process().unwrap();
    let excluded = Counts {
        allocations: 1,
        deallocations: 1,
        reallocations: 2,
        bytes_allocated: 300,
        bytes_deallocated: 300,
    };
    assert_eq!(after.overhead - before.overhead, excluded);
    assert_eq!(after.counts - before.counts, excluded);
    assert_eq!(current_thread(), me);
}

fn excluded_requests_are_counted() {
    let (before, me) = (process().unwrap(), current_thread());
    let ((), counts) = exclude_counted(|| {
        let mut bytes = black_box(vec![1_u8; 100]);
        bytes.reserve_exact(200);
        bytes.shrink_to(black_box(150));
    });
    let after = process().unwrap();
    let expected = Counts {
        allocations: 1,
        deallocations: 1,
        reallocations: 2,
        bytes_allocated: 300,
        bytes_deallocated: 300,
    };
    assert_eq!(counts, expected);
    assert_eq!(after.overhead - before.overhead, expected);
    assert_eq!(current_thread(), me);
}

fn a_slot_takes_the_documented_memory() {
    let process = process().unwrap();
    assert_eq!(process.slots, 2);
    assert_eq!(process.overhead.net_bytes(), 2 * 256);
}

/// Each thread has tables and rules for walks, on Linux.
fn threads_take_back_what_they_had_for_sites() {
    let record = || {
        let work = || drop(black_box(vec![1_u8; 100]));
        let recorded = alloc_counter::sites(work).sites.unwrap();
        assert_eq!((recorded.len(), recorded[0].bytes_allocated), (1, 100));
        // They are overhead, too.
        exclude(|| drop(recorded));
    };
    // The first reads the tables, which all share.
    thread::spawn(record).join().unwrap();
    let before = process().unwrap();
    for _ in 0..10 {
        thread::spawn(record).join().unwrap();
    }
    let after = process().unwrap();
    let overhead = after.overhead - before.overhead;
    // AddressSanitizer hides a thread's stack, so a further thread makes the cache, and frees what starts it.
    let of_start = if cfg!(asan) { 10 * 64 } else { 0 };
    assert_eq!(overhead.net_bytes(), of_start, "{overhead:?}");
    assert!(!cfg!(target_os = "linux") || overhead.bytes_allocated > 10 * (40 << 10));
    assert_eq!((after.counts - before.counts).net_bytes(), 0);
}
