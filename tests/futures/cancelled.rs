//! Futures that are dropped before they are ready: by hand, by a `select!`, with a stream. Their calls
//! are cancelled.
//!
//! Cancelled tasks are in `cancelled_tasks.rs`, cancelled requests of a recorder in
//! `tests/recorder/cancelled.rs`, and cancelled calls in hotspots in `tests/export/hotspots.rs`.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use tracer::{Call, Outcome, Trace, call};

use crate::boxes::boxes;
use crate::branches::branch;
use crate::by_hand::{poll, run};
use crate::common::allocate;
use crate::deep::{down, on_a_big_stack};
use crate::lines::{calls, calls_of};
use crate::on_drop::OnDrop;
use crate::pause::pause;
use crate::{assert_exact, calls_with_id, step};

#[test]
fn a_future_dropped_between_polls_is_cancelled() {
    let trace = Trace::new();
    let mut future = Box::pin(trace.instrument(async {
        let done = call!("done");
        allocate(1);
        done.stop();
        let failed = call!("failed");
        failed.fail("first");
        let _plain = call!("plain");
        allocate(2);
        call!("around")
            .instrument(async {
                allocate(4);
                let _inside = call!("inside");
                pause(1).await;
                allocate(8);
                pause(1).await;
                unreachable!("dropped before");
            })
            .await;
    }));
    assert!(poll(future.as_mut()).is_pending());
    allocate(100);
    assert!(poll(future.as_mut()).is_pending());
    allocate(100);
    // Dropped on another thread than that of the last poll.
    let thread = std::thread::spawn(move || {
        allocate(100);
        drop(future);
    });
    thread.join().unwrap();
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let (id, outcome) = (call.id.as_deref().unwrap(), format!("{:?}", call.outcome));
            let allocations = (
                call.total.unwrap().allocations,
                call.self_counts.unwrap().allocations,
            );
            (id, allocations, outcome, call.partial)
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("done", (1, 1), "Ok".to_owned(), false),
            ("failed", (14, 0), "Failed(\"first\")".to_owned(), false),
            ("plain", (14, 2), "Cancelled".to_owned(), false),
            ("around", (12, 4), "Cancelled".to_owned(), false),
            ("inside", (8, 8), "Cancelled".to_owned(), false),
        ]
    );
}

#[test]
fn a_future_that_was_never_polled_is_cancelled() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let never = call!("never").instrument(async { unreachable!() });
    allocate(1);
    drop(never);
    allocate(2);
    around.stop();
    drop(scope);
    drop(trace.instrument(async { unreachable!() }));
    assert_eq!(
        calls(&trace),
        ["around in -: 3, 3, Ok", "never in around: 0, 0, Cancelled"]
    );
}

#[test]
fn calls_opened_in_the_drop_of_a_cancelled_future() {
    let trace = Trace::new();
    let scope = trace.inject();
    let mut future = Box::pin(call!("cancelled").instrument(async {
        let _unwinds = OnDrop(|| {
            let _call = call!("in the drop");
            allocate(1);
        });
        allocate(2);
        pause(1).await;
    }));
    assert!(poll(future.as_mut()).is_pending());
    drop(future);
    call!("after").stop();
    drop(scope);
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let id = call.id.as_deref().unwrap();
            (
                id,
                call.parent,
                call.self_counts,
                format!("{:?}", call.outcome),
            )
        })
        .collect();
    // As with a panic: a call that began and ended in the drop was not cancelled.
    let mut cancelled = boxes(2);
    // The future's box was freed after the call.
    cancelled.allocations = 2;
    assert_eq!(
        lines,
        [
            ("cancelled", None, Some(cancelled), "Cancelled".to_owned()),
            ("in the drop", Some(0), Some(boxes(1)), "Ok".to_owned()),
            ("after", None, Some(boxes(0)), "Ok".to_owned()),
        ]
    );
}

#[test]
fn a_panic_in_the_drop_of_a_cancelled_future() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let mut future = Box::pin(call!("cancelled").instrument(async {
        let _unwinds = OnDrop(|| resume_unwind(Box::new(())));
        pause(1).await;
    }));
    assert!(poll(future.as_mut()).is_pending());
    catch_unwind(AssertUnwindSafe(|| drop(future))).unwrap_err();
    call!("after").stop();
    around.stop();
    drop(scope);
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let id = call.id.as_deref().unwrap();
            (id, call.parent, format!("{:?}", call.outcome))
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("around", None, "Ok".to_owned()),
            ("cancelled", Some(0), "Panicked".to_owned()),
            ("after", Some(0), "Ok".to_owned()),
        ]
    );
}

#[test]
fn a_panic_in_the_drop_of_a_future_whose_scope_has_ended() {
    let trace = Trace::new();
    let scope = trace.inject();
    let mut future = Box::pin(call!("astray").instrument(async {
        let _unwinds = OnDrop(|| resume_unwind(Box::new(())));
        pause(1).await;
    }));
    assert!(poll(future.as_mut()).is_pending());
    drop(scope);
    catch_unwind(AssertUnwindSafe(|| drop(future))).unwrap_err();
    assert_eq!(calls(&trace), ["astray in -: 0, 0, Panicked, partial"]);
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
        // The boxes of the futures within, which are freed after their calls have stopped.
        assert_eq!(call.total.unwrap().allocations, 9_999 - depth as u64);
    }
}

#[test]
fn a_select_cancels_the_losing_branch() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let around = call!("around");
        tokio::select! {
            biased;
            () = call!("loses").instrument(async {
                allocate(1);
                let _inside = call!("inside");
                step(100).await;
            }) => unreachable!(),
            () = call!("wins").instrument(step(3)) => {}
        }
        allocate(1000);
        around.stop();
        call!("after").stop();
    }));
    assert_eq!(
        calls(&trace),
        [
            "around in -: 1008, 1000, Ok",
            "loses in around: 5, 1, Cancelled",
            "wins in around: 3, 3, Ok",
            "inside in loses: 4, 4, Cancelled",
            "after in -: 0, 0, Ok",
        ]
    );
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
        let [won] = calls_with_id(&report, winner)[..] else {
            panic!("{report:#}")
        };
        let [lost] = calls_with_id(&report, loser)[..] else {
            panic!("{report:#}")
        };
        assert_eq!((&won.outcome, won.total), (&Outcome::Ok, Some(boxes(3))));
        // Tokio polls in a random order, so the loser may or may not have had its last poll.
        assert_eq!((&lost.outcome, lost.parent), (&Outcome::Cancelled, Some(0)));
        assert!(
            [Some(boxes(2)), Some(boxes(3))].contains(&lost.total),
            "{report:#}"
        );
        assert_eq!(report.calls[0].self_counts, Some(boxes(0)));
        assert_exact(&report);
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
        assert_eq!(calls_with_id(&report, id).len(), 4);
    }
    for call in calls_with_id(&report, "second") {
        // Never polled.
        assert_eq!(
            (&call.outcome, call.total),
            (&Outcome::Cancelled, Some(boxes(0)))
        );
    }
    assert_eq!(calls_of(&report)[0], "around in -: 4, 0, Ok");
    assert_exact(&report);
}

#[test]
fn a_select_of_instrumented_traces() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let losing = trace.instrument(async {
        let _loses = call!("loses");
        step(100).await;
    });
    let winning = trace.instrument(async {
        let _wins = call!("wins");
        step(2).await;
    });
    match run(select(pin!(losing), pin!(winning))) {
        Either::Left(_) => unreachable!(),
        Either::Right(((), losing)) => assert_eq!(losing.trace().id(), trace.id()),
    }
    around.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "around in -: 5, 0, Ok",
            "loses in around: 3, 3, Cancelled",
            "wins in around: 2, 2, Ok",
        ]
    );
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
    assert_exact(&report);
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
    assert_exact(&report);
}

#[test]
fn futures_of_many_traces_in_one_set() {
    let traces: Vec<_> = (0..10).map(|_| Trace::new()).collect();
    let mut set: FuturesUnordered<_> = traces
        .iter()
        .zip(1..)
        .map(|(trace, count)| trace.instrument(branch(count)))
        .collect();
    // Five futures end; the others are dropped with the set.
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
            assert_exact(&report);
        }
    }
}
