//! One trace on many threads, many traces on one, and reports taken meanwhile.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Barrier, Mutex, OnceLock};
use std::time::Duration;

use rayon::prelude::*;
use tracer::{Call, Limits, Outcome, Report, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};

/// A trace with the call `around`, in which `work` may send the current trace to a thread that has
/// been there before: nothing of the thread's own is in the call.
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

// Peaks, from other threads.

const MEGABYTE: usize = 1 << 20;

fn spike() {
    drop(std::hint::black_box(vec![0_u8; MEGABYTE]));
}

#[test]
fn a_guard_dropped_elsewhere_leaves_its_peak_to_those_around() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let moved = call!("moved");
    spike();
    call!("inside").stop();
    std::thread::spawn(move || drop(moved)).join().unwrap();
    call!("after").stop();
    around.stop();
    drop(scope);
    let peaks = trace.report().calls.into_iter();
    let peaks: Vec<_> = peaks.map(|call| call.peak_bytes).collect();
    let megabyte = Some(MEGABYTE as u64);
    assert_eq!(peaks, [megabyte, megabyte, Some(0), Some(0)]);
}

#[test]
fn a_report_from_another_thread_has_the_peak_of_a_running_call() {
    let (trace, turn) = (Trace::new(), Barrier::new(2));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let _scope = trace.inject();
            let call = call!();
            spike();
            turn.wait();
            turn.wait();
            call.stop();
        });
        turn.wait();
        let call = &trace.report().calls[0];
        assert_eq!(call.peak_bytes, Some(MEGABYTE as u64));
        assert_eq!((&call.outcome, call.partial), (&Outcome::Running, false));
        turn.wait();
    });
}

// One trace on many threads.

#[test]
fn a_guard_dropped_on_another_thread_is_partial_with_its_time() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let moved = call!("moved");
    allocate(3);
    let pause = Duration::from_millis(20);
    let thread = std::thread::spawn(move || {
        allocate(100);
        std::thread::sleep(pause);
        moved.checkpoint("there");
        drop(moved);
        allocate(100);
    });
    thread.join().unwrap();
    let after = call!("after");
    allocate(4);
    after.stop();
    around.stop();
    drop(scope);
    let report = trace.report();
    let [around, moved, after] = &report.calls[..] else {
        panic!("{report:#}")
    };
    assert_eq!(
        (moved.parent, &moved.outcome, moved.partial),
        (Some(0), &Outcome::Ok, true)
    );
    assert!(moved.wall >= pause && moved.wall <= around.wall);
    // What this thread did until then: three boxes and what spawning takes, not the hundreds.
    assert!(moved.total.unwrap().allocations < 100, "{report:#}");
    assert_eq!(&*moved.checkpoints[0].name, "there");
    assert!(moved.checkpoints[0].at >= pause);
    assert_eq!(
        (after.parent, after.total, after.partial),
        (Some(0), Some(boxes(4)), false)
    );
    assert_eq!(
        (around.parent, &around.outcome, around.partial),
        (None, &Outcome::Ok, false)
    );
    assert!(around.total.unwrap().allocations >= 3 + 4);
}

#[test]
fn a_guard_may_fail_on_another_thread_and_come_back() {
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("call");
    let call = std::thread::scope(|threads| {
        let there = threads.spawn(move || {
            call.fail("there");
            call
        });
        there.join().unwrap()
    });
    call.stop();
    drop(scope);
    assert_eq!(
        trace.report().calls[0].outcome,
        Outcome::Failed("there".to_owned())
    );
}

#[test]
fn of_failures_here_and_elsewhere_the_last_is_told() {
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("call");
    std::thread::scope(|threads| {
        threads.spawn(|| call.fail("there"));
    });
    call.fail("here");
    call.stop();
    drop(scope);
    assert_eq!(
        trace.report().calls[0].outcome,
        Outcome::Failed("here".to_owned())
    );
}

#[test]
fn a_guard_dropped_elsewhere_leaves_those_around_and_inside_exact() {
    let trace = Trace::new();
    let (guard, turn) = (Mutex::new(None::<Call>), Barrier::new(2));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            turn.wait();
            allocate(100);
            drop(guard.lock().unwrap().take());
            turn.wait();
        });
        let _scope = trace.inject();
        let around = call!("around");
        allocate(1);
        let moved = call!("moved");
        allocate(2);
        let inside = call!("inside");
        allocate(4);
        *guard.lock().unwrap() = Some(moved);
        turn.wait();
        turn.wait();
        allocate(8);
        inside.stop();
        allocate(16);
        around.stop();
    });
    assert_eq!(
        calls(&trace),
        [
            "around in -: 31, 17, Ok",
            "moved in around: 6, 2, Ok, partial",
            "inside in moved: 12, 12, Ok",
        ]
    );
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
            // Self: its own, and what the other thread did in no call.
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
    // The pool's own memory, before.
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
    assert_eq!(around.total.unwrap() - around.own.unwrap(), in_jobs);
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

// Many scopes on one thread.

#[test]
fn the_same_trace_again_counts_nothing_twice() {
    let trace = Trace::new();
    let scope = trace.inject();
    let one = call!("one");
    allocate(1);
    let again = trace.inject();
    allocate(2);
    let two = call!("two");
    allocate(4);
    let third = trace.inject();
    let three = call!("three");
    allocate(8);
    three.stop();
    drop(third);
    allocate(16);
    two.stop();
    drop(again);
    allocate(32);
    one.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(
        calls_of(&report),
        [
            "one in -: 63, 35, Ok",
            "two in one: 28, 20, Ok",
            "three in two: 8, 8, Ok",
        ]
    );
    assert_eq!(report.total, Some(boxes(63)));
}

#[test]
fn the_same_trace_again_below_the_scope_of_another() {
    let (trace, other) = (Trace::new(), Trace::new());
    let scope = trace.inject();
    let one = call!("one");
    allocate(1);
    let other_scope = other.inject();
    let between = call!("between");
    allocate(2);
    let again = trace.inject();
    let two = call!("two");
    allocate(4);
    let other_again = other.inject();
    let deep = call!("deep");
    allocate(8);
    deep.stop();
    drop(other_again);
    two.stop();
    drop(again);
    allocate(16);
    between.stop();
    drop(other_scope);
    allocate(32);
    one.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        ["one in -: 63, 51, Ok", "two in one: 12, 12, Ok"]
    );
    assert_eq!(
        calls(&other),
        ["between in -: 30, 22, Ok", "deep in between: 8, 8, Ok"]
    );
    let totals = [&trace, &other].map(|trace| trace.report().total);
    assert_eq!(totals, [Some(boxes(63)), Some(boxes(30))]);
}

#[test]
fn scopes_of_the_same_trace_dropped_in_any_order() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let trace = Trace::new();
        let mut scopes = [1, 2, 4].map(|count| {
            let scope = trace.inject();
            allocate(count);
            Some(scope)
        });
        for (index, count) in order.into_iter().zip([8, 16, 32]) {
            scopes[index] = None;
            allocate(count);
        }
        assert_eq!(trace.report().total, Some(boxes(7 + 8 + 16)), "{order:?}");
    }
}

#[test]
fn the_outer_of_two_traces_includes_the_inner() {
    let (outer, inner) = (Trace::new(), Trace::new());
    let outer_scope = outer.inject();
    let one = call!("one");
    allocate(1);
    let inner_scope = inner.inject();
    allocate(2);
    let two = call!("two");
    allocate(4);
    two.stop();
    drop(inner_scope);
    allocate(8);
    one.stop();
    drop(outer_scope);
    assert_eq!(calls(&outer), ["one in -: 15, 15, Ok"]);
    assert_eq!(calls(&inner), ["two in -: 4, 4, Ok"]);
    assert_eq!(inner.report().total, Some(boxes(6)));
}

#[test]
fn fetched_and_injected_again_on_the_same_thread() {
    let trace = Trace::new();
    let scope = trace.inject();
    let one = call!("one");
    let at_one = tracer::fetch();
    let two = call!("two");
    let again = at_one.inject();
    let three = call!("three");
    allocate(1);
    three.stop();
    drop(again);
    allocate(2);
    two.stop();
    one.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "one in -: 3, 0, Ok",
            "two in one: 2, 2, Ok",
            "three in one: 1, 1, Ok"
        ]
    );
}

// Reports taken meanwhile.

/// A report of a running trace: what holds at any moment.
fn check(report: &Report) {
    for call in &report.calls {
        let name = call.id.as_deref().unwrap();
        let (total, own) = (call.total.unwrap(), call.own.unwrap());
        let is_running = call.outcome == Outcome::Running;
        assert!(is_running || !call.partial, "{report:#}");
        assert!(own.allocations <= total.allocations, "{report:#}");
        assert!(call.own_busy <= call.busy, "{report:#}");
        for point in &call.checkpoints {
            assert_eq!(
                (&*point.name, point.counts),
                ("half", Some(boxes(2))),
                "{report:#}"
            );
        }
        match (name, &call.outcome) {
            ("leaf", Outcome::Ok) => {
                assert_eq!((total, own, call.peak_bytes), (boxes(5), boxes(5), Some(1)));
                assert_eq!(call.checkpoints.len(), 1);
            }
            // Never more than it will have been in the end.
            ("leaf", Outcome::Running) => assert!(total.allocations <= 5, "{report:#}"),
            ("branch", Outcome::Ok) => assert_eq!((total, own), (boxes(16), boxes(1))),
            ("branch", Outcome::Running) => {
                assert!(total.allocations <= 16, "{report:#}");
                // Exact, or marked as not exact.
                assert!(own.allocations <= 1 || call.partial, "{report:#}");
            }
            _ => panic!("{report:#}"),
        }
        let parent = call.parent.map(|parent| &report.calls[parent]);
        if let Some(parent) = parent {
            let inside = report
                .calls
                .iter()
                .filter(|other| other.parent == call.parent);
            let inside: u64 = inside.map(|call| call.total.unwrap().allocations).sum();
            assert!(inside <= parent.total.unwrap().allocations, "{report:#}");
            assert!(call.start >= parent.start, "{report:#}");
        }
    }
}

#[test]
fn reports_taken_while_the_trace_is_written_are_never_torn() {
    let current = Mutex::new(Trace::empty());
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !done.load(Acquire) {
                    let trace = current.lock().unwrap().clone();
                    let report = trace.report();
                    check(&report);
                    let after = trace.report();
                    assert!(after.calls.len() >= report.calls.len());
                    for (before, after) in report.calls.iter().zip(&after.calls) {
                        assert_eq!((&before.id, before.start), (&after.id, after.start));
                        if before.outcome != Outcome::Running {
                            assert_eq!(before, after);
                        }
                    }
                    let _ = (report.to_string(), format!("{report:#}"));
                }
            });
        }
        for _ in 0..300 {
            let trace = Trace::new();
            *current.lock().unwrap() = trace.clone();
            let scope = trace.inject();
            for _ in 0..10 {
                let branch = call!("branch");
                for _ in 0..3 {
                    let leaf = call!("leaf");
                    allocate(2);
                    leaf.checkpoint("half");
                    allocate(3);
                    leaf.stop();
                }
                allocate(1);
                branch.stop();
                allocate(50);
            }
            drop(scope);
            let report = trace.report();
            check(&report);
            assert_eq!((report.calls.len(), report.total), (40, Some(boxes(660))));
        }
        done.store(true, Release);
    });
}

#[test]
fn a_report_from_another_thread_has_the_running_calls_figures() {
    let trace = Trace::new();
    let turn = Barrier::new(2);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let _scope = trace.inject();
            let _outer = call!("outer");
            allocate(1);
            let _inner = call!("inner");
            allocate(2);
            turn.wait();
            turn.wait();
            allocate(4);
            turn.wait();
            turn.wait();
        });
        turn.wait();
        assert_eq!(
            calls(&trace),
            ["outer in -: 3, 1, Running", "inner in outer: 2, 2, Running"]
        );
        turn.wait();
        turn.wait();
        assert_eq!(
            calls(&trace),
            ["outer in -: 7, 1, Running", "inner in outer: 6, 6, Running"]
        );
        turn.wait();
    });
    assert_eq!(
        calls(&trace),
        ["outer in -: 7, 1, Ok", "inner in outer: 6, 6, Ok"]
    );
}
