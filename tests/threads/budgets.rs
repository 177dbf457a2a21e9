//! Budgets over a trace, with work on other threads and in tasks.

use std::future::{Future, pending};
use std::hint::black_box;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use tracer::alloc::{Budget, Exceeded, measure};
use tracer::{InCurrentTrace, Trace, call, in_current_trace, traced};

use crate::common::allocate;
use crate::pause::pause;

fn bytes(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(black_box(size)))
}

#[traced]
fn work(size: usize) -> Vec<u8> {
    allocate(2);
    bytes(size)
}

fn pool() -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    pool.broadcast(|_| allocate(1));
    pool
}

/// Works twice on rayon's threads, and returns what one of them made.
fn halves() -> Vec<u8> {
    let (kept, freed) = rayon::join(
        in_current_trace(|| work(1000)),
        in_current_trace(|| work(300)),
    );
    drop(freed);
    kept
}

/// Returns the first lines of a failure, without the place, and the names in its tree.
fn told(failure: &Exceeded) -> (Vec<String>, Vec<String>) {
    let text = failure.to_string();
    let (figures, tree) = text.split_once("\nwhat ran inside: ").unwrap();
    let figures = figures.lines().skip(1).map(str::to_owned).collect();
    let lines = tree
        .lines()
        .filter(|line| line.contains("work @") || line.contains("work ×"));
    (figures, lines.map(str::to_owned).collect())
}

#[test]
fn a_budget_of_a_thread_is_green_and_one_of_the_trace_is_not() {
    pool().install(|| {
        drop(halves());
        for _ in 0..50 {
            let failure = Budget::none().of_trace().check(halves).unwrap_err();
            let counts = failure.counts().unwrap();
            assert_eq!((counts.allocations, counts.bytes_allocated), (6, 1304));
            assert_eq!(counts.net_bytes(), 1000);
            let limits = Budget::new()
                .allocations(6)
                .bytes(1304)
                .retained_bytes(1000);
            drop(limits.of_trace().assert(halves));
            let exact = Budget::exactly(6)
                .exact_bytes(1304)
                .exact_retained_bytes(1000);
            drop(exact.of_trace().assert(halves));
        }
    });
}

#[test]
fn what_jobs_keep_is_not_balanced() {
    static CACHE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    CACHE.lock().unwrap().reserve(100);
    pool().install(|| {
        drop(halves());
        for _ in 0..50 {
            Budget::balanced().assert(|| drop(halves()));
            let keeps = || CACHE.lock().unwrap().push(halves());
            let balanced = Budget::balanced().waits(Duration::ZERO);
            let failure = balanced.check(keeps).unwrap_err();
            assert_eq!(failure.brief(), "kept bytes 1000, exactly 0");
            // Memory of before may be freed. The sums are not equal then.
            let frees = || drop(CACHE.lock().unwrap().pop());
            let sums = Budget::new().exact_retained_bytes(0).of_trace();
            let failure = sums.check(frees).unwrap_err();
            assert_eq!(failure.brief(), "kept bytes -1000, exactly 0");
            CACHE.lock().unwrap().push(halves());
            Budget::balanced().assert(frees);
        }
    });
}

#[test]
fn the_failure_has_the_tree_of_all_threads() {
    let failure = pool().install(|| {
        drop(halves());
        let balanced = Budget::balanced().waits(Duration::ZERO);
        balanced.allocations(5).check(halves).unwrap_err()
    });
    let (figures, lines) = told(&failure);
    assert_eq!(
        figures,
        [
            "  allocations   at most 5, but 6",
            "  bytes         any number, and 1304",
            "  peak bytes    any number, and not known",
            "  kept bytes    exactly 0, but 1000",
            "  by 6 allocations, 0 reallocations, 5 deallocations, 1304 bytes allocated, 304 bytes freed",
            "  not freed: 1 block, 1000 bytes: 1 of 1000",
        ]
    );
    let text = failure.to_string();
    assert!(
        text.contains(", allocates 6 (1,304 bytes), keeps 1,000 bytes\n"),
        "{text}"
    );
    assert!(text.contains("  keeps  call\n"), "{text}");
    assert_eq!(lines.len(), 2, "{text}");
}

#[test]
fn the_peak_of_a_trace_is_not_known() {
    let failure = Budget::new().peak_bytes(1 << 20).of_trace().check(|| ());
    assert_eq!(
        failure.unwrap_err().brief(),
        "peak bytes not known, at most 1048576"
    );
}

#[test]
fn tasks_of_a_runtime_of_one_thread_are_balanced() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let spawns = async |kept: usize| {
            let task = async move {
                let made = work(1000);
                tokio::task::yield_now().await;
                drop(made);
                work(kept)
            };
            let length = tokio::spawn(task.in_current_trace())
                .await
                .unwrap()
                .capacity();
            tokio::spawn(async move { std::mem::forget(work(length)) }.in_current_trace())
                .await
                .unwrap();
        };
        // The runtime's own buffers.
        spawns(0).await;
        for kept in [0, 1, 700] {
            let checked = Budget::balanced().check_future(spawns(kept)).await;
            let told = checked.map_err(|it| it.brief());
            let expected = format!("kept bytes {kept}, exactly 0");
            assert_eq!(told, if kept == 0 { Ok(()) } else { Err(expected) });
        }
        Budget::new()
            .retained_bytes(5)
            .assert_future(spawns(5))
            .await;
    });
}

#[test]
fn a_future_that_moves_among_threads_is_counted_wherever_it_is_polled() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let task = |size: usize| {
        let limits = Budget::exactly(11).exact_retained_bytes(size as u64);
        // The task's own block is outside of the budget.
        runtime.spawn(limits.check_future(async move {
            for _ in 0..5 {
                allocate(2);
                pause(1).await;
            }
            bytes(size)
        }))
    };
    let tasks: Vec<_> = (1..=32).map(task).collect();
    for (task, size) in tasks.into_iter().zip(1..) {
        assert_eq!(runtime.block_on(task).unwrap().unwrap().capacity(), size);
    }
}

#[test]
fn threads_that_are_spawned_inside_leave_little() {
    let exceeded = |limit: u64| {
        let budget = Budget::new().retained_bytes(limit).of_trace();
        budget.check(|| {
            thread::scope(|threads| {
                for _ in 0..4 {
                    threads.spawn(in_current_trace(|| drop(work(100_000))));
                }
            });
        })
    };
    assert!(exceeded(4 * 2000).is_ok());
    let total = exceeded(0).map_err(|it| it.counts().unwrap().bytes_allocated);
    assert!(total.is_err_and(|bytes| bytes > 400_000));
}

#[test]
fn a_current_trace_has_the_figures_but_not_the_calls() {
    let trace = Trace::new();
    let scope = trace.inject();
    let handle = call!();
    Budget::balanced().assert(|| drop(work(1000)));
    handle.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(report.calls.len(), 1);
    assert_eq!(report.calls[0].total.unwrap().bytes_allocated, 1002);
}

#[test]
fn a_budget_of_a_trace_allocates_nothing_that_is_counted() {
    Budget::balanced().assert(|| ());
    let measured = measure(|| Budget::balanced().assert(|| ()));
    assert_eq!(measured.counts.unwrap().allocates(), 0);
    assert_eq!(measured.counts.unwrap().deallocations, 0);
}

#[test]
fn a_total_that_lacks_tasks_is_not_known() {
    let poll_once = |tasks: usize| {
        let waiting = |_| Box::pin(async { pending::<()>().await }.in_current_trace());
        let mut waiting: Vec<_> = (0..tasks).map(waiting).collect();
        let mut context = Context::from_waker(Waker::noop());
        for task in &mut waiting {
            assert!(task.as_mut().poll(&mut context).is_pending());
        }
        waiting.len()
    };
    let budget = Budget::new().bytes(1 << 30).of_trace();
    assert_eq!(budget.assert(|| poll_once(10_000)), 10_000);
    let failure = budget.check(|| poll_once(20_000)).unwrap_err();
    assert_eq!(
        failure.brief(),
        format!("bytes not known, at most {}", 1 << 30)
    );
    let text = failure.to_string();
    assert!(text.contains(", and what is not in these"), "{text}");
}

#[test]
fn a_panic_comes_through() {
    let payload = catch_unwind(|| Budget::balanced().assert(|| panic!("inside"))).unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"inside"));
    assert!(tracer::fetch().report().calls.is_empty());
}
