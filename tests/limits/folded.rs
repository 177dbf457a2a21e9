//! Calls beyond the limit are added up by path, and nothing is lost.

use std::sync::mpsc;
use std::time::Duration;

use tracer::alloc::Counts;
use tracer::{FoldedReport, Limits, Report, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};
use crate::pause::pause;

pub(crate) fn limited(calls: usize) -> Trace {
    Trace::with_limits(10, Limits::default().calls(calls))
}

/// Returns the folded calls, as `calls × name in parent: total, self, failures`.
pub(crate) fn folded(report: &Report) -> Vec<String> {
    let figure = |counts: Option<Counts>| {
        let counts = counts.unwrap();
        assert_eq!(counts, boxes(counts.allocations));
        counts.allocations
    };
    let line = |it: &FoldedReport| {
        let parent = it.parent.map_or("-", |parent| &*report.calls[parent].name);
        let (total, own) = (figure(it.total), figure(it.self_counts));
        let partial = if it.partial { ", partial" } else { "" };
        format!(
            "{} × {} in {parent}: {total}, {own}, {} failed{partial}",
            it.calls, it.name, it.failures
        )
    };
    report.folded.iter().map(line).collect()
}

fn leaf(blocks: u64) {
    let call = call!("{blocks}", rows = blocks);
    call.checkpoint("begun");
    allocate(blocks);
    if blocks == 3 {
        call.fail("three");
    }
}

pub(crate) fn branch(leaves: u64) {
    let _call = call!();
    allocate(1);
    (0..leaves).for_each(leaf);
}

#[test]
fn a_hundred_thousand_calls_with_a_limit_of_a_thousand() {
    let trace = limited(1000);
    let scope = trace.inject();
    branch(1);
    let around = call!("around");
    for _ in 0..20_000 {
        branch(4);
    }
    around.stop();
    drop(scope);
    let report = trace.report();
    // Each branch has four leaves with 0 + 1 + 2 + 3 blocks, and one block of its own.
    assert_eq!(report.calls.len(), 1000);
    assert_eq!(report.dropped, 0);
    let recorded = |name| report.calls.iter().filter(|call| call.name == name).count();
    let branches = 20_001 - recorded("branch");
    let of_callsite = |name: &str| {
        let calls = report.folded.iter().filter(|it| it.name == name);
        calls
            .map(|it| (it.calls, it.self_counts.unwrap().allocations))
            .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    };
    assert_eq!(of_callsite("branch"), (branches as u64, branches as u64));
    let leaves = 80_001 - recorded("leaf");
    assert_eq!(of_callsite("leaf").0, leaves as u64);
    let own = |name: &str| -> u64 {
        let calls = report.calls.iter().filter(|call| call.name == name);
        calls
            .map(|call| call.self_counts.unwrap().allocations)
            .sum()
    };
    assert_eq!(own("leaf") + of_callsite("leaf").1, 20_000 * 6);
    let around = report
        .calls
        .iter()
        .find(|call| call.id.as_deref() == Some("around"));
    assert_eq!(around.unwrap().total, Some(boxes(20_000 * 7)));
    assert_eq!(around.unwrap().self_counts, Some(Counts::ZERO));
    assert_eq!(report.total, Some(boxes(20_000 * 7 + 1)));
    // A record for each call and each checkpoint, and no more after the limit.
    assert!(report.memory_bytes <= (2 * 1000 / 31 + 2) * 4096);
}

#[test]
fn a_limit_of_zero_only_adds_up() {
    for capacity in [0, 1, 1000, usize::MAX] {
        let trace = Trace::with_limits(capacity, Limits::default().calls(0).text_bytes(0));
        let scope = trace.inject();
        let call = call!("{:100}", "x", rows = 1);
        assert!(!call.is_recorded());
        call.checkpoint("checkpoint");
        call.fail("message");
        call.stop();
        branch(3);
        drop(scope);
        let report = trace.report();
        assert!(report.calls.is_empty());
        assert_eq!((report.dropped, report.grown), (0, 0));
        let text = report.to_string();
        let lines: Vec<_> = text
            .lines()
            .map(|line| line.split(": ").next().unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                "allocates at call stack",
                "\tfolded a_limit_of_zero_only_adds_up",
                "\tfolded branch",
                "\tfolded leaf"
            ]
        );
        assert_eq!(
            folded(&report),
            [
                "1 × a_limit_of_zero_only_adds_up in -: 0, 0, 1 failed",
                "1 × branch in -: 4, 1, 0 failed",
                "3 × leaf in -: 3, 3, 0 failed",
            ]
        );
    }
}

#[test]
fn nothing_is_recorded_inside_a_folded_call() {
    let trace = Trace::with_limits(10, Limits::default().calls(8).strands(2));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let (say, ready) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    std::thread::scope(|threads| {
        // Moved in, so that a failed assertion also ends the thread's wait.
        let go_on = go_on;
        let scope = trace.inject();
        let recorded = call!("recorded");
        let trace = &trace;
        threads.spawn(move || {
            // This strand reserves half of the calls and uses one.
            let _scope = trace.inject();
            call!("other").stop();
            say.send(()).unwrap();
            wait.recv().unwrap();
        });
        ready.recv().unwrap();
        while call!("filler").is_recorded() {}
        let mut future = Box::pin(call!("folded").instrument(async {
            let _inside = call!("inside");
            allocate(3);
        }));
        // The thread gives the other calls back.
        go_on.send(()).unwrap();
        while !call!("again").is_recorded() {}
        assert!(future.as_mut().poll(&mut context).is_ready());
        recorded.stop();
        drop(scope);
    });
    let report = trace.report();
    let ids: Vec<_> = report.calls.iter().map(|call| call.id.as_deref()).collect();
    assert!(ids.contains(&Some("again")), "{ids:?}");
    assert!(!ids.contains(&Some("inside")), "{ids:?}");
    let inside = |it: &&FoldedReport| it.self_counts.unwrap().deallocations == 3;
    assert_eq!(report.folded.iter().filter(inside).count(), 1);
}

#[test]
fn folded_calls_that_panic_or_are_stopped_out_of_order() {
    let trace = limited(1);
    let scope = trace.inject();
    let recorded = call!("recorded");
    let outer = call!("outer");
    allocate(1);
    let inner = call!("inner");
    allocate(2);
    outer.stop();
    allocate(4);
    inner.stop();
    let caught = std::panic::catch_unwind(|| {
        let _call = call!("panics");
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(caught.is_err());
    std::mem::forget(call!("leaked"));
    allocate(8);
    recorded.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(report.calls.len(), 1);
    let mut calls = 0;
    let mut own = Counts::ZERO;
    let mut failures = 0;
    for folded in &report.folded {
        calls += folded.calls;
        failures += folded.failures;
        own += folded.self_counts.unwrap();
    }
    // The leaked one is still open.
    assert_eq!((calls, failures), (4, 1));
    let recorded = &report.calls[0];
    assert_eq!(
        (recorded.self_counts.unwrap() + own).bytes_allocated,
        recorded.total.unwrap().bytes_allocated
    );
    assert_eq!(report.total, recorded.total);
}

#[test]
fn folded_futures() {
    async fn store(blocks: u64) {
        let work = async move {
            allocate(blocks);
            let call = call!("inside");
            pause(1).await;
            allocate(1);
            call.checkpoint("half");
            pause(1).await;
            allocate(1);
        };
        call!("store").instrument(work).await;
    }
    const ROUNDS: u64 = 1000;
    let trace = limited(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(trace.instrument(async {
        let _call = call!("around");
        for _ in 0..ROUNDS {
            tokio::join!(store(1), store(2));
        }
    }));
    let report = trace.report();
    assert_eq!(
        calls_of(&report),
        [format!("around in -: {}, 0, Ok", 7 * ROUNDS)]
    );
    let [outer, inner] = &report.folded[..] else {
        panic!("{:?}", report.folded)
    };
    let (outer, inner) = if outer.line > inner.line {
        (outer, inner)
    } else {
        (inner, outer)
    };
    assert_eq!((outer.calls, inner.calls), (2 * ROUNDS, 2 * ROUNDS));
    assert_eq!(
        (outer.total, outer.self_counts),
        (Some(boxes(7 * ROUNDS)), Some(boxes(3 * ROUNDS)))
    );
    assert_eq!(
        (inner.total, inner.self_counts),
        (Some(boxes(4 * ROUNDS)), Some(boxes(4 * ROUNDS)))
    );
    assert!(!outer.partial && !inner.partial);
    // Records of folded calls are reused.
    assert_eq!((report.memory_bytes, report.dropped), (4096, 0));
}

/// `held` is suspended in `around`, which stops, and goes on outside of all calls.
#[test]
fn a_folded_call_that_outlives_the_one_around_while_suspended_has_moved() {
    let trace = limited(0);
    let scope = trace.inject();
    let around = call!("around");
    allocate(2);
    let held = call!("held");
    allocate(1);
    let mut future = std::pin::pin!(held.instrument(async { allocate(4) }));
    around.stop();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_ready());
    drop(scope);
    let report = trace.report();
    let folded = report.folded.iter();
    let figures = folded.map(|it| (it.within, it.total, it.self_counts, it.moved));
    assert_eq!(
        figures.collect::<Vec<_>>(),
        [
            (None, Some(boxes(3)), Some(boxes(2)), false),
            (Some(0), Some(boxes(5)), Some(boxes(5)), true),
        ]
    );
}

fn elsewhere(work: impl FnOnce() + Send) {
    tracer::alloc::exclude(|| {
        std::thread::scope(|threads| {
            threads.spawn(work);
        });
    });
}

#[test]
fn a_folded_guard_dropped_on_another_thread() {
    let trace = limited(0);
    let scope = trace.inject();
    let call = call!("moved");
    allocate(3);
    std::thread::scope(|threads| {
        threads.spawn(move || drop(call));
    });
    drop(scope);
    let report = trace.report();
    let [folded] = &report.folded[..] else {
        panic!("{:?}", report.folded)
    };
    // Spawning the thread is counted as well.
    assert!(folded.total.unwrap().allocations > 3);
    assert_eq!((folded.calls, folded.failures), (1, 0));
    assert_eq!((folded.self_counts, folded.partial), (folded.total, true));
}

#[test]
fn a_folded_call_stopped_elsewhere_inside_another() {
    let trace = limited(1);
    let scope = trace.inject();
    let recorded = call!("recorded");
    let outer = call!("outer");
    let inner = call!("inner");
    allocate(10);
    elsewhere(|| drop(inner));
    outer.stop();
    recorded.stop();
    drop(scope);
    assert_eq!(calls(&trace), ["recorded in -: 10, 0, Ok"]);
    let report = trace.report();
    let own: u64 = report
        .folded
        .iter()
        .map(|it| it.self_counts.unwrap().allocations)
        .sum();
    assert_eq!(own, 10);
    assert!(report.folded.iter().all(|it| it.parent == Some(0)));
}

#[test]
fn a_folded_call_outlives_the_recorded_one_stopped_elsewhere() {
    let trace = limited(2);
    let scope = trace.inject();
    let outer = call!("outer");
    let stopped = call!("stopped");
    let folded = call!("folded");
    elsewhere(|| drop(stopped));
    allocate(10);
    folded.stop();
    outer.stop();
    drop(scope);
    let report = trace.report();
    let [folded] = &report.folded[..] else {
        panic!("{:?}", report.folded)
    };
    assert_eq!(
        (folded.total, folded.parent, folded.partial),
        (Some(boxes(10)), Some(1), true)
    );
    assert_eq!(report.calls[0].self_counts, Some(Counts::ZERO));
}

#[test]
fn a_folded_call_that_failed_elsewhere_is_counted_as_dropped() {
    let trace = limited(0);
    let scope = trace.inject();
    let call = call!();
    elsewhere(|| call.fail("elsewhere"));
    call.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!((report.folded[0].calls, report.folded[0].failures), (1, 0));
    assert_eq!(report.dropped, 1);
}

#[test]
fn folded_calls_of_a_folded_strand_stopped_elsewhere_or_late() {
    let trace = Trace::with_limits(10, Limits::default().strands(0));
    let scope = trace.inject();
    let (moved, late) = (call!("moved"), call!("late"));
    allocate(2);
    elsewhere(|| drop(moved));
    drop(scope);
    drop(late);
    let report = trace.report();
    // `late` was opened in `moved`. Its figures until its strand ended are known.
    let name = "folded_calls_of_a_folded_strand_stopped_elsewhere_or_late";
    assert_eq!(
        folded(&report),
        [
            format!("1 × {name} in -: 2, 0, 0 failed, partial"),
            format!("1 × {name} in -: 2, 2, 0 failed, partial"),
        ]
    );
    assert_eq!(report.folded[1].within, Some(0));
    assert_eq!((report.dropped, report.total), (0, Some(boxes(2))));
}

#[test]
fn the_peak_around_a_call_stopped_elsewhere_before_the_future_was_put_aside() {
    const MANY: usize = 1 << 20;
    let trace = Trace::new();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let others = vec![1_u8; MANY];
    let mut future = Box::pin(trace.instrument(async {
        let work = async {
            let moved = call!("moved");
            let _inside = call!("inside");
            elsewhere(|| drop(moved));
            pause(1).await;
            allocate(1);
        };
        call!("around").instrument(work).await;
    }));
    assert!(future.as_mut().poll(&mut context).is_pending());
    drop(others);
    assert!(future.as_mut().poll(&mut context).is_ready());
    drop(future);
    let report = trace.report();
    let peak = report.calls[0].peak_bytes.unwrap();
    assert_eq!((report.calls[0].id.as_deref(), peak), (Some("around"), 1));
}

#[test]
fn a_call_for_which_there_is_no_room_is_counted_once() {
    const CALLS: u64 = 3_000;
    let limits = Limits::default().calls(0).text_bytes(0).folded_strands(0);
    let trace = Trace::with_limits(10, limits);
    let scope = trace.inject();
    let open: Vec<_> = (0..CALLS).map(|_| call!()).collect();
    drop(open);
    drop(scope);
    let report = trace.report();
    let known: u64 = report.folded.iter().map(|it| it.calls).sum();
    assert!(report.dropped > 0);
    assert_eq!(known + report.dropped, CALLS);
}

#[test]
fn a_trace_lasts_until_its_last_folded_call() {
    for limit in [0, 1] {
        let trace = limited(limit);
        let scope = trace.inject();
        call!("first").stop();
        call!("second").stop();
        drop(scope);
        let (one, other) = (trace.report(), trace.report());
        assert_eq!(one.elapsed, other.elapsed, "nothing runs any more");
        let folded: Duration = one.folded.iter().map(|it| it.wall).sum();
        assert!(one.elapsed >= folded);
    }
}
