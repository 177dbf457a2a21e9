//! Work of other threads for a trace stands below the call that was open when the trace was fetched.

use std::sync::{Barrier, OnceLock};

use rayon::prelude::*;
use tracer::{Limits, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};

/// Runs `here` in the call `around`, and `there` on another thread with the trace fetched in it.
///
/// The thread is started before the call, so that starting it is not counted there.
fn around(trace: &Trace, there: impl FnOnce(&Trace) + Send, here: impl FnOnce()) {
    let (handle, turn) = (OnceLock::new(), Barrier::new(2));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            there(handle.wait());
            turn.wait();
        });
        let _scope = trace.inject();
        let around = call!("around");
        assert!(handle.set(tracer::fetch()).is_ok());
        turn.wait();
        here();
        around.stop();
    });
}

#[test]
fn a_scoped_threads_calls_are_children_of_the_call_open_at_fetch() {
    let trace = Trace::new();
    around(
        &trace,
        |elsewhere| {
            allocate(100);
            let _scope = elsewhere.inject();
            allocate(1);
            for count in [2, 4] {
                let _call = call!("child");
                allocate(count);
                let _call = call!("grandchild");
                allocate(count);
            }
        },
        || {
            let inside = call!("inside");
            allocate(32);
            inside.stop();
            allocate(64);
        },
    );
    let report = trace.report();
    assert_eq!(
        calls_of(&report),
        [
            // Self includes what the other thread did outside of calls.
            "around in -: 109, 65, Ok",
            "child in around: 4, 2, Ok",
            "grandchild in child: 2, 2, Ok",
            "child in around: 8, 4, Ok",
            "grandchild in child: 4, 4, Ok",
            "inside in around: 32, 32, Ok",
        ]
    );
    assert_eq!(report.total, Some(boxes(109)));
    let threads: Vec<_> = report.calls.iter().map(|call| call.thread.number).collect();
    let (here, there) = (threads[0], threads[1]);
    assert_eq!(threads, [here, there, there, there, there, here]);
    let strands: Vec<_> = report.calls.iter().map(|call| call.strand).collect();
    assert_eq!(strands, [0, 1, 1, 1, 1, 0]);
    assert_ne!(here, there);
}

#[test]
fn spawned_from_spawned_and_outliving_the_call_around() {
    let trace = Trace::new();
    let scope = trace.inject();
    let one = call!("one");
    let first = tracer::fetch();
    one.stop();
    drop(scope);
    let second = std::thread::scope(|threads| {
        let thread = threads.spawn(|| {
            let _scope = first.inject();
            let _two = call!("two");
            allocate(2);
            tracer::fetch()
        });
        thread.join().unwrap()
    });
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let _scope = second.inject();
            let _three = call!("three");
            allocate(4);
        });
    });
    assert_eq!(
        calls(&trace),
        [
            "one in -: 6, 0, Ok",
            "two in one: 6, 2, Ok",
            "three in two: 4, 4, Ok"
        ]
    );
}

#[test]
fn rayons_jobs_are_children_of_the_call_open_at_fetch() {
    const JOBS: u64 = 200;
    let trace = Trace::new();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .build()
        .unwrap();
    // The pool allocates its own memory before.
    pool.install(|| (0..JOBS).into_par_iter().for_each(allocate));
    let scope = trace.inject();
    let around = call!("around");
    let elsewhere = tracer::fetch();
    pool.install(|| {
        (0..JOBS).into_par_iter().for_each(|job| {
            let _scope = elsewhere.inject();
            let _call = call!("{job}");
            allocate(job);
        });
    });
    around.stop();
    drop(scope);
    let report = trace.report();
    let mut lines = calls_of(&report)[1..].to_vec();
    let number = |line: &String| {
        line.split(' ')
            .next()
            .and_then(|word| word.parse::<u64>().ok())
    };
    lines.sort_by_key(number);
    let job = |job| format!("{job} in around: {job}, {job}, Ok");
    assert_eq!(lines, (0..JOBS).map(job).collect::<Vec<_>>());
    let around = &report.calls[0];
    let in_jobs = boxes((0..JOBS).sum());
    assert_eq!(around.total.unwrap() - around.self_counts.unwrap(), in_jobs);
    assert_eq!(report.total, around.total);
}

#[test]
fn many_threads_inject_one_trace_at_once() {
    const THREADS: u64 = 16;
    const CALLS: u64 = 100;
    let trace = Trace::with_limits(10, Limits::default().strands(1600));
    let start = Barrier::new(16);
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let (trace, start) = (&trace, &start);
            threads.spawn(move || {
                start.wait();
                for _ in 0..CALLS {
                    let _scope = trace.inject();
                    let _call = call!("{thread}");
                    allocate(thread);
                }
            });
        }
    });
    let report = trace.report();
    let mut lines = calls_of(&report);
    lines.sort();
    let line = |thread| format!("{thread} in -: {thread}, {thread}, Ok");
    let mut expected: Vec<_> = (0..THREADS * CALLS)
        .map(|index| line(index / CALLS))
        .collect();
    expected.sort();
    assert_eq!(lines, expected);
    assert_eq!(report.total, Some(boxes(CALLS * (0..THREADS).sum::<u64>())));
    assert_eq!(report.dropped, 0);
    assert!(report.calls.is_sorted_by_key(|call| call.start));
}

#[test]
fn more_scopes_than_a_trace_records_are_in_its_totals() {
    const SCOPES: u64 = 12_000;
    let trace = Trace::new();
    around(
        &trace,
        |elsewhere| {
            for _ in 0..SCOPES {
                let _scope = elsewhere.inject();
                allocate(1);
            }
        },
        || (),
    );
    let report = trace.report();
    assert_eq!(report.calls[0].total, Some(boxes(SCOPES)));
    assert_eq!(report.dropped, 0);
}

/// The work of a call after its parent has stopped doesn't belong to the parent, on any strand.
#[test]
fn a_call_that_has_stopped_does_not_grow() {
    for spawned in [false, true] {
        let trace = Trace::new();
        let scope = trace.inject();
        let a = call!("a");
        let b = call!("b");
        allocate(1);
        a.stop();
        if spawned {
            let elsewhere = tracer::fetch();
            tracer::alloc::exclude(|| {
                std::thread::scope(|threads| {
                    threads.spawn(|| {
                        let _scope = elsewhere.inject();
                        allocate(5);
                    });
                });
            });
        } else {
            allocate(5);
        }
        b.stop();
        drop(scope);
        let report = trace.report();
        assert_eq!(calls_of(&report), ["a in -: 1, 0, Ok", "b in a: 6, 6, Ok"]);
        // `b` has more than its parent, and is marked as moved.
        assert_eq!(
            report.calls.iter().map(|it| it.moved).collect::<Vec<_>>(),
            [false, true]
        );
    }
}

/// A strand that was spawned before the call around stopped belongs to it, whenever it runs.
#[test]
fn a_strand_belongs_to_the_calls_around_when_it_was_made() {
    let trace = Trace::new();
    let scope = trace.inject();
    let a = call!("a");
    let b = call!("b");
    let (begun, stopped) = (Barrier::new(2), Barrier::new(2));
    tracer::alloc::exclude(|| {
        let elsewhere = tracer::fetch();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _scope = elsewhere.inject();
                begun.wait();
                stopped.wait();
                allocate(5);
            });
            begun.wait();
            a.stop();
            stopped.wait();
        });
    });
    b.stop();
    drop(scope);
    assert_eq!(calls(&trace), ["a in -: 5, 0, Ok", "b in a: 5, 5, Ok"]);
}
