//! What a recorder costs on the request's thread, where the request is not kept: the baseline of ten
//! calls included.

use std::hint::black_box;
use std::time::Duration;

use tracer::recorder::{Policy, Recorder, Recording};
use tracer::{Counting, Trace, call};
use tracer_benches::Race;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// So many requests are over one after the other; their records stay in the processor's cache.
const REQUESTS: u64 = 8;

/// Ten calls: one outermost, nine in it, three of them in another.
fn work() {
    let _handle = call!("handle");
    black_box(Box::new([0_u8; 64]));
    for _ in 0..3 {
        let _query = call!("query");
        black_box(Box::new([0_u8; 64]));
        call!("row").stop();
    }
    call!("render").stop();
    call!("encode").stop();
    call!("log").stop();
}

fn open(recorder: &Recorder) -> Recording {
    let recording = recorder.begin("GET /orders/{id}");
    let _scope = recording.inject();
    work();
    recording
}

fn traced() -> Trace {
    let trace = Trace::new();
    let _scope = trace.inject();
    work();
    trace
}

fn main() {
    let policy = Policy::default().slower_than(Duration::from_hours(1));
    let recorder = Recorder::builder().policy(policy).start();
    let recorder = recorder.expect("a thread");
    // The slowest and the heaviest of this minute are among these.
    for _ in 0..100_000 {
        drop(open(&recorder));
    }
    Race::new("a request of ten calls that is not kept")
        .rival("trace alone", traced)
        .rival("recorded, from begin to finish", || drop(open(&recorder)))
        .run();
    let many = || (0..REQUESTS).map(|_| open(&recorder)).collect::<Vec<_>>();
    let traces = || (0..REQUESTS).map(|_| traced()).collect::<Vec<_>>();
    Race::new("the end of it")
        .within("a trace's last handle", REQUESTS, traces, |traces| {
            drop(traces.pop())
        })
        .within("finish", REQUESTS, many, |recordings| {
            drop(recordings.pop())
        })
        .run();
}
