//! Traced futures that await one another, ten thousand deep.

use std::future::Future;
use std::pin::Pin;

use tracer::{Outcome, Trace, call};

use crate::by_hand::run;
use crate::common::allocate;
use crate::pause::pause;
use crate::{runtime, step};

#[test]
fn recursion_with_boxed_futures() {
    fn down(depth: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let call = call!("{depth}");
        Box::pin(call.instrument(async move {
            if depth > 0 {
                down(depth - 1).await;
            }
            step(1).await;
        }))
    }
    let trace = Trace::new();
    runtime().block_on(trace.instrument(async {
        let future = down(3);
        allocate(0);
        future.await;
    }));
    let report = trace.report();
    let own: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let id = call.id.as_deref().unwrap();
            (id, call.parent, call.self_counts.unwrap().allocations)
        })
        .collect();
    // One block of its own, and the box of the future within; the innermost has no box.
    assert_eq!(
        own,
        [
            ("3", None, 2),
            ("2", Some(0), 2),
            ("1", Some(1), 2),
            ("0", Some(2), 1),
        ]
    );
}

/// Calls itself down to `depth`; the innermost is pending `times` times.
pub(crate) fn down(depth: u32, times: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(call!().instrument(async move {
        if depth > 1 {
            down(depth - 1, times).await;
        } else {
            pause(times).await;
        }
        allocate(1);
    }))
}

/// Runs `work` on a thread whose stack is large enough for ten thousand nested futures.
pub(crate) fn on_a_big_stack(work: impl FnOnce() + Send + 'static) {
    let big = std::thread::Builder::new().stack_size(1 << 30);
    big.spawn(work).unwrap().join().unwrap();
}

#[test]
fn ten_thousand_async_calls_deep() {
    const DEPTH: u32 = 10_000;
    let trace = Trace::new();
    let run_there = trace.clone();
    on_a_big_stack(move || {
        // Every poll resumes all open calls, and suspends them again.
        run(run_there.instrument(async { down(DEPTH, 20).await }));
    });
    let report = trace.report();
    assert_eq!((report.calls.len(), report.dropped), (10_000, 0));
    for (depth, call) in report.calls.iter().enumerate() {
        assert_eq!(call.parent, depth.checked_sub(1));
        assert_eq!((&call.outcome, call.partial), (&Outcome::Ok, false));
        // One block of its own, and the box of the future within; the innermost has no box.
        let within = 2 * (u64::from(DEPTH) - depth as u64) - 1;
        assert_eq!(call.total.unwrap().allocations, within);
        assert_eq!(
            call.self_counts.unwrap().allocations,
            if depth == 9_999 { 1 } else { 2 }
        );
    }
}
