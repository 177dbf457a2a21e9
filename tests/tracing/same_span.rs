//! A span that a task and something else enter by turns, as with `.in_current_span()` on spawned work,
//! the worker of `sqlx`, and `tower::buffer`: it has one call.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Barrier;
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::thread::scope;
use std::time::Duration;

use tracer::recorder::{Policy, Recorder};
use tracer::{Outcome, Trace};
use tracing::{Dispatch, Instrument, Span, dispatcher, info, info_span, instrument};

use crate::{names, subscriber};

/// Runs `work` on a thread with the subscriber, one step for each message.
fn steps<'a>(
    work: Vec<Box<dyn FnOnce() + Send + 'a>>,
    main: impl FnOnce(&dyn Fn()) + 'a,
    dispatch: Dispatch,
) {
    let (next, steps) = channel::<()>();
    let (is_done, done) = channel::<()>();
    scope(|scope| {
        scope.spawn(move || {
            let _default = dispatcher::set_default(&dispatch);
            for step in work {
                steps.recv().unwrap();
                step();
                is_done.send(()).unwrap();
            }
        });
        main(&|| {
            next.send(()).unwrap();
            done.recv().unwrap();
        });
    });
}

/// The task in its spawner's span is polled once while the spawner runs, and once while it waits.
#[test]
fn a_span_inside_of_a_spawned_task_is_one_call() {
    let dispatch = Dispatch::new(subscriber());
    let trace = Trace::new();
    let _default = dispatcher::set_default(&dispatch);
    // As a span of a request, which has no strand around.
    let request = trace_in(&trace, || info_span!("request"));
    let in_request = request.enter();
    let spawner = info_span!("spawner");
    let running = spawner.enter();
    let task = spawner.clone();
    let again = spawner.clone();
    let load = std::sync::OnceLock::new();
    steps(
        vec![
            Box::new(|| {
                let _spawner = task.enter();
                let _load = load.get_or_init(|| info_span!("load")).enter();
            }),
            Box::new(|| {
                let _spawner = again.enter();
                let _load = load.get().unwrap().enter();
            }),
        ],
        |next| {
            next();
            drop(running);
            drop(in_request);
            next();
        },
        dispatch.clone(),
    );
    drop(load);
    drop((spawner, task, again, request));
    assert_eq!(names(&trace.report()), "request\n  spawner\n    load");
}

/// A worker enters the span of a task while the task waits, and the task goes on meanwhile.
#[test]
fn a_task_goes_on_in_its_calls_while_a_worker_has_its_span() {
    let dispatch = Dispatch::new(subscriber());
    let trace = Trace::new();
    let _default = dispatcher::set_default(&dispatch);
    // As a span of a request, which has no strand around.
    let request = trace_in(&trace, || info_span!("request"));
    let fetch = request.in_scope(|| info_span!("fetch"));
    request.in_scope(|| fetch.in_scope(|| ()));
    let of_worker = fetch.clone();
    let (has_entered, entered) = channel::<()>();
    let (go_on, may_leave) = channel::<()>();
    scope(|scope| {
        let (dispatch, of_worker) = (&dispatch, &of_worker);
        scope.spawn(move || {
            let _default = dispatcher::set_default(dispatch);
            of_worker.in_scope(|| {
                has_entered.send(()).unwrap();
                may_leave.recv().unwrap();
            });
        });
        entered.recv().unwrap();
        request.in_scope(|| fetch.in_scope(|| info_span!("row").in_scope(|| ())));
        go_on.send(()).unwrap();
    });
    drop((request, fetch, of_worker));
    assert_eq!(names(&trace.report()), "request\n  fetch\n    row");
}

fn trace_in<T>(trace: &Trace, work: impl FnOnce() -> T) -> T {
    let _scope = trace.inject();
    work()
}

#[instrument]
async fn load() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}
#[instrument]
async fn handler() {
    let task = tokio::spawn(load().in_current_span());
    // Out of the slot of the worker, so that the other one takes it.
    drop(tokio::spawn(async {}));
    std::thread::sleep(Duration::from_micros(500));
    task.await.unwrap();
}

/// In requests that begin with a span, on two workers.
#[test]
fn a_spawned_future_in_the_current_span_is_one_call() {
    let policy = Policy::none().when("all", |_| true);
    let recorder = Recorder::builder().policy(policy).start().unwrap();
    let runtime = crate::workers(crate::with_layer(
        tracer::tracing::layer().recorder(recorder.clone()),
    ));
    for _ in 0..100 {
        let request = async {
            let span = info_span!("request", otel.kind = "server");
            handler().instrument(span).await;
        };
        runtime.block_on(runtime.spawn(request)).unwrap();
    }
    while recorder.statistics().ended < 100 {
        std::thread::yield_now();
    }
    assert!(recorder.flush(Duration::from_secs(10)));
    let trees: BTreeSet<_> = recorder.kept().iter().map(|report| names(report)).collect();
    assert_eq!(
        trees,
        BTreeSet::from(["request\n  handler\n    load".to_owned()])
    );
}

/// Two tasks have a span in common, and are polled at once. Each is ready, and is dropped at once: the span is entered once
/// more for that. If they are `together`, neither is dropped before both are ready.
fn two_tasks_that_are_ready(together: bool) {
    let trace = Trace::new();
    let dispatch = Dispatch::new(subscriber());
    let span = dispatcher::with_default(&dispatch, || trace_in(&trace, || info_span!("span")));
    let [first, second] = [span.clone(), span];
    let next = Barrier::new(2);
    let next = || {
        next.wait();
    };
    scope(|scope| {
        scope.spawn(|| {
            let _default = dispatcher::set_default(&dispatch);
            let polled = first.enter();
            next();
            next();
            drop(polled);
            next();
            next();
            drop(first.enter());
            drop(first);
            next();
        });
        scope.spawn(|| {
            let _default = dispatcher::set_default(&dispatch);
            next();
            let polled = second.enter();
            next();
            next();
            let polled = (!together).then_some(polled);
            next();
            next();
            drop(polled);
            drop(second.enter());
            drop(second);
        });
    });
    let report = trace.report();
    assert_eq!(report.calls.len(), 1, "{report:#}");
    assert_eq!(report.calls[0].outcome, Outcome::Ok, "{report:#}");
}

#[test]
fn tasks_of_one_span_that_are_ready_are_not_cancelled() {
    for together in [false, true] {
        two_tasks_that_are_ready(together);
    }
}

/// Polls a future, lets it wait, and drops it.
fn give_up<T>(future: impl Future<Output = T>) {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    info_span!("between").in_scope(|| ());
}

/// A worker holds the span of a query that nobody waits for any more, as those of `sqlx-sqlite` do.
#[test]
fn what_is_given_up_while_a_worker_has_its_span_is_cancelled() {
    #[instrument(skip_all)]
    async fn outer(worker: impl FnOnce(Span)) {
        query(worker).await;
    }
    #[instrument(skip_all)]
    async fn query(worker: impl FnOnce(Span)) {
        worker(Span::current());
        pending().await
    }
    let dispatch = Dispatch::new(tracer::tracing::subscriber(subscriber()));
    let _default = dispatcher::set_default(&dispatch);
    let shown = |has_left: bool, allocates: usize| {
        let trace = Trace::new();
        let (go_on, may_leave) = channel::<()>();
        let (has_entered, entered) = channel::<()>();
        let _scope = trace.inject();
        scope(|scope| {
            let dispatch = &dispatch;
            let worker = |span: Span| {
                let worker = scope.spawn(move || {
                    let _default = dispatcher::set_default(dispatch);
                    span.in_scope(|| {
                        drop(vec![0_u8; allocates]);
                        has_entered.send(()).unwrap();
                        may_leave.recv().unwrap();
                    });
                    // The registry closes the one around it in the dispatcher of the thread.
                    drop(span);
                });
                entered.recv().unwrap();
                if has_left {
                    go_on.send(()).unwrap();
                    worker.join().unwrap();
                }
            };
            give_up(outer(worker));
            if !has_left {
                go_on.send(()).unwrap();
            }
        });
        names(&trace.report())
    };
    let all = "outer cancelled\n  query cancelled\nbetween";
    for allocates in [0, 1] {
        assert_eq!(shown(false, allocates), all);
        assert_eq!(shown(true, allocates), all);
    }
}

/// The thread is the last to leave the span, but does not drop a future.
#[test]
fn a_span_that_a_thread_enters_beside_is_not_cancelled() {
    let trace = Trace::new();
    let dispatch = Dispatch::new(subscriber());
    let _default = dispatcher::set_default(&dispatch);
    trace_in(&trace, || {
        let span = info_span!("span");
        let (go_on, may_leave) = channel::<()>();
        scope(|scope| {
            let entered = span.enter();
            let (has_entered, is_entered) = channel::<()>();
            let (dispatch, span) = (&dispatch, span.clone());
            scope.spawn(move || {
                let _default = dispatcher::set_default(dispatch);
                span.in_scope(|| {
                    has_entered.send(()).unwrap();
                    may_leave.recv().unwrap();
                    info!("late");
                });
            });
            is_entered.recv().unwrap();
            drop(entered);
            go_on.send(()).unwrap();
        });
    });
    let report = trace.report();
    assert_eq!(names(&report), "span");
    // The span ends when it is left for the last time, wherever.
    assert!(report.calls[0].checkpoints[0].at <= report.calls[0].wall);
}
