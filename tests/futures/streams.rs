//! Streams: each item counts exactly its own.

use std::pin::pin;

use futures_util::stream::{self, StreamExt};
use tracer::{Outcome, Trace, call};

use crate::boxes::boxes;
use crate::branches::branch;
use crate::by_hand::run;
use crate::common::allocate;
use crate::lines::calls_of;
use crate::pause::pause;
use crate::{assert_exact, calls_with_id, step};

#[test]
fn a_guard_held_by_an_unfolded_stream() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let stream = stream::unfold((call!("stream"), 1_u32), |(call, number)| async move {
            if number > 3 {
                return None;
            }
            call.checkpoint("item");
            let item = call!("item {number}").instrument(step(number));
            item.await;
            Some((number, (call, number + 1)))
        });
        let mut stream = pin!(stream);
        while let Some(number) = stream.next().await {
            let handle = call!("handle {number}");
            allocate(10);
            handle.stop();
        }
        allocate(100);
        around.stop();
    }));
    let report = trace.report();
    assert_eq!(
        calls_of(&report),
        [
            "around in -: 136, 100, Ok",
            // A plain guard that is held while the loop handles each item includes that.
            "stream in around: 36, 0, Ok",
            "item 1 in stream: 1, 1, Ok",
            "handle 1 in stream: 10, 10, Ok",
            "item 2 in stream: 2, 2, Ok",
            "handle 2 in stream: 10, 10, Ok",
            "item 3 in stream: 3, 3, Ok",
            "handle 3 in stream: 10, 10, Ok",
        ]
    );
    let counts: Vec<_> = report.calls[1]
        .checkpoints
        .iter()
        .map(|point| point.counts)
        .collect();
    assert_eq!(counts, [boxes(0), boxes(11), boxes(12)].map(Some));
}

#[test]
fn a_buffered_stream_has_exactly_each_items_own() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let mut done: Vec<u32> = stream::iter(1..=20)
            .map(|number| call!("item {number}").instrument(branch(number)))
            .buffer_unordered(6)
            .collect()
            .await;
        done.sort_unstable();
        assert_eq!(done, (1..=20).collect::<Vec<_>>());
        drop(done);
        around.stop();
    }));
    let report = trace.report();
    assert_eq!(report.calls.len(), 1 + 3 * 20);
    for number in 1..=20_u64 {
        let check = |id: String, parent: usize, total, own| {
            let [call] = calls_with_id(&report, &id)[..] else {
                panic!("{report:#}")
            };
            assert_eq!(
                (call.total, call.self_counts),
                (Some(boxes(total)), Some(boxes(own))),
                "{id}"
            );
            assert_eq!(
                (call.parent, &call.outcome),
                (Some(parent), &Outcome::Ok),
                "{id}"
            );
            report
                .calls
                .iter()
                .position(|other| std::ptr::eq(other, call))
                .unwrap()
        };
        let item = check(format!("item {number}"), 0, 11 * number, 0);
        let plain = check(format!("plain {number}"), item, 11 * number, number);
        check(format!("inside {number}"), plain, 10 * number, 10 * number);
    }
    assert_exact(&report);
}

#[test]
fn a_stream_of_guards() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        // Each item is a guard, which the consumer stops in another order.
        let mut items = pin!(stream::iter(0..4).then(|number| async move {
            pause(1).await;
            (number, call!("{number}"))
        }));
        let mut kept = Vec::with_capacity(4);
        while let Some(item) = items.next().await {
            kept.push(item);
            allocate(1);
        }
        for index in [1, 0, 1, 0] {
            drop(kept.remove(index));
            allocate(10);
        }
        drop(kept);
        around.stop();
    }));
    let report = trace.report();
    assert_eq!(
        calls_of(&report)[1..],
        [
            "0 in around: 14, 1, Ok",
            "1 in 0: 3, 1, Ok",
            "2 in 1: 32, 11, Ok",
            "3 in 2: 21, 21, Ok",
        ]
    );
    assert_exact(&report);
}
