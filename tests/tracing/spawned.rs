//! Random trees of futures that are awaited, spawned and left alone, on several workers.

use std::collections::HashMap;
use std::future::{self, Future};
use std::pin::Pin;
use std::task::Poll;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, Sender};
use tracer::{Outcome, Trace, alloc};
use tracing::{Instrument, info_span};

use crate::random::config;
use crate::{allocate, subscriber, workers};

/// One step of a future.
#[derive(Clone, Debug)]
enum Work {
    Allocate,
    /// Lets other tasks run.
    Yield,
    /// Awaits a future with a span of its own.
    Inside(Vec<Work>),
    /// Spawns one, and awaits it at the end.
    Spawn(Vec<Work>),
    /// Spawns one, and leaves it alone.
    Detach(Vec<Work>),
}

fn work() -> impl Strategy<Value = Vec<Work>> {
    let step = prop_oneof![3 => Just(Work::Allocate), 2 => Just(Work::Yield)];
    let step = step.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            2 => Just(Work::Allocate),
            2 => Just(Work::Yield),
            2 => vec(inner.clone(), 0..6).prop_map(Work::Inside),
            2 => vec(inner.clone(), 0..6).prop_map(Work::Spawn),
            1 => vec(inner, 0..6).prop_map(Work::Detach),
        ]
    });
    vec(step, 0..8)
}

/// The id of a call, that of the call around it, and how often it allocates.
type Expected = (String, Option<String>, u64);

fn expect(work: &[Work], id: &str, parent: Option<&str>, expected: &mut Vec<Expected>) {
    let allocations = { work.iter() }.filter(|step| matches!(step, Work::Allocate));
    expected.push((
        id.to_owned(),
        parent.map(str::to_owned),
        allocations.count() as u64,
    ));
    for (number, step) in work.iter().enumerate() {
        if let Work::Inside(work) | Work::Spawn(work) | Work::Detach(work) = step {
            expect(work, &format!("{id}.{number}"), Some(id), expected);
        }
    }
}

async fn yield_once() {
    let mut has_yielded = false;
    future::poll_fn(|context| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Returns a future that does the work in a span of its own. It drops `all` when that is closed. What is
/// needed to do so is in no call.
fn future(
    work: Vec<Work>,
    id: String,
    all: Sender<()>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    alloc::exclude(|| {
        let span = info_span!("future", id);
        Box::pin(async move {
            run(work, id, &all).instrument(span).await;
            drop(all);
        })
    })
}

async fn run(work: Vec<Work>, id: String, all: &Sender<()>) {
    let mut tasks = alloc::exclude(|| Vec::with_capacity(work.len()));
    for (number, step) in work.into_iter().enumerate() {
        let new = |work| alloc::exclude(|| future(work, format!("{id}.{number}"), all.clone()));
        match step {
            Work::Allocate => drop(allocate(1)),
            Work::Yield => yield_once().await,
            Work::Inside(work) => new(work).await,
            Work::Spawn(work) => tasks.push(alloc::exclude(|| tokio::spawn(new(work)))),
            Work::Detach(work) => drop(alloc::exclude(|| tokio::spawn(new(work)))),
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
}

fn check(runtime: &Runtime, work: &[Work]) -> Result<(), TestCaseError> {
    let mut expected = Vec::new();
    expect(work, "0", None, &mut expected);
    let trace = Trace::new();
    let (all, mut rest) = mpsc::channel(1);
    let program = work.to_vec();
    let request = async move { future(program, "0".to_owned(), all).await };
    let request = Trace::instrument(&trace, request);
    runtime.block_on(async {
        runtime.spawn(request).await.unwrap();
        // The tasks that were left alone.
        assert_eq!(rest.recv().await, None);
    });
    let report = trace.report();
    let ids: Vec<_> = report.calls.iter().map(|call| call.id.clone()).collect();
    let mut found = HashMap::new();
    for call in &report.calls {
        prop_assert!(!call.partial, "{:#}", report);
        let parent = call.parent.map(|parent| ids[parent].clone().unwrap());
        let own = call.self_counts.unwrap().allocations;
        let ended = call.outcome == Outcome::Ok;
        found.insert(call.id.clone().unwrap(), (parent, own, ended));
    }
    prop_assert_eq!(report.calls.len(), expected.len(), "{:#}", report);
    for (id, parent, allocations) in expected {
        prop_assert_eq!(
            &found[&id],
            &(parent, allocations, true),
            "{}: {:#}",
            id,
            report
        );
    }
    Ok(())
}

#[test]
fn futures_have_what_they_allocate_below_what_made_them() {
    let runtime = workers(tracer::tracing::subscriber(subscriber()));
    let result = TestRunner::new(config(500)).run(&work(), |work| check(&runtime, &work));
    result.unwrap_or_else(|error| panic!("{error}"));
}
