//! Tokio: of one thread and of several, with spawned tasks and blocking work.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracer::InCurrentTrace;
use tracer::alloc::Budget;
use tracer::{call, in_current_trace, traced};

use crate::pause::pause;
use crate::{bytes, leak, told};

fn of_several_threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        // One that is not idle yet would have another one started, which the pool keeps.
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn of_one_thread() -> Runtime {
    Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

#[traced]
async fn work(size: usize) -> usize {
    let made = bytes(size);
    pause(2).await;
    let more = bytes(made.capacity() + 1);
    more.capacity() - 1
}

/// Spawns tasks, which leak this many bytes altogether.
async fn spawns(leaked: usize) {
    let _call = call!();
    let tasks: Vec<_> = (1..=8)
        .map(|number| {
            let task = async move {
                let size = work(100 * number).await;
                tokio::spawn(work(size).in_current_trace()).await.unwrap();
                if number == 5 && leaked > 0 {
                    leak(leaked);
                }
            };
            tokio::spawn(task.in_current_trace())
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn is_balanced_each_time<F: Future<Output = ()>>(runtime: &Runtime, work: impl Fn() -> F) {
    for _ in 0..10 {
        runtime.block_on(work());
    }
    for _ in 0..100 {
        runtime.block_on(Budget::balanced().assert_future(work()));
    }
}

#[test]
fn tasks_of_several_threads_are_balanced() {
    is_balanced_each_time(&of_several_threads(), || spawns(0));
}

#[test]
fn tasks_of_one_thread_are_balanced() {
    is_balanced_each_time(&of_one_thread(), || spawns(0));
}

#[test]
fn tasks_of_a_new_runtime_are_balanced() {
    for _ in 0..50 {
        let runtime = of_several_threads();
        runtime.block_on(Budget::balanced().assert_future(async {
            let task = tokio::spawn(work(100).in_current_trace());
            assert_eq!(task.await.unwrap(), 100);
        }));
    }
}

#[test]
fn a_budget_in_a_task_is_balanced() {
    let runtime = of_several_threads();
    runtime.block_on(spawns(0));
    for _ in 0..100 {
        let checked = Budget::balanced().check_future(spawns(0));
        let told = runtime.block_on(async { told(tokio::spawn(checked).await.unwrap()) });
        assert_eq!(told, "balanced");
    }
}

#[test]
fn what_a_task_leaks_is_told_to_the_byte() {
    for runtime in [of_several_threads(), of_one_thread()] {
        runtime.block_on(spawns(0));
        for leaked in [1, 12_345] {
            let failure = runtime
                .block_on(Budget::balanced().check_future(spawns(leaked)))
                .unwrap_err();
            assert_eq!(failure.brief(), format!("kept bytes {leaked}, exactly 0"));
            let kept = failure.kept().unwrap();
            assert_eq!(
                (kept.blocks, kept.sizes()),
                (1, [(leaked, 1)].as_slice()),
                "{failure}"
            );
        }
    }
}

#[test]
fn a_cache_that_grows_is_not_balanced() {
    let runtime = of_several_threads();
    let cache = Arc::new(Mutex::new(Vec::with_capacity(100)));
    let fills = |size: usize| {
        let cache = Arc::clone(&cache);
        async move {
            let task = async move {
                let made = bytes(size);
                pause(1).await;
                cache.lock().unwrap().push(made);
            };
            tokio::spawn(task.in_current_trace()).await.unwrap();
        }
    };
    runtime.block_on(fills(1));
    let budget = Budget::balanced();
    for size in [100, 300] {
        let checked = runtime.block_on(budget.check_future(fills(size)));
        assert_eq!(told(checked), format!("1 block, {size} bytes: 1 of {size}"));
    }
    // What was there before may be freed.
    let checked = runtime.block_on(budget.check_future(async {
        cache.lock().unwrap().clear();
    }));
    assert_eq!(told(checked), "balanced");
}

#[test]
fn a_task_that_is_not_awaited_is_waited_for() {
    for runtime in [of_several_threads(), of_one_thread()] {
        is_balanced_each_time(&runtime, || async {
            drop(tokio::spawn(
                async {
                    let made = bytes(1000);
                    pause(50).await;
                    drop(made);
                }
                .in_current_trace(),
            ));
        });
    }
}

#[test]
fn a_task_that_sleeps_is_waited_for_on_its_own_thread() {
    let runtime = of_one_thread();
    let sleeps = || async {
        let task = async {
            let made = bytes(1000);
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(made);
        };
        drop(tokio::spawn(task.in_current_trace()));
    };
    runtime.block_on(async {
        sleeps().await;
        tokio::time::sleep(Duration::from_millis(40)).await;
        Budget::balanced().assert_future(sleeps()).await;
    });
}

#[test]
fn a_task_that_is_aborted_is_balanced() {
    for runtime in [of_several_threads(), of_one_thread()] {
        is_balanced_each_time(&runtime, || async {
            let task = async {
                let _made = bytes(1000);
                std::future::pending::<()>().await;
            };
            let task = tokio::spawn(task.in_current_trace());
            pause(2).await;
            task.abort();
            drop(task);
        });
    }
}

#[test]
fn a_task_that_never_ends_keeps_its_memory() {
    let runtime = of_several_threads();
    runtime.block_on(spawns(0));
    let failure = runtime.block_on(Budget::balanced().check_future(async {
        let (begin, has_begun) = oneshot::channel();
        let task = async move {
            let _made = bytes(54_321);
            begin.send(()).unwrap();
            std::future::pending::<()>().await;
        };
        drop(tokio::spawn(task.in_current_trace()));
        has_begun.await.unwrap();
    }));
    let kept = failure.unwrap_err().kept().unwrap();
    // With the task's own block.
    assert_eq!((kept.blocks, kept.sizes()[0]), (2, (54_321, 1)), "{kept}");
}

#[test]
fn blocking_work_is_balanced() {
    for runtime in [of_several_threads(), of_one_thread()] {
        is_balanced_each_time(&runtime, || async {
            let made = bytes(100);
            let work = in_current_trace(move || {
                drop(made);
                bytes(200)
            });
            drop(tokio::task::spawn_blocking(work).await.unwrap());
        });
        let leaks = async {
            let work = in_current_trace(|| leak(777));
            tokio::task::spawn_blocking(work).await.unwrap();
        };
        let checked = runtime.block_on(Budget::balanced().check_future(leaks));
        assert_eq!(told(checked), "1 block, 777 bytes: 1 of 777");
    }
}

#[test]
fn channels_and_sets_of_tasks_are_balanced() {
    for runtime in [of_several_threads(), of_one_thread()] {
        is_balanced_each_time(&runtime, || async {
            let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(4);
            let mut tasks = JoinSet::new();
            for number in 0..4 {
                let sender = sender.clone();
                let task = async move {
                    for size in 1..20 {
                        sender.send(bytes(10 * size + number)).await.unwrap();
                    }
                };
                tasks.spawn(task.in_current_trace());
            }
            drop(sender);
            let mut sum = 0;
            while let Some(made) = receiver.recv().await {
                sum += made.capacity();
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
            let (tell, is_told) = oneshot::channel();
            tokio::spawn(async move { tell.send(sum).unwrap() }.in_current_trace());
            assert_eq!(is_told.await, Ok(7714));
        });
    }
}

#[test]
fn the_text_of_a_failure_has_the_blocks() {
    let runtime = of_several_threads();
    runtime.block_on(spawns(0));
    let budget = Budget::balanced().waits(Duration::from_millis(1500));
    let failure = runtime.block_on(budget.check_future(async {
        let leaks = async {
            for size in [10, 3000, 20, 10, 30, 40, 50, 5] {
                leak(size);
            }
        };
        tokio::spawn(leaks.in_current_trace()).await.unwrap();
    }));
    let text = failure.unwrap_err().to_string();
    let lines = "
  kept bytes    exactly 0, but 3165
";
    assert!(text.contains(lines), "{text}");
    let lines = "
  not freed within 1.5s: 8 blocks, 3165 bytes: 1 of 3000, 1 of 50, 1 of 40, 1 of 30, 1 of 20, 3 smaller
what ran inside: ";
    assert!(text.contains(lines), "{text}");
    assert!(!text.contains("if that is intended"), "{text}");
}
