//! Closures and futures that carry the current trace along.

use std::thread;

use rayon::prelude::*;
use tokio::runtime::Runtime;
use tokio::task::{spawn_blocking, yield_now};
use tracer::{
    CallReport, InCurrentTrace, Report, Trace, call, each_in_current_trace, in_current_trace,
};

use crate::common::allocate;

/// Allocates twice when it is dropped, in a call.
struct Noisy;

impl Drop for Noisy {
    fn drop(&mut self) {
        let _call = call!("drop");
        allocate(2);
    }
}

fn work(allocations: u64) -> u64 {
    let _call = call!();
    allocate(allocations);
    allocations
}

/// Runs `run` within a call named "outer", and returns the report after it has stopped.
fn record(run: impl FnOnce()) -> Report {
    let trace = Trace::new();
    let scope = trace.inject();
    let outer = call!("outer");
    run();
    drop(outer);
    drop(scope);
    trace.report()
}

fn shown(call: &CallReport) -> &str {
    call.id.as_deref().unwrap_or(&call.name)
}

/// Returns the calls below "outer": names, allocations, and whether "outer" is their parent.
fn inside(report: &Report) -> Vec<(&str, u64, bool)> {
    let calls = report.calls[1..].iter();
    calls
        .map(|call| {
            let allocates = call.total.unwrap().allocates();
            (shown(call), allocates, call.parent == Some(0))
        })
        .collect()
}

#[test]
fn a_thread_works_below_the_call_that_was_open() {
    let report = record(|| {
        let owned = Noisy;
        let thread = thread::spawn(in_current_trace(move || {
            let _owned = &owned;
            work(3)
        }));
        // May be open when the thread runs, but was not when the closure was wrapped.
        let _later = call!("later");
        assert_eq!(thread.join().unwrap(), 3);
    });
    let mut inside = inside(&report);
    inside.sort_unstable();
    let expected = [("drop", 2, true), ("later", 0, true), ("work", 3, true)];
    assert_eq!(inside, expected);
    assert!(report.calls[0].total.unwrap().allocates() >= 5);
}

#[test]
fn scoped_threads_may_borrow() {
    let numbers = [1, 2];
    let report = record(|| {
        thread::scope(|threads| {
            for number in &numbers {
                threads.spawn(in_current_trace(|| work(*number)));
            }
        });
    });
    let mut inside = inside(&report);
    inside.sort_unstable();
    assert_eq!(inside, [("work", 1, true), ("work", 2, true)]);
}

#[test]
fn tasks_and_blocking_work_of_tokio() {
    async fn task() {
        yield_now().await;
        work(1);
    }
    let trace = Trace::new();
    let all = trace.instrument(async {
        let _outer = call!("outer");
        let task = tokio::spawn(task().in_current_trace());
        let blocking = spawn_blocking(in_current_trace(|| work(2)));
        task.await.unwrap();
        assert_eq!(blocking.await.unwrap(), 2);
    });
    Runtime::new().unwrap().block_on(all);
    let report = trace.report();
    let mut inside = inside(&report);
    inside.sort_unstable();
    assert_eq!(inside, [("work", 1, true), ("work", 2, true)]);
}

#[test]
fn jobs_of_rayon() {
    let report = record(|| {
        let (one, other) = rayon::join(in_current_trace(|| work(1)), in_current_trace(|| work(2)));
        assert_eq!((one, other), (1, 2));
        let numbers = (0..100_u64).into_par_iter();
        let sum: u64 = numbers.map(each_in_current_trace(|_| work(3))).sum();
        assert_eq!(sum, 300);
    });
    let inside = inside(&report);
    assert!(
        inside
            .iter()
            .all(|(name, _, below)| *name == "work" && *below)
    );
    let sum: u64 = inside.iter().map(|(_, allocates, _)| allocates).sum();
    assert_eq!((inside.len(), sum), (102, 303));
}

#[test]
fn a_wrapped_closure_is_sent_shared_and_run_again() {
    fn shared<A, T, F: Fn(A) -> T + Send + Sync>(work: F) -> F {
        work
    }
    let report = record(|| {
        let again = shared(each_in_current_trace(work));
        thread::scope(|threads| {
            threads.spawn(|| again(1));
        });
        assert_eq!(again(2), 2);
    });
    assert_eq!(inside(&report), [("work", 1, true), ("work", 2, true)]);
}

#[test]
fn the_trace_is_the_one_current_when_wrapped() {
    let (trace, other) = (Trace::new(), Trace::new());
    let scope = trace.inject();
    let carried = in_current_trace(|| work(1));
    drop(scope);
    let scope = other.inject();
    carried();
    call!("own").stop();
    drop(scope);
    let names = [trace, other].map(|trace| {
        let calls = trace.report().calls;
        let names = calls.iter().map(|call| shown(call).to_owned());
        names.collect::<Vec<_>>()
    });
    assert_eq!(names, [["work"], ["own"]]);
}

#[test]
fn without_a_trace_it_runs_as_it_is() {
    assert_eq!(in_current_trace(|| work(1))(), 1);
    assert_eq!(each_in_current_trace(work)(1), 1);
    let future = async { work(1) }.in_current_trace();
    assert_eq!(Runtime::new().unwrap().block_on(future), 1);
    // A trace that is current when the closure runs stays current.
    let wrapped = in_current_trace(|| work(1));
    let report = record(|| assert_eq!(wrapped(), 1));
    assert_eq!(inside(&report), [("work", 1, true)]);
}
