//! Properties of calls that hold wherever they are made: on plain threads, in rayon's jobs, in tasks of
//! four workers, in blocking jobs; on several threads at once.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Barrier, Mutex};

use futures_util::future::join_all;
use rayon::prelude::*;
use tracer::alloc::{Counts, measure};
use tracer::{Call, Limits, Outcome, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};

/// Runs a case `times` times, each in a trace of its own, on four threads of each kind at once.
fn everywhere(times: usize, case: fn(&Trace)) {
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| (0..times).for_each(|_| case(&Trace::new())));
        }
    });
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .build()
        .unwrap();
    pool.install(|| {
        (0..4 * times)
            .into_par_iter()
            .for_each(|_| case(&Trace::new()));
    });
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).build().unwrap();
    let tasks = (0..4 * times).map(|_| runtime.spawn(async move { case(&Trace::new()) }));
    let tasks: Vec<_> = tasks.collect();
    let jobs = (0..4)
        .map(|_| runtime.spawn_blocking(move || (0..times).for_each(|_| case(&Trace::new()))));
    for done in runtime.block_on(join_all(tasks.into_iter().chain(jobs))) {
        done.unwrap();
    }
}

#[test]
fn the_counts_of_a_vec_are_exact() {
    everywhere(50, |trace| {
        let scope = trace.inject();
        let around = call!("around");
        let grows = call!("grows");
        let mut bytes = Vec::new();
        (0..100_u8).for_each(|byte| bytes.push(black_box(byte)));
        drop(black_box(bytes));
        grows.stop();
        let nothing = call!("nothing");
        drop(black_box((Vec::<u8>::new(), Box::new(()))));
        nothing.stop();
        let before = black_box(vec![0_u8; 1000]);
        let frees = call!("frees");
        drop(before);
        let after = black_box(vec![0_u8; 600]);
        frees.stop();
        drop(after);
        around.stop();
        drop(scope);
        let report = trace.report();
        let [around, grows, nothing, frees] = &report.calls[..] else {
            panic!("{report:#}")
        };
        let of_a_vec = Counts {
            allocations: 1,
            reallocations: 4,
            deallocations: 1,
            bytes_allocated: 128,
            bytes_deallocated: 128,
        };
        assert_eq!((grows.total, grows.peak_bytes), (Some(of_a_vec), Some(128)));
        assert_eq!(nothing.total, Some(Counts::ZERO));
        // It frees more than it allocates, and its level never exceeds that at its start.
        assert_eq!(frees.total.unwrap().net_bytes(), -400);
        assert_eq!(frees.peak_bytes, Some(0));
        assert_eq!(around.total.unwrap().net_bytes(), 0);
        assert_eq!(around.peak_bytes, Some(1000));
    });
}

#[test]
fn an_empty_call_is_zero() {
    everywhere(50, |trace| {
        let scope = trace.inject();
        let around = call!("around");
        call!("empty").stop();
        // A text that does not fit into a record.
        call!("{:200}", "long", rows = 1).stop();
        around.stop();
        drop(scope);
        let report = trace.report();
        assert_eq!(report.calls.len(), 3);
        for call in &report.calls {
            assert_eq!((call.total, call.peak_bytes), (Some(Counts::ZERO), Some(0)));
            assert!(!call.partial);
        }
        assert_eq!(report.total, Some(Counts::ZERO));
    });
}

#[test]
fn a_panic_through_three_calls_and_the_next_is_exact() {
    fn unwind_through_three() {
        catch_unwind(|| {
            let _one = call!("one");
            let _two = call!("two");
            let _three = call!("three");
            allocate(1);
            resume_unwind(Box::new(()));
        })
        .unwrap_err();
    }
    everywhere(20, |trace| {
        unwind_through_three();
        let unwinding = measure(unwind_through_three).counts.unwrap();
        let scope = trace.inject();
        let around = call!("around");
        unwind_through_three();
        let next = call!("next");
        allocate(4);
        next.stop();
        around.stop();
        drop(scope);
        let report = trace.report();
        let ends: Vec<_> = report
            .calls
            .iter()
            .map(|call| (&call.outcome, call.parent))
            .collect();
        let panicked = &Outcome::Panicked;
        assert_eq!(
            ends,
            [
                (&Outcome::Ok, None),
                (panicked, Some(0)),
                (panicked, Some(1)),
                (panicked, Some(2)),
                (&Outcome::Ok, Some(0)),
            ]
        );
        assert_eq!(report.calls[0].total, Some(unwinding + boxes(4)));
        assert_eq!(calls_of(&report)[4], "next in around: 4, 4, Ok");
    });
}

#[test]
fn guards_out_of_order_and_leaked() {
    everywhere(50, |trace| {
        let scope = trace.inject();
        let around = call!("around");
        let (one, two, three) = (call!("one"), call!("two"), call!("three"));
        allocate(1);
        two.stop();
        allocate(2);
        one.stop();
        allocate(4);
        three.stop();
        allocate(8);
        std::mem::forget(call!("leaked"));
        allocate(16);
        around.stop();
        drop(scope);
        assert_eq!(
            calls(trace),
            [
                "around in -: 31, 8, Ok",
                "one in around: 3, 0, Ok",
                "two in one: 1, 0, Ok",
                "three in two: 7, 7, Ok",
                "leaked in around: 16, 16, Running",
            ]
        );
    });
}

#[test]
fn a_guard_dropped_on_another_thread() {
    everywhere(10, |trace| {
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
            *guard.lock().unwrap() = Some(call!("moved"));
            allocate(1);
            turn.wait();
            turn.wait();
            let after = call!("after");
            allocate(2);
            after.stop();
            around.stop();
        });
        assert_eq!(
            calls(trace),
            [
                "around in -: 3, 0, Ok",
                "moved in around: 1, 1, Ok, partial",
                "after in around: 2, 2, Ok",
            ]
        );
    });
}

#[test]
fn the_same_trace_again_counts_nothing_twice() {
    everywhere(50, |trace| {
        let scope = trace.inject();
        let one = call!("one");
        allocate(1);
        let again = tracer::fetch().inject();
        allocate(2);
        let two = call!("two");
        allocate(4);
        two.stop();
        drop(again);
        one.stop();
        drop(scope);
        let report = trace.report();
        assert_eq!(
            calls_of(&report),
            ["one in -: 7, 3, Ok", "two in one: 4, 4, Ok"]
        );
        assert_eq!(report.total, Some(boxes(7)));
    });
}

#[test]
fn beyond_the_limit_the_totals_stay_exact() {
    const CALLS: u64 = 10_000;
    everywhere(1, |_| {
        let trace = Trace::with_limits(10, Limits::default().calls(1000));
        let scope = trace.inject();
        let around = call!("around");
        for _ in 0..CALLS {
            let _call = call!("inside");
            allocate(1);
        }
        around.stop();
        drop(scope);
        let report = trace.report();
        assert_eq!((report.calls.len(), report.dropped), (1000, 0));
        assert_eq!(calls_of(&report)[0], format!("around in -: {CALLS}, 0, Ok"));
        let [folded] = &report.folded[..] else {
            panic!("{:?}", report.folded)
        };
        assert_eq!((folded.calls, folded.parent), (CALLS - 999, Some(0)));
        assert_eq!(folded.self_counts, Some(boxes(CALLS - 999)));
        assert_eq!(report.total, Some(boxes(CALLS)));
    });
}

#[test]
fn the_peak_of_an_inner_call_is_in_the_outer() {
    const MEGABYTE: usize = 1 << 20;
    everywhere(20, |trace| {
        let scope = trace.inject();
        let outer = call!("outer");
        let inner = call!("inner");
        drop(black_box(vec![0_u8; MEGABYTE]));
        inner.stop();
        let after = call!("after");
        allocate(1);
        after.stop();
        outer.stop();
        drop(scope);
        let report = trace.report();
        let peaks: Vec<_> = report.calls.iter().map(|call| call.peak_bytes).collect();
        assert_eq!(
            peaks,
            [Some(MEGABYTE as u64), Some(MEGABYTE as u64), Some(1)]
        );
        assert_eq!(report.calls[0].total.unwrap().net_bytes(), 0);
    });
}

#[test]
fn a_scope_leaked_on_a_worker_leaves_other_traces_exact() {
    let leaked = Trace::new();
    let work = |trace: &Trace| {
        let _scope = trace.inject();
        let around = call!("around");
        allocate(1);
        let inside = call!("inside");
        allocate(2);
        inside.stop();
        around.stop();
    };
    let expected = ["around in -: 3, 1, Ok", "inside in around: 2, 2, Ok"];
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    pool.install(|| std::mem::forget(leaked.inject()));
    for _ in 0..50 {
        let trace = Trace::new();
        pool.install(|| work(&trace));
        assert_eq!(calls(&trace), expected);
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).build().unwrap();
    let traces: Vec<_> = (0..100).map(|_| Trace::new()).collect();
    let tasks = traces.iter().zip(0..).map(|(trace, number)| {
        let (trace, leaked) = (trace.clone(), leaked.clone());
        runtime.spawn(async move {
            if number % 10 == 0 {
                std::mem::forget(leaked.inject());
            }
            let task = trace.instrument(async move {
                let around = call!("around");
                allocate(1);
                tokio::task::consume_budget().await;
                let inside = call!("inside");
                allocate(2);
                inside.stop();
                around.stop();
            });
            task.await;
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for done in runtime.block_on(join_all(tasks)) {
        done.unwrap();
    }
    for trace in &traces {
        assert_eq!(calls(trace), expected);
    }
}

#[test]
fn nothing_of_one_case_is_left_for_the_next() {
    // A panic through scopes and calls leaves the thread outside of all traces.
    everywhere(20, |trace| {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _scope = trace.inject();
            let _one = call!("one");
            let _again = trace.inject();
            let _two = call!("two");
            let _other = Trace::new().inject();
            let _in_other = call!("in other");
            resume_unwind(Box::new(()));
        }));
        assert!(caught.is_err() && tracer::fetch().is_empty());
        let report = trace.report();
        assert!(
            report
                .calls
                .iter()
                .all(|call| call.outcome == Outcome::Panicked && !call.partial)
        );
        assert_eq!((report.calls.len(), report.calls[1].parent), (2, Some(0)));
    });
}
