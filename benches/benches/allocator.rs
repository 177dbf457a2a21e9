//! An allocation with its free, of 64 bytes: what counting adds to `System`.
//!
//! The allocators are called directly, as only one can be the global one, and they are to take
//! turns in one process. The calls are those that a global allocator gets.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use alloc_counter::Counting;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tracer_benches::Race;

static COUNTING: Counting = Counting::system();
static STATS: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const LAYOUT: Layout = Layout::new::<[u8; 64]>();

#[inline]
#[expect(
    unsafe_code,
    reason = "there is no safe way to an allocator that is not the global one"
)]
fn pair(allocator: &impl GlobalAlloc) {
    // SAFETY: the layout is not empty, and the block is freed once, with the layout and by the
    // allocator from which it came.
    unsafe {
        let block = allocator.alloc(black_box(LAYOUT));
        allocator.dealloc(black_box(block), LAYOUT);
    }
}

fn pairs(allocator: &impl GlobalAlloc, times: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        pair(allocator);
    }
    start.elapsed()
}

/// So many pairs on each of the threads at once: the mean of their times.
fn on_threads(threads: u32, allocator: &(impl GlobalAlloc + Sync), times: u64) -> Duration {
    let together = Barrier::new(threads as usize);
    let total: Duration = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    pair(allocator);
                    together.wait();
                    pairs(allocator, times)
                })
            })
            .collect();
        let times = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        times.map(Result::unwrap_or_default).sum()
    });
    total / threads
}

fn main() {
    Race::new("alloc + free of 64 bytes, 1 thread")
        .timed("System", |times| pairs(&System, times))
        .timed("Counting", |times| pairs(&COUNTING, times))
        .timed("stats_alloc", |times| pairs(STATS, times))
        .run();
    Race::new("alloc + free of 64 bytes, 2 threads")
        .timed("System", |times| on_threads(2, &System, times))
        .timed("Counting", |times| on_threads(2, &COUNTING, times))
        .timed("stats_alloc", |times| on_threads(2, STATS, times))
        .run();
}
