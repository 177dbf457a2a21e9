//! Traced futures inside what drives futures: `select!`, streams, recursion, a lock that is handed
//! on.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::stream::{self, FuturesUnordered, Stream, StreamExt};
use tracer::alloc::Counts;
use tracer::{Call, Outcome, Report, Trace, call};

use crate::boxes::boxes;
use crate::by_hand::{poll, run};
use crate::common::allocate;
use crate::lines::{calls, calls_of};
use crate::on_drop::OnDrop;
use crate::pause::pause;
use crate::step::step;

/// Holds a plain guard over its polls, and has a traced future within.
async fn branch(count: u32) -> u32 {
    let plain = call!("plain {count}");
    step(count).await;
    call!("inside {count}").instrument(step(10 * count)).await;
    plain.stop();
    count
}

/// Every box in the trace is the self of exactly one call.
fn assert_adds_up(report: &Report) {
    let own: Counts = report
        .calls
        .iter()
        .map(|call| call.self_counts.unwrap())
        .sum();
    assert_eq!(report.total, Some(own), "{report:#}");
    assert!(report.calls.iter().all(|call| !call.partial), "{report:#}");
}

fn with_id<'a>(report: &'a Report, id: &str) -> Vec<&'a tracer::CallReport> {
    let calls = report.calls.iter();
    calls
        .filter(|call| call.id.as_deref() == Some(id))
        .collect()
}

// Select.

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
    assert_adds_up(&report);
}

#[test]
fn a_select_without_bias_cancels_whichever_loses() {
    let mut won = [0, 0];
    for _ in 0..100 {
        let trace = Trace::new();
        let winner = run(trace.instrument(async {
            let around = call!("around");
            let winner = tokio::select! {
                () = call!("left").instrument(step(3)) => 0,
                () = call!("right").instrument(step(3)) => 1,
            };
            around.stop();
            winner
        }));
        won[winner] += 1;
        let report = trace.report();
        let (winner, loser) = (["left", "right"][winner], ["right", "left"][winner]);
        let [won] = with_id(&report, winner)[..] else {
            panic!("{report:#}")
        };
        let [lost] = with_id(&report, loser)[..] else {
            panic!("{report:#}")
        };
        assert_eq!((&won.outcome, won.total), (&Outcome::Ok, Some(boxes(3))));
        // Tokio takes another order at each poll, so the loser may or may not have had the last.
        assert_eq!((&lost.outcome, lost.parent), (&Outcome::Cancelled, Some(0)));
        assert!(
            [Some(boxes(2)), Some(boxes(3))].contains(&lost.total),
            "{report:#}"
        );
        assert_eq!(report.calls[0].self_counts, Some(boxes(0)));
        assert_adds_up(&report);
    }
    assert!(won[0] > 0 && won[1] > 0);
}

#[test]
fn a_select_of_both_branches_in_one_poll() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let mut winner = 0;
        for _ in 0..4 {
            tokio::select! {
                biased;
                () = call!("first").instrument(async { allocate(1) }) => winner += 1,
                () = call!("second").instrument(async { allocate(10) }) => winner += 100,
            }
        }
        assert_eq!(winner, 4);
        around.stop();
    }));
    let report = trace.report();
    for id in ["first", "second"] {
        assert_eq!(with_id(&report, id).len(), 4);
    }
    for call in with_id(&report, "second") {
        // Never polled.
        assert_eq!(
            (&call.outcome, call.total),
            (&Outcome::Cancelled, Some(boxes(0)))
        );
    }
    assert_eq!(calls_of(&report)[0], "around in -: 4, 0, Ok");
    assert_adds_up(&report);
}

#[test]
fn a_guard_carried_out_of_a_select_that_cancels_it() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let slot = RefCell::new(None::<Call>);
        tokio::select! {
            biased;
            () = call!("loses").instrument(async {
                *slot.borrow_mut() = Some(call!("carried"));
                allocate(1);
                pause(10).await;
            }) => unreachable!(),
            () = pause(2) => {}
        }
        allocate(2);
        let carried = slot.take().unwrap();
        carried.checkpoint("here");
        allocate(4);
        carried.stop();
        allocate(8);
        around.stop();
    }));
    let report = trace.report();
    let lines = calls_of(&report);
    assert_eq!(lines[1], "loses in around: 1, 0, Cancelled");
    assert_eq!(lines[0].split(',').next(), Some("around in -: 15"));
    assert_adds_up(&report);
}

// Streams.

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
            // Held over what the loop does with each item: a plain guard includes that.
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
fn a_stream_dropped_half_way() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        {
            let stream = stream::unfold(1_u32, |number| {
                let item = async move {
                    let _plain = call!("plain");
                    let _unwinds = OnDrop(|| call!("in the drop").stop());
                    step(number).await;
                    (number, number + 1)
                };
                call!("item {number}").instrument(item).map(Some)
            });
            let mut stream = pin!(stream);
            for _ in 0..2 {
                stream.next().await;
            }
            // The third is polled twice, and dropped with the stream.
            tokio::select! {
                biased;
                _ = stream.next() => unreachable!(),
                () = pause(1) => {}
            }
            allocate(10);
        }
        allocate(100);
        around.stop();
    }));
    assert_eq!(
        calls(&trace),
        [
            "around in -: 115, 110, Ok",
            "item 1 in around: 1, 0, Ok",
            "plain in item 1: 1, 1, Ok",
            "in the drop in plain: 0, 0, Ok",
            "item 2 in around: 2, 0, Ok",
            "plain in item 2: 2, 2, Ok",
            "in the drop in plain: 0, 0, Ok",
            "item 3 in around: 2, 0, Cancelled",
            "plain in item 3: 2, 2, Cancelled",
            "in the drop in plain: 0, 0, Ok",
        ]
    );
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
            let [call] = with_id(&report, &id)[..] else {
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
    assert_adds_up(&report);
}

#[test]
fn a_buffered_stream_dropped_half_way() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        {
            let items = stream::iter([1_u32, 100, 100, 2]);
            let stream = items.map(|count| call!("item {count}").instrument(step(count)));
            let mut stream = pin!(stream.buffer_unordered(4));
            stream.next().await;
            stream.next().await;
        }
        around.stop();
        let after = call!("after");
        allocate(5);
        after.stop();
    }));
    let report = trace.report();
    let ends: Vec<_> = report
        .calls
        .iter()
        .map(|call| (call.id.as_deref().unwrap(), &call.outcome))
        .collect();
    let (ok, cancelled) = (&Outcome::Ok, &Outcome::Cancelled);
    assert_eq!(
        ends,
        [
            ("around", ok),
            ("item 1", ok),
            ("item 100", cancelled),
            ("item 100", cancelled),
            ("item 2", ok),
            ("after", ok),
        ]
    );
    for (index, count) in [(1, 1), (4, 2), (5, 5)] {
        assert_eq!(report.calls[index].total, Some(boxes(count)));
    }
    for index in [2, 3] {
        let total = report.calls[index].total.unwrap();
        assert_eq!(total, boxes(total.allocations));
        assert!((2..=3).contains(&total.allocations), "{report:#}");
    }
    assert_adds_up(&report);
}

#[test]
fn futures_of_many_traces_in_one_set() {
    let traces: Vec<_> = (0..10).map(|_| Trace::new()).collect();
    let mut set: FuturesUnordered<_> = traces
        .iter()
        .zip(1..)
        .map(|(trace, count)| trace.instrument(branch(count)))
        .collect();
    // Five are done, the others dropped with the set.
    run(async {
        for _ in 0..5 {
            set.next().await.unwrap();
            allocate(100);
        }
    });
    drop(set);
    for (trace, count) in traces.iter().zip(1_u64..) {
        let report = trace.report();
        if count <= 5 {
            assert_eq!(
                calls_of(&report),
                [
                    format!("plain {count} in -: {}, {count}, Ok", 11 * count),
                    format!("inside {count} in plain {count}: {0}, {0}, Ok", 10 * count),
                ]
            );
        } else {
            let cancelled = report
                .calls
                .iter()
                .all(|call| call.outcome == Outcome::Cancelled);
            assert!(cancelled, "{report:#}");
            assert_adds_up(&report);
        }
    }
}

#[test]
fn a_stream_of_guards() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        // Each item is the guard of its own making, stopped by the consumer in another order.
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
    assert_adds_up(&report);
}

// Deep.

/// Traced functions down to the depth; the innermost is pending so many times.
fn down(depth: u32, times: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(call!().instrument(async move {
        if depth > 1 {
            down(depth - 1, times).await;
        } else {
            pause(times).await;
        }
        allocate(1);
    }))
}

/// On a thread whose stack is deep enough for ten thousand of anything.
fn on_a_big_stack(work: impl FnOnce() + Send + 'static) {
    let big = std::thread::Builder::new().stack_size(1 << 30);
    big.spawn(work).unwrap().join().unwrap();
}

#[test]
fn ten_thousand_async_calls_deep() {
    const DEPTH: u32 = 10_000;
    let trace = Trace::new();
    let run_there = trace.clone();
    on_a_big_stack(move || {
        // Every poll takes up all that are open, and puts them to rest again.
        run(run_there.instrument(async { down(DEPTH, 20).await }));
    });
    let report = trace.report();
    assert_eq!((report.calls.len(), report.dropped), (10_000, 0));
    for (depth, call) in report.calls.iter().enumerate() {
        assert_eq!(call.parent, depth.checked_sub(1));
        assert_eq!((&call.outcome, call.partial), (&Outcome::Ok, false));
        // One of its own, and the box of the one within; the innermost has none.
        let within = 2 * (u64::from(DEPTH) - depth as u64) - 1;
        assert_eq!(call.total.unwrap().allocations, within);
        assert_eq!(
            call.self_counts.unwrap().allocations,
            if depth == 9_999 { 1 } else { 2 }
        );
    }
}

#[test]
fn ten_thousand_async_calls_dropped_at_their_deepest() {
    let trace = Trace::new();
    let run_there = trace.clone();
    on_a_big_stack(move || {
        let mut future = Box::pin(run_there.instrument(async { down(10_000, 100).await }));
        for _ in 0..5 {
            assert!(poll(future.as_mut()).is_pending());
        }
        drop(future);
    });
    let report = trace.report();
    assert_eq!((report.calls.len(), report.dropped), (10_000, 0));
    for (depth, call) in report.calls.iter().enumerate() {
        assert_eq!(call.parent, depth.checked_sub(1));
        assert_eq!((&call.outcome, call.partial), (&Outcome::Cancelled, false));
        // The boxes of those within; they are freed after their calls have stopped.
        assert_eq!(call.total.unwrap().allocations, 9_999 - depth as u64);
    }
}

// A lock handed from task to task, with a guard inside.

#[test]
fn a_guard_behind_an_async_lock_of_tasks_of_one_trace() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let lock = tokio::sync::Mutex::new(None::<Call>);
        let task = |number: u32| {
            let lock = &lock;
            let hold = async move {
                let mut held = lock.lock().await;
                // The guard of the task before.
                drop(held.take());
                *held = Some(call!("held by {number}"));
                step(number).await;
            };
            call!("task {number}").instrument(hold)
        };
        tokio::join!(biased; task(1), task(2), task(3));
        drop(lock);
        around.stop();
    }));
    let report = trace.report();
    let lines = calls_of(&report);
    for (place, count) in [(1, 1), (2, 2), (3, 3)] {
        assert!(
            lines[place].starts_with(&format!("task {count} in around: {count}, ")),
            "{lines:?}"
        );
    }
    assert_eq!(lines[0].split(',').next(), Some("around in -: 6"));
    assert_adds_up(&report);
}

#[test]
fn a_guard_behind_an_async_lock_of_tasks_of_many_traces() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).build().unwrap();
    let traces: Vec<_> = (0..8).map(|_| Trace::new()).collect();
    let lock = Arc::new(tokio::sync::Mutex::new(None::<Call>));
    let tasks: Vec<_> = traces
        .iter()
        .zip(1_u32..)
        .map(|(trace, number)| {
            let lock = Arc::clone(&lock);
            runtime.spawn(trace.instrument(async move {
                let around = call!("around");
                for _ in 0..10 {
                    let mut held = lock.lock().await;
                    // Of another trace, or of this: stopped away from its strand, or at home.
                    drop(held.replace(call!("held")));
                    call!("inside").instrument(step(number)).await;
                }
                around.stop();
            }))
        })
        .collect();
    runtime.block_on(futures_util::future::join_all(tasks));
    drop(lock);
    for (trace, number) in traces.iter().zip(1_u64..) {
        let report = trace.report();
        assert_eq!((report.calls.len(), report.dropped), (21, 0));
        let around = &report.calls[0];
        assert_eq!((around.total, around.partial), (report.total, false));
        assert_eq!(report.total, Some(boxes(10 * number)));
        for call in with_id(&report, "inside") {
            assert_eq!((call.total, call.partial), (Some(boxes(number)), false));
        }
        for call in with_id(&report, "held") {
            assert_eq!(call.outcome, Outcome::Ok);
            let total = call.total.unwrap();
            assert_eq!(total, boxes(total.allocations));
            // Never more than its task has done.
            assert!(total.allocations <= 10 * number);
        }
    }
}

// Panics between polls.

#[test]
fn a_catch_around_a_poll_and_what_comes_after() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        let panics = call!("panics").instrument(async {
            let _plain = call!("plain");
            step(2).await;
            resume_unwind(Box::new(()));
        });
        AssertUnwindSafe(panics).catch_unwind().await.unwrap_err();
        let after = call!("after").instrument(step(3));
        after.await;
        around.stop();
    }));
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            (
                call.id.as_deref().unwrap(),
                call.parent,
                call.outcome.clone(),
                call.partial,
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("around", None, Outcome::Ok, false),
            ("panics", Some(0), Outcome::Panicked, false),
            ("plain", Some(1), Outcome::Panicked, false),
            ("after", Some(0), Outcome::Ok, false),
        ]
    );
    assert_eq!(report.calls[3].total, Some(boxes(3)));
    assert_adds_up(&report);
}

#[test]
fn a_catch_around_a_poll_of_an_instrumented_trace() {
    let trace = Trace::new();
    let mut future = pin!(trace.instrument(async {
        let _plain = call!("plain");
        step(2).await;
        resume_unwind(Box::new(()));
    }));
    for _ in 0..2 {
        assert!(poll(future.as_mut()).is_pending());
    }
    catch_unwind(AssertUnwindSafe(|| {
        let _ = poll(future.as_mut());
    }))
    .unwrap_err();
    // The thread has left the trace.
    assert!(tracer::fetch().is_empty());
    allocate(100);
    let report = trace.report();
    let call = &report.calls[0];
    assert_eq!((&call.outcome, call.partial), (&Outcome::Panicked, false));
    assert_eq!(report.total, call.total);
    assert!(call.total.unwrap().allocations < 100);
}

// Polled after they were ready.

/// Ready at every poll.
struct Always;

impl Future for Always {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<u32> {
        allocate(1);
        Poll::Ready(7)
    }
}

#[test]
fn a_future_that_allows_it_is_polled_after_it_was_ready() {
    let trace = Trace::new();
    let mut instrumented = pin!(trace.instrument(Always));
    for _ in 0..3 {
        assert_eq!(poll(instrumented.as_mut()), Poll::Ready(7));
    }
    assert_eq!(trace.report().total, Some(boxes(3)));
    let scope = trace.inject();
    let around = call!("around");
    let mut in_call = pin!(call!("call").instrument(Always));
    for _ in 0..3 {
        assert_eq!(poll(in_call.as_mut()), Poll::Ready(7));
    }
    around.stop();
    drop(scope);
    // It stopped when it was ready; what came after was no longer in it.
    assert_eq!(
        calls(&trace),
        ["around in -: 3, 2, Ok", "call in around: 1, 1, Ok"]
    );
}

#[test]
fn an_async_block_panics_of_itself_when_polled_after_it_was_ready() {
    fn message(work: impl FnOnce()) -> String {
        let payload = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        (*payload.downcast_ref::<&str>().unwrap()).to_owned()
    }
    let trace = Trace::new();
    let mut bare = pin!(async {});
    let mut instrumented = pin!(trace.instrument(async { call!("first").stop() }));
    assert!(poll(bare.as_mut()).is_ready() && poll(instrumented.as_mut()).is_ready());
    let of_rust = message(|| assert!(poll(bare).is_ready()));
    assert_eq!(
        message(|| assert!(poll(instrumented.as_mut()).is_ready())),
        of_rust
    );
    assert!(tracer::fetch().is_empty());
    let scope = trace.inject();
    let around = call!("around");
    let mut in_call = pin!(call!("call").instrument(async { allocate(1) }));
    assert!(poll(in_call.as_mut()).is_ready());
    assert_eq!(
        message(|| assert!(poll(in_call.as_mut()).is_ready())),
        of_rust
    );
    let after = call!("after");
    allocate(2);
    after.stop();
    around.stop();
    drop(scope);
    let report = trace.report();
    let lines = calls_of(&report);
    assert_eq!(lines[0], "first in -: 0, 0, Ok");
    assert_eq!(
        lines[2..],
        ["call in around: 1, 1, Ok", "after in around: 2, 2, Ok"]
    );
    assert_eq!(
        (&report.calls[1].outcome, report.calls[1].partial),
        (&Outcome::Ok, false)
    );
}

#[test]
fn an_iterator_of_a_stream_polled_after_its_end() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let call = call!("call");
        let mut stream = pin!(stream::iter([1]).fuse());
        while stream.next().await.is_some() {
            allocate(1);
        }
        assert!(stream.next().await.is_none());
        assert_eq!(stream.size_hint(), (0, Some(0)));
        call.stop();
    }));
    assert_eq!(calls(&trace), ["call in -: 1, 1, Ok"]);
}
