//! Rayon's jobs.

use std::time::Duration;

use rayon::prelude::*;
use tracer::alloc::Budget;
use tracer::{each_in_current_trace, in_current_trace};

use crate::{bytes, leak, told};

fn pool() -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    pool.broadcast(|_| ());
    pool
}

fn halves(leaked: usize) {
    rayon::join(
        in_current_trace(|| drop(bytes(500))),
        in_current_trace(move || {
            drop(bytes(70));
            if leaked > 0 {
                leak(leaked);
            }
        }),
    );
}

#[test]
fn jobs_of_the_pools_own_threads_are_balanced() {
    pool().install(|| {
        for _ in 0..100 {
            Budget::balanced().assert(|| halves(0));
        }
        let failure = Budget::balanced()
            .waits(Duration::ZERO)
            .check(|| halves(123));
        assert_eq!(told(failure), "1 block, 123 bytes: 1 of 123");
    });
}

#[test]
fn every_sixtieth_job_from_outside_leaves_a_block_of_the_pools_queue() {
    let pool = pool();
    let install = || {
        let item = each_in_current_trace(|size: usize| drop(bytes(size + 1)));
        let items = || (0..10).into_par_iter().for_each(item);
        pool.install(in_current_trace(items));
    };
    let budget = Budget::balanced().waits(Duration::from_millis(20));
    let kept: Vec<_> = (0..630)
        .filter_map(|_| budget.check(install).err())
        .collect();
    assert_eq!(kept.len(), 10);
    for failure in kept {
        let kept = failure.kept().unwrap();
        // Of 63 places, which is freed when all have been used.
        assert_eq!((kept.blocks, kept.bytes > 63 * 16), (1, true), "{failure}");
    }
}

#[test]
fn spawned_jobs_are_waited_for() {
    let pool = pool();
    pool.install(|| {
        for _ in 0..100 {
            Budget::balanced().assert(|| rayon::spawn(in_current_trace(|| drop(bytes(100)))));
        }
    });
}
