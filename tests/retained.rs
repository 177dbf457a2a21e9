//! The bytes that a trace and its calls keep, beside `stats_alloc` as the oracle.
//!
//! One test, because the oracle counts the whole process: no other thread of libtest runs meanwhile.

#[path = "common/pause.rs"]
mod pause;

use std::alloc::System;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use stats_alloc::StatsAlloc;
use tracer::alloc::process;
use tracer::{Counting, InCurrentTrace, Report, Trace, call, in_current_trace, traced};

use pause::pause;

static INNER: StatsAlloc<System> = StatsAlloc::system();

#[global_allocator]
static ALLOCATOR: Counting<&'static StatsAlloc<System>> = Counting::new(&INNER);

/// The bytes that the process keeps, by the oracle, without the tracer's own.
fn kept_by_process() -> i64 {
    let stats = INNER.stats();
    let net = stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated);
    let own = process().unwrap().overhead.net_bytes();
    i64::try_from(net.cast_signed()).unwrap() - own
}

/// Runs `work` in a trace. Returns its value and the report, of which the oracle agrees with the total.
fn traced_work<T>(work: impl FnOnce() -> T) -> (T, Report) {
    let trace = Trace::new();
    let scope = trace.inject();
    let before = kept_by_process();
    let value = work();
    let after = kept_by_process();
    drop(scope);
    let report = trace.report();
    assert_eq!(
        report.total.unwrap().net_bytes(),
        after - before,
        "{report:#}"
    );
    (value, report)
}

fn kept_of(report: &Report, name: &str) -> Vec<i64> {
    let calls = report.calls.iter().filter(|call| call.name == name);
    calls.map(|call| call.total.unwrap().net_bytes()).collect()
}

fn bytes(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(black_box(size)))
}

#[traced]
fn makes(size: usize) -> Vec<u8> {
    drop(bytes(2 * size));
    bytes(size)
}

#[traced]
fn grows(mut block: Vec<u8>, by: usize) -> Vec<u8> {
    block.reserve_exact(by);
    black_box(block)
}

#[traced]
fn frees(block: Vec<u8>) {
    drop(black_box(block));
}

fn on_one_thread() {
    let (kept, report) = traced_work(|| {
        let handle = call!("handle");
        let kept = vec![makes(1000), grows(makes(200), 300)];
        frees(makes(50));
        let mut shrunk = makes(400);
        shrunk.shrink_to(0);
        handle.stop();
        kept
    });
    let own = i64::try_from(2 * size_of::<Vec<u8>>()).unwrap();
    assert_eq!(kept_of(&report, "on_one_thread"), [own + 1000 + 300]);
    assert_eq!(kept_of(&report, "makes"), [1000, 200, 50, 400]);
    assert_eq!(kept_of(&report, "grows"), [100]);
    assert_eq!(kept_of(&report, "frees"), [-50]);
    drop(kept);
}

/// What the worker and the request share. So the worker's job captures nothing, and has no block of its own.
static BLOCKS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static TRACE: Mutex<Option<Trace>> = Mutex::new(None);

/// Blocks that move between threads, which are there before anything is counted.
fn on_several_threads() {
    let (to_worker, jobs) = channel::<Box<dyn FnOnce() + Send>>();
    let (done, is_done) = channel();
    let worker = thread::spawn(move || {
        for job in jobs {
            job();
            done.send(()).unwrap();
        }
    });
    // The channels' blocks are allocated by first use.
    for _ in 0..40 {
        to_worker.send(Box::new(|| ())).unwrap();
        is_done.recv().unwrap();
    }
    BLOCKS.lock().unwrap().reserve_exact(8);
    let job = || {
        let trace = TRACE.lock().unwrap().clone().unwrap();
        let _scope = trace.inject();
        let _call = call!("worker");
        let taken = BLOCKS.lock().unwrap().pop().unwrap();
        frees(taken);
        let (made, grown) = (makes(300), grows(makes(20), 50));
        BLOCKS.lock().unwrap().extend([made, grown]);
    };
    let ((), report) = traced_work(|| {
        let handle = call!("handle");
        *TRACE.lock().unwrap() = Some(tracer::fetch());
        BLOCKS.lock().unwrap().push(makes(1000));
        to_worker.send(Box::new(job)).unwrap();
        is_done.recv().unwrap();
        TRACE.lock().unwrap().take();
        handle.stop();
    });
    // What the worker does belongs to the call in which it was handed over.
    assert_eq!(kept_of(&report, "on_several_threads"), [350, -650]);
    assert_eq!(kept_of(&report, "frees"), [-1000]);
    assert_eq!(kept_of(&report, "makes"), [1000, 300, 20]);
    BLOCKS.lock().unwrap().clear();
    drop(to_worker);
    worker.join().unwrap();
}

fn in_rayons_jobs() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    pool.broadcast(|_| ());
    let halves = || {
        rayon::join(
            in_current_trace(|| makes(500)),
            in_current_trace(|| makes(70)),
        )
    };
    // On a thread of the pool: jobs of other threads go through a queue whose blocks the pool frees.
    pool.install(|| {
        drop(halves());
        for _ in 0..100 {
            let (kept, report) = traced_work(|| {
                let _handle = call!("handle");
                let (one, other) = halves();
                frees(one);
                other
            });
            assert_eq!(report.total.unwrap().net_bytes(), 70);
            assert_eq!(kept_of(&report, "in_rayons_jobs"), [70]);
            drop(kept);
        }
    });
}

fn in_tasks() {
    // On one thread, a task's own block is freed where the task is awaited.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let request = |size: usize| {
        runtime.block_on(async {
            let _handle = call!("handle");
            let task = async move {
                tokio::task::yield_now().await;
                makes(size)
            };
            let made = tokio::spawn(task.in_current_trace()).await.unwrap();
            tokio::task::yield_now().await;
            grows(made, 2 * size)
        })
    };
    drop(request(10));
    let (kept, report) = traced_work(|| request(500));
    assert_eq!(report.total.unwrap().net_bytes(), 1000);
    assert_eq!(kept_of(&report, "makes"), [500]);
    assert_eq!(kept_of(&report, "grows"), [500]);
    drop(kept);

    // On several, the runtime frees it; so these tasks are spawned outside of the trace.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let trace = Trace::new();
    let tasks: Vec<_> = (0..16)
        .map(|size| {
            runtime.spawn(trace.instrument(async move {
                let mut kept = makes(size);
                for _ in 0..size {
                    pause(1).await;
                    let more = kept.capacity() + 1;
                    kept = grows(kept, more);
                }
                frees(makes(size));
                kept
            }))
        })
        .collect();
    let kept: Vec<_> = tasks
        .into_iter()
        .map(|task| runtime.block_on(task).unwrap())
        .collect();
    let report = trace.report();
    let expected: usize = kept.iter().map(Vec::capacity).sum();
    assert_eq!(
        report.total.unwrap().net_bytes(),
        i64::try_from(expected).unwrap(),
        "{report:#}"
    );
}

#[test]
fn what_is_kept_is_exact() {
    on_one_thread();
    on_several_threads();
    in_rayons_jobs();
    in_tasks();
}
