//! Reports taken by other threads while the trace is written.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Barrier, Mutex};

use tracer::{Outcome, Report, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::guards::{MEGABYTE, spike};
use crate::lines::calls;

/// Asserts the properties of a running trace that hold at any moment.
fn check(report: &Report) {
    for call in &report.calls {
        let name = call.id.as_deref().unwrap();
        let (total, own) = (call.total.unwrap(), call.self_counts.unwrap());
        let is_running = call.outcome == Outcome::Running;
        assert!(is_running || !call.partial, "{report:#}");
        assert!(own.allocations <= total.allocations, "{report:#}");
        assert!(call.self_busy <= call.busy, "{report:#}");
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
            // Never more than its final figure.
            ("leaf", Outcome::Running) => assert!(total.allocations <= 5, "{report:#}"),
            ("branch", Outcome::Ok) => assert_eq!((total, own), (boxes(16), boxes(1))),
            ("branch", Outcome::Running) => {
                assert!(total.allocations <= 16, "{report:#}");
                // Exact, or marked as partial.
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
