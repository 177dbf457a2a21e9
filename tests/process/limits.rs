//! The tracer's own memory for one trace is bounded by its limit of calls.

use tracer::alloc::process;
use tracer::{Limits, Trace, call};

/// The number of calls of each task.
const CALLS: u64 = 25_000;

/// A record and three records of text for each call, a chunk for each strand, and the directories.
const BOUND: i64 = 1000 * 4 * 128 + 10 * 4096;

fn overhead_bytes() -> i64 {
    process().unwrap().overhead.net_bytes()
}

async fn work() {
    for _ in 0..CALLS / 100 {
        for _ in 0..100 {
            let call = call!("{:100}", "long", rows = 1);
            drop(std::hint::black_box(Box::new(1_u8)));
            call.stop();
        }
        tokio::task::yield_now().await;
    }
}

pub(crate) fn a_hundred_thousand_calls_in_one_trace_of_four_workers() {
    const TASKS: u64 = 4;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).build().unwrap();
    let before = overhead_bytes();
    // Each trace reuses the memory of the previous one.
    for _ in 0..3 {
        let trace = Trace::with_limits(10, Limits::default().calls(1000));
        let tasks = (0..TASKS).map(|_| runtime.spawn(trace.instrument(work())));
        for task in tasks.collect::<Vec<_>>() {
            runtime.block_on(task).unwrap();
        }
        let grown = overhead_bytes() - before;
        assert!(grown > 0 && grown < BOUND, "{grown} bytes");
        let report = trace.report();
        let folded: u64 = report.folded.iter().map(|it| it.calls).sum();
        assert_eq!(report.calls.len() as u64 + folded, TASKS * CALLS);
        assert!(report.calls.len() <= 1000);
        // `yield_now` may allocate as well.
        assert!(report.total.unwrap().allocations >= TASKS * CALLS);
    }
}
