//! A request of nine calls and six checkpoints: see [`tracer_benches::workload`]. Making the trace and
//! ending it are measured as well.

use std::fmt::Write;
use std::hint::black_box;

use tracer::Counting;
use tracer_benches::processor::process_time;
use tracer_benches::workload::{
    in_fastrace, in_fastrace_without_parent, in_tracing, request, traced, untraced,
};
use tracer_benches::{Race, each_of, each_of_by, requests};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// The requests that `fastrace` collects together. It starts a thread for that, whose cost is small for
/// this number.
const HANDED_IN: u32 = 500;

fn main() {
    with_no_trace();
    requests::record_elsewhere();
    recorded();
    reported();
}

/// The floor is the tree without any tracing.
fn with_no_trace() {
    Race::new("9 calls, 6 checkpoints, with no trace")
        .rival("untraced", untraced::root)
        .rival("tracer", traced::root)
        .rival("tracing, no subscriber", in_tracing::root)
        .rival("fastrace, no parent", in_fastrace_without_parent::root)
        .run();
}

/// The floor is the tree with the clock reads that nine timed calls and six checkpoints need. The bare
/// `Registry` reads no clock. The time does not include the work of `fastrace`'s collector thread.
fn recorded() {
    let clock = quanta::Clock::new();
    Race::new("9 calls, 6 checkpoints, recorded")
        .rival("untraced, and 24 bare clock reads", || {
            untraced::root();
            for _ in 0..24 {
                black_box(clock.raw());
            }
        })
        .rival("tracer", || drop(request()))
        .rival("tracing, bare Registry", in_tracing::root)
        .timed("fastrace", |times| {
            requests::collected(times, |times| each_of(times, 1, in_fastrace::root))
        })
        .run();
}

/// The cost until there is plain data to read: a report of `tracer`, or the records that `fastrace`
/// makes of many requests at a time, on another thread. So this is the processor time of all threads.
/// Only `tracer` also writes text.
fn reported() {
    let mut text = String::with_capacity(4096);
    Race::new("9 calls, 6 checkpoints, until it can be read: processor time")
        .timed("tracer: recorded and reported", |times| {
            each_of_by(process_time, times, 1, || request().report())
        })
        .timed("tracer: recorded and printed", |times| {
            each_of_by(process_time, times, 1, || {
                text.clear();
                let written = write!(text, "{}", request());
                black_box((&written, &text));
            })
        })
        .timed("fastrace: recorded and collected", |times| {
            each_of_by(process_time, times, HANDED_IN, || {
                for _ in 0..HANDED_IN {
                    in_fastrace::root();
                }
                fastrace::flush();
            })
        })
        .run();
}
