//! Strands beyond the limit: they stand below the call from which they were spawned, and are seen
//! while they are open.

use std::sync::Barrier;
use std::time::Duration;

use tracer::{Limits, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::folded::{branch, folded};
use crate::lines::calls_of;
use crate::paths::middle;

#[test]
fn no_strands_at_all() {
    let trace = Trace::with_limits(10, Limits::default().strands(0));
    for _ in 0..3 {
        let scope = trace.inject();
        branch(4);
        allocate(1);
        drop(scope);
    }
    let report = trace.report();
    assert!(report.calls.is_empty());
    assert_eq!(
        folded(&report),
        [
            "3 × branch in -: 21, 3, 0 failed",
            "12 × leaf in -: 18, 18, 3 failed"
        ]
    );
    assert_eq!(report.total, Some(boxes(24)));
    assert_eq!((report.memory_bytes, report.dropped), (0, 0));
}

#[test]
fn strands_beyond_the_limit_stand_below_the_call_from_which_they_were_spawned() {
    let trace = Trace::with_limits(10, Limits::default().strands(3));
    let scope = trace.inject();
    let around = call!("around");
    let elsewhere = tracer::fetch();
    for _ in 0..10 {
        let _scope = elsewhere.inject();
        branch(2);
    }
    around.stop();
    drop(scope);
    let report = trace.report();
    let name = "strands_beyond_the_limit_stand_below_the_call_from_which_they_were_spawned";
    assert_eq!(
        calls_of(&report),
        [
            // Partial: the time that overlaps with the strands below is not known.
            "around in -: 20, 0, Ok, partial",
            "branch in around: 2, 1, Ok",
            "0 in branch: 0, 0, Ok",
            "1 in branch: 1, 1, Ok",
            "branch in around: 2, 1, Ok",
            "0 in branch: 0, 0, Ok",
            "1 in branch: 1, 1, Ok",
        ]
    );
    assert_eq!(
        folded(&report),
        [
            format!("8 × branch in {name}: 16, 8, 0 failed"),
            format!("16 × leaf in {name}: 8, 8, 0 failed"),
        ]
    );
}

/// A report is taken while five threads are each in a scope and a call.
#[test]
fn strands_beyond_the_limit_are_seen_while_they_live() {
    const STRANDS: usize = 5;
    let trace = Trace::with_limits(10, Limits::default().strands(1));
    let (inside, go_on) = (Barrier::new(STRANDS + 1), Barrier::new(STRANDS + 1));
    let work = || {
        let _scope = trace.inject();
        let _call = call!("work");
        allocate(1);
        inside.wait();
        go_on.wait();
    };
    let (report, in_flight) = std::thread::scope(|threads| {
        for _ in 0..STRANDS {
            threads.spawn(work);
        }
        inside.wait();
        let report = trace.report();
        let id = trace.id();
        let in_flight = tracer::in_flight().iter().any(|it| it.trace == id);
        go_on.wait();
        (report, in_flight)
    });
    assert!(in_flight);
    assert_eq!(report.total, Some(boxes(5)));
    assert_eq!((report.calls.len(), report.dropped), (1, 0));
    let [folded] = &report.folded[..] else {
        panic!("{report:#}")
    };
    assert_eq!((folded.calls, folded.running), (4, 4));
    assert_eq!(
        (folded.total, folded.self_counts),
        (Some(boxes(4)), Some(boxes(4)))
    );
    assert!(folded.partial && folded.wall > Duration::ZERO);
    let after = trace.report();
    let folded = &after.folded[0];
    assert_eq!((folded.calls, folded.running), (4, 0));
    assert_eq!((folded.total, folded.partial), (Some(boxes(4)), false));
    assert_eq!(after.total, Some(boxes(5)));
}

/// The scopes nest on one thread.
#[test]
fn nested_scopes_beyond_the_limit_are_seen_while_they_live() {
    let trace = Trace::with_limits(10, Limits::default().strands(1));
    let mut open = Vec::with_capacity(10);
    let mut reports = Vec::with_capacity(10);
    for _ in 0..5 {
        let scope = trace.inject();
        let call = call!("work");
        allocate(1);
        open.push((call, scope));
    }
    reports.push(tracer::alloc::exclude(|| trace.report()));
    while let Some((call, scope)) = open.pop() {
        call.stop();
        drop(scope);
    }
    reports.push(trace.report());
    for report in &reports {
        // Each call is within the previous one: a recorded call, or a path.
        assert_eq!(report.total, Some(boxes(5)), "{report:#}");
        assert_eq!(report.calls[0].total, Some(boxes(5)));
        assert_eq!(report.calls[0].self_counts, Some(boxes(1)));
        let totals: Vec<_> = { report.folded.iter() }
            .map(|it| (it.calls, it.total.unwrap().allocations, it.within))
            .collect();
        assert_eq!(
            totals,
            [
                (1, 4, None),
                (1, 3, Some(0)),
                (1, 2, Some(1)),
                (1, 1, Some(2))
            ]
        );
    }
    assert!(reports[0].folded.iter().all(|it| it.running == 1));
    assert!(reports[1].folded.iter().all(|it| it.running == 0));
}

#[test]
fn no_more_strands_are_open_than_the_limits_say() {
    let limits = Limits::default().strands(1).folded_strands(2);
    let trace = Trace::with_limits(10, limits);
    let mut scopes: Vec<_> = (0..5).map(|_| trace.inject()).collect();
    assert_eq!(trace.report().dropped, 2);
    while scopes.pop().is_some() {}
    // The strands have ended, so there is room again.
    for _ in 0..10 {
        let _scope = trace.inject();
        call!("again").stop();
    }
    let report = trace.report();
    assert_eq!((report.dropped, report.folded[0].calls), (2, 10));
}

#[test]
fn folding_strands_that_come_and_go_on_many_threads() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 500;
    let trace = Trace::with_limits(10, Limits::default().calls(5).strands(2));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                threads.spawn(|| {
                    for _ in 0..ROUNDS {
                        let _scope = trace.inject();
                        middle(2);
                    }
                })
            })
            .collect();
        let reader = threads.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let report = trace.report();
                for path in &report.folded {
                    let (total, own) = (path.total.unwrap(), path.self_counts.unwrap());
                    assert!(own.allocations <= total.allocations, "{report:#}");
                    assert!(path.busy <= path.wall || path.running > 0, "{report:#}");
                }
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.join().unwrap();
    });
    let report = trace.report();
    let folded: u64 = report.folded.iter().map(|it| it.calls).sum();
    let calls = folded + report.calls.len() as u64;
    assert_eq!(report.total, Some(boxes(calls)));
    // On a busy machine a thread may give up waiting for a lock, and drop a strand of three calls.
    let missing = THREADS * ROUNDS * 3 - calls;
    assert!(
        missing <= 3 * report.dropped && report.dropped < ROUNDS / 10,
        "{report:#}"
    );
}
