//! Tasks spawned by a traced task are children of the call that was open when they were spawned.

use tracer::alloc::measure;
use tracer::{Trace, call};

use crate::boxes::boxes;
use crate::by_hand::run;
use crate::common::allocate;
use crate::lines::calls;
use crate::pause::pause;
use crate::{call_with_id, runtime, step};

#[test]
fn spawned_tasks_are_children_of_the_call_open_at_fetch() {
    let trace = Trace::new();
    let runtime = runtime();
    let scope = trace.inject();
    let around = call!("around");
    let children = [1, 2, 4].map(|count| {
        tracer::fetch().instrument(async move {
            let _child = call!("{count}");
            step(count).await;
            let grandchild = tracer::fetch().instrument(async move {
                let _call = call!("below {count}");
                step(10 * count).await;
            });
            // The runtime's allocations to spawn belong to the child that spawns.
            let spawning = measure(|| tokio::spawn(grandchild));
            (spawning.value, spawning.counts.unwrap())
        })
    });
    around.stop();
    drop(scope);
    let spawning = runtime.block_on(async {
        let mut counts = Vec::new();
        for child in children {
            let (below, spawning) = tokio::spawn(child).await.unwrap();
            below.await.unwrap();
            counts.push(spawning);
        }
        counts
    });
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let parent = call.parent.map(|parent| report.calls[parent].id.as_deref());
            let outcome = format!("{:?}", call.outcome);
            (
                call.id.as_deref().unwrap(),
                parent.flatten(),
                call.self_counts.unwrap(),
                outcome,
            )
        })
        .collect();
    let line = |id, parent, own| (id, parent, own, "Ok".to_owned());
    assert_eq!(
        lines,
        [
            line("around", None, boxes(0)),
            line("1", Some("around"), boxes(1) + spawning[0]),
            line("below 1", Some("1"), boxes(10)),
            line("2", Some("around"), boxes(2) + spawning[1]),
            line("below 2", Some("2"), boxes(20)),
            line("4", Some("around"), boxes(4) + spawning[2]),
            line("below 4", Some("4"), boxes(40)),
        ]
    );
    assert_eq!(report.calls[0].total, report.total);
    let sum = lines.iter().map(|(_, _, own, _)| *own).sum();
    assert_eq!(report.total, Some(sum));
}

#[test]
fn the_same_trace_instrumented_within_itself() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let one = call!("one");
        allocate(1);
        let inner = trace.instrument(async {
            let two = call!("two");
            allocate(2);
            pause(1).await;
            let third = trace.instrument(async {
                let _three = call!("three");
                step(4).await;
            });
            third.await;
            two.stop();
        });
        inner.await;
        allocate(8);
        one.stop();
    }));
    assert_eq!(
        calls(&trace),
        [
            "one in -: 15, 9, Ok",
            "two in one: 6, 2, Ok",
            "three in two: 4, 4, Ok",
        ]
    );
    assert_eq!(trace.report().total, Some(boxes(15)));
}

#[test]
fn one_trace_in_two_runtimes_at_once() {
    let trace = Trace::new();
    let runtimes = [runtime(), runtime()];
    let scope = trace.inject();
    let around = call!("around");
    let elsewhere = tracer::fetch();
    around.stop();
    drop(scope);
    let tasks: Vec<_> = (0..64_u32)
        .map(|number| {
            let other = runtimes[1 - number as usize % 2].handle().clone();
            runtimes[number as usize % 2].spawn(elsewhere.instrument(async move {
                let call = call!("{number}");
                step(number).await;
                let child = tracer::fetch().instrument(async move {
                    let _call = call!("below {number}");
                    step(1 + number).await;
                });
                call.stop();
                other.spawn(child).await.unwrap();
            }))
        })
        .collect();
    for task in tasks {
        runtimes[0].block_on(task).unwrap();
    }
    let report = trace.report();
    assert_eq!(report.calls.len(), 129);
    for number in 0..64_u64 {
        let one = call_with_id(&report, &number.to_string());
        let below = call_with_id(&report, &format!("below {number}"));
        assert_eq!(
            (one.self_counts, one.parent),
            (Some(boxes(number)), Some(0))
        );
        assert_eq!(
            (below.self_counts, below.total),
            (Some(boxes(1 + number)), Some(boxes(1 + number)))
        );
        assert!(std::ptr::eq(
            &raw const report.calls[below.parent.unwrap()],
            one
        ));
        assert_eq!(one.total, Some(boxes(1 + 2 * number)));
        assert!(!one.partial && !below.partial);
    }
}
