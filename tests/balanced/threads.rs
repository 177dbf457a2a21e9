//! Threads of the standard library: what they allocate, and what they free of others.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use tracer::alloc::Budget;
use tracer::{InCurrentTrace, Trace, in_current_trace};

use crate::{bytes, leak, told};

#[test]
fn spawned_threads_are_balanced() {
    let spawns = |leaked: usize| {
        let threads: Vec<_> = (1..=4)
            .map(|number| {
                thread::spawn(in_current_trace(move || {
                    drop(bytes(1000 * number));
                    if number == 3 && leaked > 0 {
                        leak(leaked);
                    }
                }))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    };
    spawns(0);
    for _ in 0..100 {
        Budget::balanced().assert(|| spawns(0));
    }
    let failure = Budget::balanced().check(|| spawns(999));
    assert_eq!(told(failure), "1 block, 999 bytes: 1 of 999");
}

#[test]
fn scoped_threads_are_balanced() {
    let work = || {
        thread::scope(|threads| {
            for number in 1..=4 {
                threads.spawn(in_current_trace(move || drop(bytes(1000 * number))));
            }
        });
    };
    for _ in 0..100 {
        Budget::balanced().assert(work);
    }
}

#[test]
fn threads_that_are_not_joined_are_waited_for() {
    for _ in 0..100 {
        Budget::balanced().assert(|| {
            drop(thread::spawn(in_current_trace(|| drop(bytes(500)))));
        });
    }
}

#[test]
fn a_plain_thread_may_free_it() {
    // Neither in the trace, nor anything else of the tracer.
    let queue = Mutex::new(Vec::with_capacity(100));
    let is_over = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            while !is_over.load(Relaxed) {
                let taken: Option<Vec<u8>> = queue.lock().unwrap().pop();
                if taken.is_none() {
                    thread::yield_now();
                }
                drop(taken);
            }
        });
        for _ in 0..100 {
            Budget::balanced().assert(|| {
                for size in 1..=100 {
                    queue.lock().unwrap().push(bytes(size));
                }
                while !queue.lock().unwrap().is_empty() {
                    thread::yield_now();
                }
            });
        }
        is_over.store(true, Relaxed);
    });
}

#[test]
fn a_plain_thread_may_free_it_later() {
    for _ in 0..20 {
        let slot = Arc::new(Mutex::new(None));
        let there = Arc::clone(&slot);
        let frees = thread::spawn(move || {
            while there.lock().unwrap().is_none() {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(2));
            drop(there.lock().unwrap().take());
        });
        Budget::balanced().assert(|| *slot.lock().unwrap() = Some(bytes(4321)));
        frees.join().unwrap();
    }
}

#[test]
fn blocks_are_followed_through_reallocations_of_all_threads() {
    let grow = |mut block: Vec<u8>, by: usize| {
        for _ in 0..by {
            block.reserve_exact(2 * block.capacity());
        }
        block
    };
    // Freed after many moves.
    Budget::balanced().assert(|| {
        let block = grow(bytes(10), 3);
        let block = thread::spawn(move || grow(block, 10)).join().unwrap();
        let mut block = thread::spawn(in_current_trace(move || grow(block, 2)))
            .join()
            .unwrap();
        block.shrink_to(5);
        thread::spawn(|| drop(block)).join().unwrap();
    });
    // Kept after many moves, with its last size.
    let slot = Mutex::new(None);
    let checked = Budget::balanced().check(|| {
        let block = bytes(10);
        let moved = thread::spawn(move || grow(block, 10)).join().unwrap();
        let mut moved = thread::spawn(in_current_trace(move || grow(moved, 1)))
            .join()
            .unwrap();
        moved.shrink_to(1500);
        *slot.lock().unwrap() = Some(moved);
    });
    assert_eq!(told(checked), "1 block, 1500 bytes: 1 of 1500");
}

#[test]
fn memory_of_before_that_grows_is_kept_and_what_shrinks_or_is_freed_is_not() {
    let mut outer = bytes(100);
    let budget = Budget::balanced().waits(Duration::ZERO);
    let grown = budget.check(|| outer.reserve_exact(200));
    assert_eq!(told(grown), "1 block, 200 bytes: 1 of 200");
    let shrunk = budget.check(|| outer.shrink_to(50));
    assert_eq!(told(shrunk), "balanced");
    let freed = budget.check(|| drop(outer));
    assert_eq!(told(freed), "balanced");
    // What is freed of before hides nothing.
    let old = bytes(300);
    let exchanged = budget.check(|| {
        drop(old);
        leak(300);
    });
    assert_eq!(told(exchanged), "1 block, 300 bytes: 1 of 300");
}

#[test]
fn a_value_that_is_returned_is_kept() {
    let checked = Budget::balanced().waits(Duration::ZERO).check(|| bytes(64));
    assert_eq!(told(checked), "1 block, 64 bytes: 1 of 64");
}

#[test]
fn blocks_of_other_threads_are_not_the_codes() {
    let (start, stop) = (Barrier::new(2), Mutex::new(()));
    let held = stop.lock().unwrap();
    thread::scope(|threads| {
        threads.spawn(|| {
            start.wait();
            let mut kept = Vec::new();
            while stop.try_lock().is_err() {
                kept.push(bytes(10));
                leak(1);
            }
        });
        start.wait();
        for _ in 0..200 {
            Budget::balanced().assert(|| drop(bytes(10)));
        }
        drop(held);
    });
}

#[test]
fn a_hundred_thousand_blocks() {
    let make = || (1..=100_000).map(|size| bytes(size % 100 + 1)).collect();
    Budget::balanced().assert(|| {
        let blocks: Vec<Vec<u8>> = make();
        thread::spawn(in_current_trace(|| drop(blocks)))
            .join()
            .unwrap();
    });
    let checked = Budget::balanced().waits(Duration::ZERO).check(|| {
        let blocks: Vec<Vec<u8>> = make();
        blocks.into_iter().skip(10_000).for_each(std::mem::forget);
    });
    assert_eq!(
        told(checked),
        "90000 blocks, 4545000 bytes: 900 of 100, 900 of 99, 900 of 98, 900 of 97, 900 of 96, 85500 smaller"
    );
}

#[test]
fn more_blocks_than_can_be_followed_are_not_green() {
    let budget = Budget::balanced().waits(Duration::ZERO);
    let work = |blocks: usize| {
        let blocks: Vec<Box<u8>> = (0..blocks).map(|_| Box::new(1)).collect();
        drop(std::hint::black_box(blocks));
    };
    // The list has a block of its own.
    let failure = budget.check(|| work(1 << 20)).unwrap_err();
    assert_eq!(failure.brief(), "kept bytes not known, exactly 0");
    assert_eq!(failure.kept(), None);
    let text = failure.to_string();
    assert!(
        text.contains("what was kept can't be told: over 1,048,576 live blocks"),
        "{text}"
    );
    // The next one knows again.
    assert_eq!(told(budget.check(|| work(10))), "balanced");
}

#[test]
fn work_without_a_strand_is_not_green() {
    let budget = Budget::balanced().waits(Duration::ZERO);
    let begin = |futures: usize| {
        // One by one, and then added up: as many as may be open.
        drop(
            (0..futures)
                .map(|_| async {}.in_current_trace())
                .collect::<Vec<_>>(),
        );
    };
    assert_eq!(told(budget.check(|| begin(10_999))), "balanced");
    let failure = budget.check(|| begin(11_100)).unwrap_err();
    assert_eq!(failure.brief(), "kept bytes not known, exactly 0");
    assert!(
        failure
            .to_string()
            .contains("or a part of the trace was dropped")
    );
}

#[test]
fn a_trace_that_outlives_its_budget_does_not_disturb_the_next() {
    let mut late = Vec::new();
    for _ in 0..100 {
        let mut trace = Trace::empty();
        Budget::balanced().assert(|| trace = tracer::fetch());
        // As a task that was not over: it goes on beside the next budgets.
        late.push(thread::spawn(move || {
            let _scope = trace.inject();
            for _ in 0..50 {
                leak(1);
            }
        }));
        Budget::balanced().assert(|| drop(bytes(1)));
    }
    for thread in late {
        thread.join().unwrap();
    }
}
