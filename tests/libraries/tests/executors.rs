//! Spans on futures that others poll: of tower, tokio, futures-util, rayon and async-stream.

use std::future::{pending, poll_fn};
use std::mem::replace;
use std::task::Poll;
use std::time::Duration;

use async_stream::stream;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tracer::{Report, Trace};
use tracer_libraries::{allocate, run, tree, workers};
use tracing::{Dispatch, Instrument, Span, dispatcher, info_span, instrument};
use tracing_subscriber::{Registry, prelude::*};

/// Runs a future in a trace, on a worker.
fn recorded(work: impl Future<Output = ()> + Send + 'static) -> Report {
    let registry = Registry::default().with(tracer::tracing::layer());
    let runtime = workers(&Dispatch::new(tracer::tracing::subscriber(registry)));
    run(&runtime, async {
        let trace = Trace::new();
        Trace::instrument(&trace, work).await;
        trace.report()
    })
}

/// Returns how often each call of this name has allocated itself.
fn own(report: &Report, name: &str) -> Vec<u64> {
    let calls = report.calls.iter().filter(|call| call.name == name);
    calls
        .map(|call| call.self_counts.unwrap().allocates())
        .collect()
}

/// Checks a tree in which the lines of each part stand together, and the parts in any order.
fn check_parts(report: &Report, first: &str, parts: &[&str]) {
    let tree = tree(report);
    let mut rest = tree
        .strip_prefix(first)
        .unwrap_or_else(|| panic!("{report:#}"))
        .to_owned();
    for part in parts {
        assert!(rest.contains(part), "{part}\n{report:#}");
        rest = rest.replacen(part, "", 1);
    }
    assert_eq!(rest, "", "{report:#}");
}

/// Waits until the next poll, and allocates nothing.
async fn pause() {
    let mut is_first = true;
    poll_fn(|context| {
        if replace(&mut is_first, false) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

#[instrument]
async fn handle(id: u32) -> Result<u32, BoxError> {
    drop(allocate(10));
    match id {
        0 => pending().instrument(info_span!("waits")).await,
        _ => pause().await,
    }
    drop(allocate(10));
    Ok(id)
}

#[test]
fn a_service_behind_a_buffer() {
    let report = recorded(async {
        let service = service_fn(handle);
        let mut service = ServiceBuilder::new().buffer(4).service(service);
        for id in [1, 2] {
            let call = async { service.ready().await.unwrap().call(id).await };
            let call = call.instrument(info_span!("call", id));
            assert_eq!(call.await.unwrap(), id);
        }
    });
    // The worker of the buffer enters the caller's span to call the service: on a strand below its call.
    let call = |id| format!("call {id}\n  handle {id}\n");
    assert_eq!(tree(&report), call(1) + &call(2), "{report:#}");
    assert_eq!(own(&report, "handle"), [2, 2]);
    for own in own(&report, "call") {
        assert!((1..17).contains(&own), "{report:#}");
    }
}

#[test]
fn a_service_with_a_timeout() {
    let report = recorded(async {
        let service = service_fn(handle);
        let mut service = ServiceBuilder::new()
            .timeout(Duration::from_millis(20))
            .service(service);
        for id in [1, 0, 2] {
            let is_over = service.ready().await.unwrap().call(id).await.is_err();
            assert_eq!(is_over, id == 0);
        }
    });
    assert_eq!(
        tree(&report),
        "handle 1\nhandle 0 cancelled\n  waits cancelled\nhandle 2\n"
    );
    assert_eq!(own(&report, "handle"), [2, 1, 2]);
}

#[test]
fn branches_of_a_select() {
    let report = recorded(async {
        let waits = async {
            drop(allocate(10));
            pending::<()>().await;
        };
        let wins = async {
            drop(allocate(10));
            tokio::time::sleep(Duration::from_millis(5)).await;
            drop(allocate(10));
        };
        tokio::select! {
            biased;
            () = waits.instrument(info_span!("waits")) => unreachable!(),
            () = wins.instrument(info_span!("wins")) => {}
        }
    });
    assert_eq!(tree(&report), "waits cancelled\nwins\n");
    assert_eq!(
        (own(&report, "waits"), own(&report, "wins")),
        (vec![1], vec![2])
    );
}

#[test]
fn unordered_futures() {
    let report = recorded(async {
        let calls = |id| handle(id).instrument(info_span!("call", id));
        let all: FuturesUnordered<_> = (1..4).map(calls).collect();
        assert_eq!(all.count().await, 3);
        let buffered = futures_util::stream::iter(4..8)
            .map(calls)
            .buffer_unordered(2);
        let buffered = async { buffered.count().await };
        assert_eq!(buffered.instrument(info_span!("buffered")).await, 4);
    });
    let call = |id| format!("call {id}\n  handle {id}\n");
    let inside = |id| format!("  call {id}\n    handle {id}\n");
    let calls: String = (1..4).map(call).collect();
    let inside: String = (4..8).map(inside).collect();
    assert_eq!(
        tree(&report),
        format!("{calls}buffered\n{inside}"),
        "{report:#}"
    );
    assert_eq!(own(&report, "handle"), [2; 7]);
    assert_eq!(own(&report, "call"), [0; 7]);
    let buffered = own(&report, "buffered")[0];
    assert!((1..9).contains(&buffered), "{report:#}");
}

#[test]
fn a_set_of_tasks() {
    let report = recorded(async {
        let all = async {
            let mut tasks = JoinSet::new();
            for id in 1..4 {
                tasks.spawn(handle(id).instrument(info_span!("task", id)));
            }
            let (begun, has_begun) = oneshot::channel();
            let aborted = async {
                begun.send(()).unwrap();
                handle(0).await
            };
            tasks.spawn(aborted.instrument(info_span!("aborted")));
            has_begun.await.unwrap();
            for _ in 1..4 {
                tasks.join_next().await.unwrap().unwrap().unwrap();
            }
            tasks.shutdown().await;
        };
        all.instrument(info_span!("all")).await;
    });
    let aborted = "  aborted cancelled\n    handle 0 cancelled\n      waits cancelled\n";
    let task = |id| format!("  task {id}\n    handle {id}\n");
    check_parts(&report, "all\n", &[aborted, &task(1), &task(2), &task(3)]);
    let mut handled = own(&report, "handle");
    handled.sort_unstable();
    assert_eq!(handled, [1, 2, 2, 2]);
    assert_eq!(own(&report, "task"), [0, 0, 0]);
}

#[test]
fn blocking_work_in_a_span() {
    let report = recorded(async {
        let around = async {
            let span = info_span!("blocking");
            spawn_blocking(move || span.in_scope(|| drop(allocate(10))))
                .await
                .unwrap();
            let current = Span::current();
            spawn_blocking(move || current.in_scope(|| drop(allocate(10))))
                .await
                .unwrap();
        };
        around.instrument(info_span!("around")).await;
    });
    assert_eq!(tree(&report), "around\n  blocking\n", "{report:#}");
    assert_eq!(own(&report, "blocking"), [1]);
    // With what the second closure does in the current span.
    assert!((3..20).contains(&own(&report, "around")[0]), "{report:#}");
}

#[test]
fn jobs_of_rayon_with_the_span_around() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    let report = recorded(async move {
        let outer = info_span!("outer").entered();
        let parent = outer.clone();
        let dispatch = dispatcher::get_default(Dispatch::clone);
        let job = |id| {
            dispatcher::with_default(&dispatch, || {
                let _span = info_span!(parent: &parent, "job", id).entered();
                let _inner = info_span!("inner").entered();
                drop(allocate(10));
            });
        };
        pool.install(|| rayon::join(|| job(1), || rayon::join(|| job(2), || job(3))));
    });
    let job = |id| format!("  job {id}\n    inner\n");
    check_parts(&report, "outer\n", &[&job(1), &job(2), &job(3)]);
    assert_eq!(
        (own(&report, "job"), own(&report, "inner")),
        (vec![0; 3], vec![1; 3])
    );
    assert_eq!(report.calls[0].total.unwrap().allocates(), 3);
}

#[test]
fn a_stream_with_spans() {
    let report = recorded(async {
        let items = stream! {
            for id in 1..4 {
                yield handle(id).await.unwrap();
            }
        };
        let read = async {
            let mut items = std::pin::pin!(items);
            let mut sum = 0;
            while let Some(item) = items.next().await {
                sum += item;
                info_span!("item", id = item).in_scope(|| drop(allocate(10)));
            }
            sum
        };
        assert_eq!(read.instrument(info_span!("read")).await, 6);
    });
    let item = |id| format!("  handle {id}\n  item {id}\n");
    assert_eq!(
        tree(&report),
        format!("read\n{}{}{}", item(1), item(2), item(3))
    );
    assert_eq!(
        (own(&report, "handle"), own(&report, "item")),
        (vec![2; 3], vec![1; 3])
    );
    assert_eq!(own(&report, "read"), [0]);
}

#[test]
fn tasks_in_the_current_span() {
    #[instrument]
    async fn part(id: u32) {
        for _ in 0..10 {
            pause().await;
        }
    }
    for _ in 0..20 {
        let report = recorded(async {
            let order = async {
                let mut tasks = JoinSet::new();
                for id in 0..3 {
                    tasks.spawn(part(id).in_current_span());
                }
                tasks.join_all().await;
            };
            let order = async { order.instrument(info_span!("order")).await };
            let request = order.instrument(info_span!("request"));
            tokio::spawn(request).await.unwrap();
        });
        assert_eq!(own(&report, "part"), [0, 0, 0], "{report:#}");
    }
}
