//! Random programs on several threads, against two oracles: `stats_alloc` as the inner allocator, for
//! the process, and a sum for each thread.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Mutex;
use std::thread;

use alloc_counter::{Counting, Counts, measure};
use proptest::collection::vec;
use proptest::prelude::*;
use stats_alloc::StatsAlloc;

mod totals;

#[global_allocator]
static ALLOCATOR: Counting<StatsAlloc<System>> = Counting::new(StatsAlloc::system());

/// The limit of steps in a program, and so of blocks.
const STEPS: usize = 200;

#[derive(Clone, Copy, Debug)]
enum Step {
    Allocate(usize),
    AllocateZeroed(usize),
    /// Resizes this thread's newest block.
    Resize(usize),
    Free,
    /// Gives the newest block to all threads.
    HandOver,
    /// Takes a block that a thread has handed over.
    TakeOver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..5000_usize).prop_map(Step::Allocate),
        (1..5000_usize).prop_map(Step::AllocateZeroed),
        (1..5000_usize).prop_map(Step::Resize),
        Just(Step::Free),
        Just(Step::HandOver),
        Just(Step::TakeOver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    fn random_programs_agree(programs in vec(vec(step(), 0..STEPS), 1..4)) {
        let handed_over = Mutex::new(Vec::with_capacity(programs.len() * STEPS));
        thread::scope(|scope| {
            let running: Vec<_> = programs
                .iter()
                .map(|program| scope.spawn(|| run(program, &handed_over)))
                .collect();
            for thread in running {
                thread.join().unwrap();
            }
        });
        totals::assert_same_as(ALLOCATOR.inner().stats());
        drop(handed_over);
        totals::assert_same_as(ALLOCATOR.inner().stats());
    }
}

/// Runs a program and compares the measurement with the sum.
fn run(program: &[Step], handed_over: &Mutex<Vec<Vec<u8>>>) {
    let mut blocks = Vec::with_capacity(STEPS);
    let mut sum = Sum::default();
    let measured = measure(|| {
        for &step in program {
            take(step, &mut blocks, handed_over, &mut sum);
        }
    });
    assert_eq!(measured.counts, Some(sum.counts));
    assert_eq!(measured.peak_bytes, Some(sum.peak_bytes));
}

fn take(step: Step, blocks: &mut Vec<Vec<u8>>, handed_over: &Mutex<Vec<Vec<u8>>>, sum: &mut Sum) {
    match step {
        Step::Allocate(size) => {
            blocks.push(black_box(Vec::with_capacity(size)));
            sum.allocated(size);
        }
        Step::AllocateZeroed(size) => {
            blocks.push(black_box(vec![0; size]));
            sum.allocated(size);
        }
        Step::Resize(size) => {
            if let Some(block) = blocks.last_mut() {
                sum.resized(block.capacity(), size);
                block.clear();
                block.shrink_to(size);
                block.reserve_exact(size);
                assert_eq!(black_box(block).capacity(), size);
            }
        }
        Step::Free => {
            if let Some(block) = blocks.pop() {
                sum.freed(block.capacity());
            }
        }
        Step::HandOver => {
            handed_over.lock().unwrap().extend(blocks.pop());
        }
        Step::TakeOver => {
            blocks.extend(handed_over.lock().unwrap().pop());
        }
    }
}

/// The figures of a thread, by the rules of counting.
#[derive(Default)]
struct Sum {
    counts: Counts,
    peak_bytes: u64,
}

impl Sum {
    fn allocated(&mut self, size: usize) {
        self.counts.allocations += 1;
        self.counts.bytes_allocated += size as u64;
        self.raise();
    }

    fn resized(&mut self, old: usize, new: usize) {
        // `Vec` makes no request if the size is the same.
        self.counts.reallocations += u64::from(old != new);
        self.counts.bytes_allocated += new.saturating_sub(old) as u64;
        self.counts.bytes_deallocated += old.saturating_sub(new) as u64;
        self.raise();
    }

    fn freed(&mut self, size: usize) {
        self.counts.deallocations += 1;
        self.counts.bytes_deallocated += size as u64;
    }

    fn raise(&mut self) {
        let live = u64::try_from(self.counts.net_bytes()).unwrap_or(0);
        self.peak_bytes = self.peak_bytes.max(live);
    }
}

fn main() {
    // Requests of the runtime before `main` are counted as well. If there were none, this makes the
    // first one.
    assert!(alloc_counter::is_installed());
    totals::assert_same_as(ALLOCATOR.inner().stats());
    random_programs_agree();
    println!("test result: ok. 2 passed; 0 failed");
}
