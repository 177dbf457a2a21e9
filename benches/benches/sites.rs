//! The cost of an allocation's site: the stack at an allocation, 20 functions below the beginning.
//!
//! The allocations are in four functions in turn, since equal stacks are the cheapest. A walk by the crate
//! `backtrace` is beside it, which records nothing.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tracer::Counting;
use tracer::alloc::Sites;
use tracer_benches::Race;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const DEPTH: u32 = 20;

fn main() {
    Race::new("an allocation and its free, 20 functions deep")
        .timed("without sites", |times| deep(times, allocate))
        .timed("a walk by `backtrace`, no allocation", |times| {
            deep(times, walk)
        })
        .timed("exact sites", |times| recorded(Sites::exact(), times))
        .timed("sites sampled at 512 KiB", |times| {
            recorded(Sites::sampled(512 << 10), times)
        })
        .run();
}

fn recorded(sites: Sites, times: u64) -> Duration {
    sites.record(|| deep(times, allocate)).value
}

fn deep(times: u64, work: fn()) -> Duration {
    down(DEPTH, &mut || {
        let places = [first, second, third, fourth];
        let start = Instant::now();
        for (_, place) in (0..times).zip(places.iter().cycle()) {
            place(work);
        }
        start.elapsed()
    })
}

#[inline(never)]
fn down(depth: u32, work: &mut dyn FnMut() -> Duration) -> Duration {
    if depth == 0 {
        return work();
    }
    black_box(down(depth - 1, work))
}

#[inline(never)]
fn first(work: fn()) {
    black_box(work)();
    black_box(1);
}

#[inline(never)]
fn second(work: fn()) {
    black_box(work)();
    black_box(2);
}

#[inline(never)]
fn third(work: fn()) {
    black_box(work)();
    black_box(3);
}

#[inline(never)]
fn fourth(work: fn()) {
    black_box(work)();
    black_box(4);
}

#[inline(never)]
fn allocate() {
    drop(black_box(Box::new(black_box([0_u8; 64]))));
}

#[inline(never)]
fn walk() {
    let mut frames = 0;
    backtrace::trace(|frame| {
        black_box(frame.ip());
        frames += 1;
        frames < 64
    });
    black_box(frames);
}
