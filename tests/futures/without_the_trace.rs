//! Futures polled away from their trace: on a thread without it, in another trace, after its end.

use tracer::alloc::measure;
use tracer::{Trace, call};

use crate::boxes::boxes;
use crate::by_hand::{poll, run};
use crate::common::allocate;
use crate::lines::calls;
use crate::pause::pause;
use crate::step;

#[test]
fn a_call_polled_away_from_its_strand() {
    let (trace, other) = (Trace::new(), Trace::new());
    let scope = trace.inject();
    let around = call!("around");
    let [mut without, mut within, mut back] = ["without", "within", "back"].map(|id| {
        Box::pin(call!("{id}").instrument(async {
            allocate(1);
            pause(1).await;
            let _there = call!("there");
            allocate(100);
            pause(1).await;
        }))
    });
    for future in [&mut without, &mut within, &mut back] {
        assert!(poll(future.as_mut()).is_pending());
    }
    std::thread::scope(|threads| {
        let poll_all = || {
            assert!(poll(without.as_mut()).is_pending());
            let _scope = other.inject();
            assert!(poll(within.as_mut()).is_pending());
            assert!(poll(back.as_mut()).is_pending());
            assert!(poll(within.as_mut()).is_ready());
        };
        threads.spawn(poll_all).join().unwrap();
    });
    let last = measure(|| assert!(poll(back.as_mut()).is_ready()));
    assert_eq!(last.counts, Some(boxes(0)));
    drop(without);
    around.stop();
    drop(scope);
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let allocations = call.self_counts.unwrap().allocations;
            let id = call.id.as_deref().unwrap();
            (
                id,
                call.parent,
                allocations,
                format!("{:?}", call.outcome),
                call.partial,
            )
        })
        .collect();
    assert_eq!(
        lines[1..],
        [
            ("without", Some(0), 1, "Cancelled".to_owned(), true),
            ("within", Some(0), 1, "Ok".to_owned(), true),
            ("back", Some(0), 1, "Ok".to_owned(), true),
        ]
    );
    assert!(!report.calls[0].partial);
    // The call "there" of `without` found no trace and was not recorded.
    assert_eq!(
        calls(&other),
        [
            "there in -: 200, 100, Ok",
            "there in there: 100, 100, Ok, partial"
        ]
    );
}

#[test]
fn an_instrumented_future_moved_into_another_traces_scope() {
    let (trace, other) = (Trace::new(), Trace::new());
    let mut future = Box::pin(trace.instrument(async {
        let _plain = call!("plain");
        step(2).await;
    }));
    let _ = poll(future.as_mut());
    let scope = other.inject();
    let around = call!("around");
    while poll(future.as_mut()).is_pending() {}
    around.stop();
    drop(scope);
    drop(future);
    assert_eq!(calls(&trace), ["plain in -: 2, 2, Ok"]);
    assert_eq!(calls(&other), ["around in -: 1, 1, Ok"]);
}

#[test]
fn a_future_outlives_its_trace() {
    let trace = Trace::new();
    let scope = trace.inject();
    let stale = Box::pin(call!("stale").instrument(step(2)));
    drop((scope, trace));
    let fresh = Trace::new();
    let scope = fresh.inject();
    let measured = measure(|| run(stale));
    let call = call!("fresh");
    allocate(1);
    call.stop();
    drop(scope);
    assert_eq!(measured.counts.unwrap().allocations, 2);
    assert_eq!(calls(&fresh), ["fresh in -: 1, 1, Ok"]);
}
