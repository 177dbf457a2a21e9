//! Traces in rayon's jobs, which a thread may steal from another in the middle of a call.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Barrier};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tracer::alloc::Counts;
use tracer::{Call, CallReport, Limits, Outcome, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};

fn pool(threads: usize) -> ThreadPool {
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    // The threads allocate their own memory before anything is traced.
    pool.broadcast(|_| allocate(1));
    pool
}

/// Returns the allocations only. A worker that looks for work frees memory that rayon has not freed yet,
/// and the thread that runs a job frees its block. Both may happen inside a call that waits.
fn allocations(counts: Option<Counts>) -> u64 {
    counts.unwrap().allocations
}

/// Joins two halves at each level, each in a scope of the trace fetched at the level above.
fn halves(depth: u32, above: &Trace) {
    let _scope = above.inject();
    let _call = call!("{depth}");
    allocate(1);
    if depth > 0 {
        let here = tracer::fetch();
        rayon::join(|| halves(depth - 1, &here), || halves(depth - 1, &here));
    }
}

#[test]
fn a_recursion_of_joins_fetches_at_each_level() {
    const DEPTH: u32 = 9;
    let pool = pool(4);
    for _ in 0..20 {
        let trace = Trace::with_limits(10, Limits::default().strands(1 << (DEPTH + 1)));
        pool.install(|| halves(DEPTH, &trace));
        let report = trace.report();
        assert_eq!(
            (report.calls.len(), report.dropped),
            ((1 << (DEPTH + 1)) - 1, 0)
        );
        for call in &report.calls {
            let depth: u32 = call.id.as_deref().unwrap().parse().unwrap();
            let parent = call
                .parent
                .map(|parent| report.calls[parent].id.clone().unwrap());
            // On whichever thread: a job stolen while waiting is in another strand of the trace,
            // and is not counted twice.
            assert_eq!(parent, (depth < DEPTH).then(|| (depth + 1).to_string()));
            assert_eq!(allocations(call.self_counts), 1, "{report:#}");
            assert_eq!(allocations(call.total), (1 << (depth + 1)) - 1);
            assert_eq!((&call.outcome, call.partial), (&Outcome::Ok, false));
        }
        for depth in 0..=DEPTH {
            let is_it = |call: &&CallReport| call.id == Some(depth.to_string());
            assert_eq!(
                report.calls.iter().filter(is_it).count(),
                1 << (DEPTH - depth)
            );
        }
    }
}

#[test]
fn a_scope_of_jobs_and_jobs_of_those() {
    const JOBS: u64 = 50;
    let (trace, pool) = (Trace::new(), pool(4));
    pool.install(|| {
        let _scope = trace.inject();
        let around = call!("around");
        let here = tracer::fetch();
        rayon::scope(|jobs| {
            for number in 0..JOBS {
                let here = here.clone();
                jobs.spawn(move |jobs| {
                    let _scope = here.inject();
                    let job = call!("{number}");
                    allocate(number);
                    let below = tracer::fetch();
                    job.stop();
                    jobs.spawn(move |_| {
                        let _scope = below.inject();
                        let _call = call!("below");
                        allocate(1);
                    });
                });
            }
        });
        around.stop();
    });
    let report = trace.report();
    assert_eq!(report.calls.len() as u64, 1 + 2 * JOBS);
    for (place, call) in report.calls.iter().enumerate() {
        match call.id.as_deref().unwrap() {
            "around" => assert_eq!(place, 0),
            "below" => {
                let parent = &report.calls[call.parent.unwrap()];
                assert!(parent.id.as_deref().unwrap().parse::<u64>().is_ok());
                assert_eq!(
                    (call.self_counts, call.total),
                    (Some(boxes(1)), Some(boxes(1)))
                );
            }
            number => {
                let number = number.parse::<u64>().unwrap();
                assert_eq!(
                    (call.self_counts, call.parent),
                    (Some(boxes(number)), Some(0))
                );
                assert!(call.total.unwrap().allocations > number);
            }
        }
        assert_eq!((&call.outcome, call.partial), (&Outcome::Ok, false));
    }
}

/// Runs `stolen` in a job of the pool's only thread, while that thread is within `around`.
///
/// A worker that waits steals jobs; `yield_local` makes it steal one at once.
fn stolen_within(around: &str, stolen: impl FnOnce() + Send) {
    rayon::scope(|jobs| {
        jobs.spawn(|_| stolen());
        let around = call!("{around}");
        allocate(1);
        assert_eq!(rayon::yield_local(), Some(rayon::Yield::Executed));
        allocate(2);
        around.stop();
    });
}

#[test]
fn a_job_of_another_trace_stolen_inside_a_call_is_in_the_call() {
    // Scopes of different traces nest: the outer trace includes the inner.
    let (ours, theirs) = (Trace::new(), Trace::new());
    pool(1).install(|| {
        let _scope = ours.inject();
        stolen_within("ours", || {
            let _scope = theirs.inject();
            let _call = call!("theirs");
            allocate(10);
        });
    });
    assert_eq!(calls(&theirs), ["theirs in -: 10, 10, Ok"]);
    assert_eq!(theirs.report().total, Some(boxes(10)));
    let report = ours.report();
    let call = &report.calls[0];
    assert_eq!(
        (allocations(call.total), allocations(call.self_counts)),
        (13, 13)
    );
    assert_eq!((&call.outcome, call.partial), (&Outcome::Ok, false));
}

#[test]
fn a_job_without_a_trace_stolen_inside_a_call_is_in_the_call() {
    let trace = Trace::new();
    pool(1).install(|| {
        let _scope = trace.inject();
        stolen_within("ours", || {
            let _call = call!("not traced by itself");
            allocate(10);
        });
    });
    let report = trace.report();
    assert_eq!(allocations(report.calls[0].total), 13);
    // The call found the trace that is current on its thread.
    assert_eq!(
        (report.calls[1].parent, report.calls[1].total),
        (Some(0), Some(boxes(10)))
    );
}

#[test]
fn a_job_of_the_same_trace_stolen_inside_a_call_is_not() {
    let trace = Trace::new();
    pool(1).install(|| {
        let scope = trace.inject();
        let outer = call!("outer");
        let at_outer = tracer::fetch();
        stolen_within("ours", || {
            let _scope = at_outer.inject();
            let _call = call!("stolen");
            allocate(10);
        });
        outer.stop();
        drop(scope);
    });
    let report = trace.report();
    let [outer, ours, stolen] = &report.calls[..] else {
        panic!("{report:#}")
    };
    // The job is a child of the call open at `fetch`, not of the one in which it ran.
    assert_eq!((stolen.parent, stolen.total), (Some(0), Some(boxes(10))));
    assert_eq!(
        (
            ours.parent,
            allocations(ours.total),
            allocations(ours.self_counts)
        ),
        (Some(0), 3, 3)
    );
    assert_eq!(outer.total, report.total);
    let own: Counts = report
        .calls
        .iter()
        .map(|call| call.self_counts.unwrap())
        .sum();
    assert_eq!(report.total, Some(own));
}

#[test]
fn a_guard_taken_along_by_a_job() {
    // The job runs on the very thread of the strand, in a scope of another trace.
    let (ours, theirs) = (Trace::new(), Trace::new());
    pool(1).install(|| {
        let scope = ours.inject();
        let around = call!("around");
        let taken: Call = call!("taken");
        stolen_within("ours", || {
            let _scope = theirs.inject();
            allocate(10);
            taken.stop();
            allocate(100);
        });
        around.stop();
        drop(scope);
    });
    let report = ours.report();
    let [around, taken, ours] = &report.calls[..] else {
        panic!("{report:#}")
    };
    assert_eq!(
        (taken.parent, &taken.outcome, taken.partial),
        (Some(0), &Outcome::Ok, true)
    );
    assert_eq!((ours.parent, ours.partial), (Some(1), false));
    assert_eq!(allocations(ours.total), 113);
    assert_eq!(around.total, report.total);
    assert_eq!(theirs.report().total, Some(boxes(110)));
}

#[test]
fn many_traces_in_one_pool_at_once() {
    const TRACES: u64 = 100;
    let pool = pool(4);
    let traces: Vec<_> = (0..TRACES).map(|_| Trace::new()).collect();
    let sum = AtomicU64::new(0);
    pool.install(|| {
        traces.par_iter().enumerate().for_each(|(number, trace)| {
            let _scope = trace.inject();
            let _call = call!("{number}");
            let inside = call!("inside");
            allocate(number as u64);
            inside.stop();
            sum.fetch_add(number as u64, Relaxed);
        });
    });
    for (number, trace) in traces.iter().enumerate() {
        let lines = [
            format!("{number} in -: {number}, 0, Ok"),
            format!("inside in {number}: {number}, {number}, Ok"),
        ];
        assert_eq!(calls(trace), lines);
    }
    assert_eq!(sum.into_inner(), (0..TRACES).sum::<u64>());
}

#[test]
fn reports_taken_by_jobs_while_others_write() {
    let (trace, pool) = (
        Trace::with_limits(10, Limits::default().calls(100_000)),
        pool(4),
    );
    pool.install(|| {
        (0..400_u64).into_par_iter().for_each(|job| {
            if job % 8 == 7 {
                let report = trace.report();
                for call in &report.calls {
                    let count: u64 = call.id.as_deref().unwrap().parse().unwrap();
                    match call.outcome {
                        Outcome::Ok => {
                            assert_eq!((call.total, call.partial), (Some(boxes(count)), false));
                        }
                        _ => assert!(allocations(call.total) <= count, "{report:#}"),
                    }
                }
                return;
            }
            let _scope = trace.inject();
            for count in 0..10 {
                let call = call!("{count}");
                allocate(count);
                call.stop();
            }
        });
    });
    let report = trace.report();
    assert_eq!((report.calls.len(), report.dropped), (350 * 10, 0));
    assert_eq!(report.total, Some(boxes(350 * 45)));
}

#[test]
fn a_panic_in_a_job_comes_through_the_calls_of_both_threads() {
    let (trace, pool) = (Trace::new(), pool(2));
    let meet = Arc::new(Barrier::new(2));
    let payload = pool.install(|| {
        let _scope = trace.inject();
        let around = call!("around");
        let here = tracer::fetch();
        let there = Arc::clone(&meet);
        let joined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _joins = call!("joins");
            rayon::join(
                // Both threads are in a half at once.
                || meet.wait(),
                || {
                    there.wait();
                    let _scope = here.inject();
                    let _job = call!("job");
                    allocate(1);
                    std::panic::resume_unwind(Box::new(7_u32));
                },
            );
        }));
        let after = call!("after");
        allocate(2);
        after.stop();
        around.stop();
        joined.unwrap_err()
    });
    assert_eq!(payload.downcast_ref(), Some(&7_u32));
    let report = trace.report();
    let ends: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            (
                call.id.as_deref().unwrap(),
                call.parent,
                &call.outcome,
                call.partial,
            )
        })
        .collect();
    assert_eq!(
        ends,
        [
            ("around", None, &Outcome::Ok, false),
            ("joins", Some(0), &Outcome::Panicked, false),
            ("job", Some(0), &Outcome::Panicked, false),
            ("after", Some(0), &Outcome::Ok, false),
        ]
    );
    assert_eq!(calls_of(&report)[3], "after in around: 2, 2, Ok");
}
