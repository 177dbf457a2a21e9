//! What a call costs, beside the two clock reads that it can't do without.

use std::hint::black_box;

use tracer::{Counting, Trace, call};
use tracer_benches::Race;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// A trace takes so many calls before it is replaced by a fresh one, as requests do it.
const CALLS: u32 = 10;

fn main() {
    let clock = quanta::Clock::new();
    Race::new("a call")
        .rival("two bare clock reads", || {
            black_box(clock.raw());
            clock.raw()
        })
        .timed("call", |times| traced(times, || drop(call!())))
        .timed("call with an allocation and its free", |times| {
            traced(times, || {
                let _call = call!();
                black_box(Box::new([0_u8; 64]));
            })
        })
        .timed("call with an id of 36 bytes", |times| {
            let id = "ca7a87c4-58d0-4fdf-857c-ef49fc3bf271";
            traced(times, || drop(call!("{id}")))
        })
        .run();
    Race::new("a checkpoint")
        .rival("a bare clock read", || clock.raw())
        .timed("checkpoint", |times| {
            let mut time = std::time::Duration::ZERO;
            let mut left = times;
            while left > 0 {
                let trace = Trace::new();
                let _scope = trace.inject();
                let call = call!();
                let some = left.min(20);
                let start = std::time::Instant::now();
                for _ in 0..some {
                    call.checkpoint("serialize");
                }
                time += start.elapsed();
                left -= some;
            }
            time
        })
        .run();
    Race::new("with no trace")
        .rival("tracing span, no subscriber", || {
            tracing::info_span!("span").entered()
        })
        .rival("call", || call!())
        .run();
    Race::new("a trace")
        .rival("inject and finish", || {
            let trace = Trace::new();
            drop(trace.inject());
        })
        .rival("the same with 10 calls", || {
            let trace = Trace::new();
            let _scope = trace.inject();
            for _ in 0..CALLS {
                call!().stop();
            }
        })
        .run();
}

/// So many calls, in traces of a few dozen each, timed without the traces themselves.
fn traced(times: u64, mut work: impl FnMut()) -> std::time::Duration {
    let mut time = std::time::Duration::ZERO;
    let mut left = times;
    while left > 0 {
        let trace = Trace::new();
        let _scope = trace.inject();
        let some = left.min(28);
        let start = std::time::Instant::now();
        for _ in 0..some {
            work();
        }
        time += start.elapsed();
        left -= some;
    }
    time
}
