//! How a call ends: ok, failed, or by a panic.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tracer::alloc::measure;
use tracer::{Call, Outcome, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::calls;
use crate::on_drop::OnDrop;

/// Catches the panic of `work`. A message that begins with "expected" is not printed.
///
/// The panic hook is the process's, so it is set once.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let message = payload.downcast_ref::<&str>().copied();
            let message = message.or_else(|| payload.downcast_ref().map(String::as_str));
            if message.is_some_and(|message| !message.starts_with("expected")) {
                loud(info);
            }
        }));
    });
    catch_unwind(AssertUnwindSafe(work))
}

/// Unwinds through `work`, and no further. `panic!` would allocate, for its message and in the hook.
fn unwinding(work: impl FnOnce()) {
    catch_unwind(AssertUnwindSafe(|| {
        work();
        resume_unwind(Box::new(()));
    }))
    .unwrap_err();
}

/// Returns each call's parent and outcome, without figures: unwinding allocates.
pub(crate) fn outcomes(trace: &Trace) -> Vec<String> {
    let report = trace.report();
    assert!(report.calls.iter().all(|call| !call.partial), "{report:#}");
    let line = |call: &tracer::CallReport| {
        let parent = call
            .parent
            .and_then(|parent| report.calls[parent].id.as_deref());
        let id = call.id.as_deref().unwrap();
        format!("{id} in {}: {:?}", parent.unwrap_or("-"), call.outcome)
    };
    report.calls.iter().map(line).collect()
}

#[test]
fn the_last_of_several_failures_is_reported() {
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("call");
    call.fail("first");
    let inner = call!("inner");
    call.fail(&2);
    inner.stop();
    call.fail("last\nof\u{1b}[2Jthem");
    allocate(1);
    call.stop();
    let running = call!("running");
    running.fail("so far");
    assert_eq!(trace.report().calls[2].outcome, Outcome::Running);
    running.stop();
    drop(scope);
    assert_eq!(
        calls(&trace)[..2],
        [
            r#"call in -: 1, 1, Failed("last\nof\u{1b}[2Jthem")"#,
            "inner in call: 0, 0, Ok",
        ]
    );
    assert_eq!(
        trace.report().calls[2].outcome,
        Outcome::Failed("so far".to_owned())
    );
}

#[test]
fn a_panic_through_three_calls_and_the_next_is_exact() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    quietly(|| {
        let _one = call!("one");
        let two = call!("two");
        two.fail("and yet it panics");
        let _unwinds = OnDrop(|| {
            let _call = call!("in a drop");
            allocate(1);
            call!("in that").fail("told to");
        });
        let _three = call!("three");
        allocate(2);
        // Not `panic!`: formatting and the hook would allocate.
        std::panic::resume_unwind(Box::new(()));
    })
    .unwrap_err();
    let next = call!("next");
    allocate(4);
    next.stop();
    around.stop();
    drop(scope);
    let report = trace.report();
    let lines: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            let parent = call
                .parent
                .map(|parent| report.calls[parent].id.as_deref().unwrap());
            (
                call.id.as_deref().unwrap(),
                parent,
                call.outcome.clone(),
                call.partial,
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("around", None, Outcome::Ok, false),
            ("one", Some("around"), Outcome::Panicked, false),
            ("two", Some("one"), Outcome::Panicked, false),
            ("three", Some("two"), Outcome::Panicked, false),
            ("in a drop", Some("two"), Outcome::Ok, false),
            (
                "in that",
                Some("in a drop"),
                Outcome::Failed("told to".to_owned()),
                false
            ),
            ("next", Some("around"), Outcome::Ok, false),
        ]
    );
    assert_eq!(report.calls[4].total, Some(boxes(1)));
    assert_eq!(report.calls[6].total, Some(boxes(4)));
}

#[test]
fn a_panic_and_its_catch_between_two_calls() {
    let trace = Trace::new();
    let scope = trace.inject();
    unwinding(|| ());
    let unwound = measure(|| unwinding(|| ())).counts.unwrap();
    let around = call!("around");
    unwinding(|| {
        let inner = call!("inner");
        allocate(1);
        std::mem::forget(call!("leaked"));
        inner.stop();
    });
    allocate(2);
    around.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(report.calls[0].total, Some(boxes(3) + unwound));
    assert_eq!(report.calls[1].total, Some(boxes(1)));
    let ends: Vec<_> = report
        .calls
        .iter()
        .map(|call| (&call.outcome, call.parent))
        .collect();
    assert_eq!(
        ends,
        [
            (&Outcome::Ok, None),
            (&Outcome::Ok, Some(0)),
            (&Outcome::Running, Some(1)),
        ]
    );
}

#[test]
fn a_call_in_a_drop_while_unwinding_is_not_panicked() {
    let trace = Trace::new();
    let scope = trace.inject();
    unwinding(|| {
        let _around = call!("around");
        let _unwinds = OnDrop(|| {
            let outer = call!("outer");
            let inner = call!("inner");
            allocate(1);
            inner.stop();
            outer.stop();
        });
        let _through = call!("through");
        resume_unwind(Box::new(()));
    });
    drop(scope);
    assert_eq!(
        outcomes(&trace),
        [
            "around in -: Panicked",
            "through in around: Panicked",
            "outer in around: Ok",
            "inner in outer: Ok",
        ]
    );
}

#[test]
fn a_panic_inside_a_drop_while_unwinding() {
    let trace = Trace::new();
    let scope = trace.inject();
    unwinding(|| {
        let _around = call!("around");
        let _unwinds = OnDrop(|| {
            let survives = call!("survives");
            unwinding(|| {
                let _inner = call!("inner");
                resume_unwind(Box::new(()));
            });
            survives.stop();
        });
        resume_unwind(Box::new(()));
    });
    let next = call!("next");
    allocate(1);
    next.stop();
    drop(scope);
    assert_eq!(
        outcomes(&trace),
        [
            "around in -: Panicked",
            "survives in around: Ok",
            // As documented: the standard library does not distinguish one panic from another.
            "inner in survives: Ok",
            "next in -: Ok",
        ]
    );
    assert_eq!(trace.report().calls[3].total, Some(boxes(1)));
}

#[test]
fn a_guard_kept_by_the_panics_payload() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let payload = catch_unwind(|| {
        let call = call!("carried");
        resume_unwind(Box::new(call));
    })
    .unwrap_err();
    let after = call!("after");
    allocate(1);
    after.stop();
    // The panic was caught before this.
    drop(payload.downcast::<Call>().unwrap());
    around.stop();
    drop(scope);
    assert_eq!(
        outcomes(&trace),
        [
            "around in -: Ok",
            "carried in around: Ok",
            "after in carried: Ok",
        ]
    );
}
