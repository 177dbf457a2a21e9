//! Branches of one task, polled in turns by a `join!` or a `select!`.

use std::pin::pin;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tracer::{Trace, call};

use crate::boxes::boxes;
use crate::by_hand::run;
use crate::common::allocate;
use crate::lines::{calls, calls_of};
use crate::pause::pause;
use crate::{assert_exact, runtime, step};

/// Holds a plain guard across its polls, and awaits a traced future within.
pub(crate) async fn branch(count: u32) -> u32 {
    let plain = call!("plain {count}");
    step(count).await;
    call!("inside {count}").instrument(step(10 * count)).await;
    plain.stop();
    count
}

#[test]
fn the_branches_of_a_join_have_exactly_their_own() {
    let trace = Trace::new();
    let branch = |count| async move {
        for _ in 0..3 {
            allocate(count);
            pause(1).await;
            let inside = call!("inside");
            allocate(count);
            pause(1).await;
            inside.stop();
        }
    };
    run(trace.instrument(async {
        let around = call!("around");
        tokio::join!(
            call!("left").instrument(branch(1)),
            call!("right").instrument(branch(10)),
        );
        allocate(100);
        around.stop();
    }));
    let mut lines = calls(&trace);
    lines.sort();
    assert_eq!(
        lines,
        [
            "around in -: 166, 100, Ok",
            "inside in left: 1, 1, Ok",
            "inside in left: 1, 1, Ok",
            "inside in left: 1, 1, Ok",
            "inside in right: 10, 10, Ok",
            "inside in right: 10, 10, Ok",
            "inside in right: 10, 10, Ok",
            "left in around: 6, 3, Ok",
            "right in around: 60, 30, Ok",
        ]
    );
}

#[test]
fn the_branches_of_joins_on_four_workers() {
    const TASKS: u32 = 64;
    let runtime = runtime();
    let traces: Vec<_> = (0..TASKS).map(|_| Trace::new()).collect();
    let tasks: Vec<_> = traces
        .iter()
        .zip(1_u32..)
        .map(|(trace, number)| {
            runtime.spawn(trace.instrument(async move {
                let around = call!("around");
                let branch = |count| async move {
                    step(count).await;
                    let plain = call!("plain {count}");
                    step(count).await;
                    call!("inside {count}").instrument(step(count)).await;
                    plain.stop();
                };
                tokio::join!(
                    call!("left").instrument(branch(number)),
                    call!("right").instrument(branch(1000 + number)),
                );
                around.stop();
            }))
        })
        .collect();
    runtime.block_on(join_all(tasks));
    for (trace, left) in traces.iter().zip(1_u64..) {
        let right = 1000 + left;
        let mut lines = calls(trace);
        lines.sort();
        let mut expected = [
            format!("around in -: {}, 0, Ok", 3 * (left + right)),
            format!("inside {right} in plain {right}: {right}, {right}, Ok"),
            format!("inside {left} in plain {left}: {left}, {left}, Ok"),
            format!("left in around: {}, {left}, Ok", 3 * left),
            format!("plain {right} in right: {}, {right}, Ok", 2 * right),
            format!("plain {left} in left: {}, {left}, Ok", 2 * left),
            format!("right in around: {}, {right}, Ok", 3 * right),
        ];
        expected.sort();
        assert_eq!(lines, expected);
    }
}

#[test]
fn branches_have_their_own_peaks() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let keeps = |bytes| async move {
            let kept = std::hint::black_box(vec![0_u8; bytes]);
            pause(1).await;
            drop(kept);
        };
        tokio::join!(
            call!("left").instrument(keeps(100)),
            call!("right").instrument(keeps(1000)),
        );
        around.stop();
    }));
    let report = trace.report();
    let peaks: Vec<_> = report.calls.iter().map(|call| call.peak_bytes).collect();
    assert_eq!(peaks, [Some(1100), Some(100), Some(1000)]);
}

#[test]
fn a_biased_select_in_a_loop_over_the_same_two_futures() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let mut short = pin!(call!("short").instrument(branch(1)));
        let mut long = pin!(call!("long").instrument(branch(2)));
        let (mut turns, mut finished) = (0, Vec::with_capacity(2));
        let (mut short_done, mut long_done) = (false, false);
        while !(short_done && long_done) {
            tokio::select! {
                biased;
                count = &mut short, if !short_done => { short_done = true; finished.push(count) }
                count = &mut long, if !long_done => { long_done = true; finished.push(count) }
                () = pause(3) => {}
            }
            turns += 1;
            allocate(100);
        }
        assert_eq!(finished, [1, 2]);
        assert!(turns > 2);
        drop(finished);
        around.stop();
    }));
    let report = trace.report();
    let lines = calls_of(&report);
    assert_eq!(
        lines[1..],
        [
            "short in around: 11, 0, Ok",
            "long in around: 22, 0, Ok",
            "plain 1 in short: 11, 1, Ok",
            "plain 2 in long: 22, 2, Ok",
            "inside 1 in plain 1: 10, 10, Ok",
            "inside 2 in plain 2: 20, 20, Ok",
        ]
    );
    assert_exact(&report);
}

#[test]
fn plain_guards_that_stop_out_of_order() {
    // The branches open `a`, then `b` within it; `a` stops first. A block belongs to the self of the
    // youngest open call.
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        tokio::join!(
            biased;
            async {
                let a = call!("a");
                allocate(1);
                pause(1).await;
                allocate(2);
                a.stop();
                allocate(4);
            },
            async {
                let b = call!("b");
                allocate(8);
                pause(2).await;
                allocate(16);
                b.stop();
                allocate(32);
            }
        );
        around.stop();
    }));
    assert_eq!(
        calls(&trace),
        [
            "around in -: 63, 32, Ok",
            "a in around: 11, 1, Ok",
            "b in a: 30, 30, Ok",
        ]
    );
}

#[test]
fn any_number_of_plain_guards_in_any_order() {
    let trace = Trace::new();
    let runtime = runtime();
    let task = trace.instrument(async {
        let around = call!("around");
        // The tasks' own memory is allocated in `around`.
        let mut tasks: FuturesUnordered<_> = (0..50_u32)
            .map(|number| async move {
                let call = call!("{number}");
                step(number * 7 % 50).await;
                call.stop();
            })
            .collect();
        while tasks.next().await.is_some() {}
        drop(tasks);
        around.stop();
        let after = call!("after");
        allocate(5);
        after.stop();
    });
    runtime.block_on(task);
    let report = trace.report();
    assert_eq!((report.calls.len(), report.dropped), (52, 0));
    assert_eq!(report.calls[51].total, Some(boxes(5)));
    assert_eq!(report.calls[51].parent, None);
    let around = report.calls[0].total.unwrap();
    assert_eq!(around + boxes(5), report.total.unwrap());
    // Every box is the self of exactly one call.
    let own = report.calls.iter().map(|call| call.self_counts.unwrap());
    assert_eq!(own.sum::<tracer::alloc::Counts>(), report.total.unwrap());
}
