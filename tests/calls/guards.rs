//! Whatever a guard can go through between its start and the report: every figure is exact, or
//! marked as not exact.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

use tracer::alloc::{Counts, measure};
use tracer::{Call, Limits, Outcome, Scope, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};
use crate::on_drop::OnDrop;

/// Unwinds through `work`, and no further. Not `panic!`: the message and the hook would allocate.
fn unwinding(work: impl FnOnce()) {
    catch_unwind(AssertUnwindSafe(|| {
        work();
        resume_unwind(Box::new(()));
    }))
    .unwrap_err();
}

/// Hands each line's parent and outcome, where what unwinding allocates would be in the figures.
fn outcomes(trace: &Trace) -> Vec<String> {
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

// Moved, swapped, kept in something.

#[test]
fn two_guards_swapped() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let (mut one, mut two) = (call!("one"), call!("two"));
    allocate(1);
    std::mem::swap(&mut one, &mut two);
    // The inner one, then the outer.
    drop(one);
    allocate(2);
    drop(two);
    allocate(4);
    around.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "around in -: 7, 4, Ok",
            "one in around: 3, 2, Ok",
            "two in one: 1, 1, Ok",
        ]
    );
}

#[test]
fn the_guards_of_two_traces_swapped() {
    let (outer, inner) = (Trace::new(), Trace::new());
    let outer_scope = outer.inject();
    let mut one = call!("one");
    allocate(1);
    let inner_scope = inner.inject();
    let mut two = call!("two");
    allocate(2);
    std::mem::swap(&mut one, &mut two);
    // This is `one`, stopped where its strand is not the current one.
    two.stop();
    allocate(4);
    drop(inner_scope);
    allocate(8);
    // And `two` after its scope.
    one.stop();
    let after = call!("after");
    allocate(16);
    after.stop();
    drop(outer_scope);
    assert_eq!(
        calls(&outer),
        ["one in -: 3, 3, Ok, partial", "after in -: 16, 16, Ok"]
    );
    assert_eq!(calls(&inner), ["two in -: 6, 6, Ok, partial"]);
    let totals = [&outer, &inner].map(|trace| trace.report().total);
    assert_eq!(totals, [Some(boxes(31)), Some(boxes(6))]);
}

#[test]
fn guards_sorted_and_taken_from_the_middle() {
    let trace = Trace::new();
    let mut guards = Vec::with_capacity(5);
    let scope = trace.inject();
    for name in ["d", "a", "e", "c", "b"] {
        guards.push((name, call!("{name}")));
        allocate(1);
    }
    guards.sort_unstable_by_key(|(name, _)| *name);
    // "a", opened second, stops first, and so on.
    for (name, guard) in guards.drain(..) {
        drop(guard);
        allocate(10 * u64::from(name.as_bytes()[0] - b'a' + 1));
    }
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            // Until it stops, fourth: all before, and what followed the first three.
            "d in -: 65, 1, Ok",
            "a in d: 4, 1, Ok",
            // Of what is left open, "e" is the innermost while "c" and "d" stop.
            "e in a: 103, 71, Ok",
            "c in e: 32, 21, Ok",
            "b in c: 11, 11, Ok",
        ]
    );
    assert_eq!(trace.report().total, Some(boxes(155)));
}

#[test]
fn a_struct_drops_its_guard_among_its_fields() {
    struct Session {
        _first: OnDrop<fn()>,
        _call: Call,
        _last: OnDrop<fn()>,
    }
    impl Drop for Session {
        fn drop(&mut self) {
            let _call = call!("closing");
            allocate(1);
        }
    }
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let session = Session {
        _first: OnDrop(|| allocate(2)),
        _call: call!("session"),
        _last: OnDrop(|| allocate(4)),
    };
    allocate(8);
    drop(session);
    around.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "around in -: 15, 4, Ok",
            "session in around: 11, 10, Ok",
            "closing in session: 1, 1, Ok",
        ]
    );
}

#[test]
fn a_guard_in_a_cycle_that_is_never_freed() {
    struct Node {
        _call: Call,
        me: RefCell<Option<std::rc::Rc<Node>>>,
    }
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let node = std::rc::Rc::new(Node {
        _call: call!("kept"),
        me: RefCell::new(None),
    });
    *node.me.borrow_mut() = Some(std::rc::Rc::clone(&node));
    drop(node);
    call!("after").stop();
    around.stop();
    drop(scope);
    assert_eq!(
        outcomes(&trace),
        [
            "around in -: Ok",
            "kept in around: Running",
            "after in kept: Ok"
        ]
    );
}

// Sent away, back, and to whoever comes first.

#[test]
fn a_guard_sent_away_and_back_is_exact() {
    let trace = Trace::new();
    let (away, arrived) = sync_channel::<Call>(0);
    let (back, returned) = sync_channel::<Call>(0);
    thread::scope(|threads| {
        threads.spawn(move || {
            for call in arrived {
                allocate(100);
                back.send(call).unwrap();
            }
        });
        let scope = trace.inject();
        let around = call!("around");
        let mut travels = call!("travels");
        for _ in 0..100 {
            // What waiting in a channel allocates is not to be told from what a call does.
            let channel = measure(|| {
                away.send(std::mem::replace(&mut travels, call!("stays")))
                    .unwrap();
                travels = returned.recv().unwrap();
            });
            assert!(channel.counts.unwrap().allocations < 100);
            let inside = call!("inside");
            allocate(1);
            inside.stop();
        }
        travels.stop();
        around.stop();
        drop((scope, away));
    });
    let report = trace.report();
    assert_eq!(report.calls.len(), 2 + 200);
    assert!(
        report
            .calls
            .iter()
            .all(|call| !call.partial && call.outcome == Outcome::Ok)
    );
    let inside = report
        .calls
        .iter()
        .filter(|call| call.id.as_deref() == Some("inside"));
    assert!(inside.clone().all(|call| call.total == Some(boxes(1))));
    assert!(inside.clone().all(|call| call.parent == Some(1)));
    let own: Counts = report.calls.iter().map(|call| call.own.unwrap()).sum();
    assert_eq!(
        (report.calls[0].total, report.total),
        (report.total, Some(own))
    );
}

#[test]
fn a_guard_is_stopped_by_whichever_thread_comes_first() {
    let (mut here, mut there) = (0, 0);
    for round in 0..200 {
        let trace = Trace::new();
        let shared = Mutex::new(None::<Call>);
        let turn = Barrier::new(2);
        let won = thread::scope(|threads| {
            let other = threads.spawn(|| {
                turn.wait();
                if round % 2 == 0 {
                    thread::yield_now();
                }
                shared.lock().unwrap().take().is_some()
            });
            let _scope = trace.inject();
            let around = call!("around");
            *shared.lock().unwrap() = Some(call!("shared"));
            allocate(3);
            turn.wait();
            let mine = shared.lock().unwrap().take();
            let won = mine.is_some();
            drop(mine);
            assert_ne!(won, other.join().unwrap());
            let after = call!("after");
            allocate(4);
            after.stop();
            around.stop();
            won
        });
        *(if won { &mut here } else { &mut there }) += 1;
        let partial = if won { "" } else { ", partial" };
        let lines = calls(&trace);
        assert_eq!(
            lines[1..],
            [
                format!("shared in around: 3, 3, Ok{partial}"),
                "after in around: 4, 4, Ok".to_owned(),
            ]
        );
        let around = &trace.report().calls[0];
        assert!(!around.partial);
    }
    assert_eq!(here + there, 200);
}

#[test]
fn a_guard_outlives_its_thread() {
    let trace = Trace::new();
    let run = trace.clone();
    let call = thread::spawn(move || {
        let _scope = run.inject();
        let around = call!("around");
        let call = call!("survives");
        allocate(2);
        around.stop();
        allocate(4);
        call
    });
    let call = call.join().unwrap();
    assert_eq!(
        calls(&trace),
        ["around in -: 2, 0, Ok", "survives in around: 6, 6, Running"]
    );
    allocate(100);
    call.checkpoint("late");
    call.stop();
    assert_eq!(
        calls(&trace),
        [
            "around in -: 2, 0, Ok",
            "survives in around: 6, 6, Ok, partial"
        ]
    );
    let report = trace.report();
    assert_eq!(report.calls[1].checkpoints[0].counts, Some(boxes(6)));
}

#[test]
fn a_thousand_guards_stopped_by_four_other_threads_at_once() {
    const GUARDS: usize = 1000;
    let trace = Trace::new();
    let start = Barrier::new(5);
    let guards: [Mutex<Vec<Call>>; 4] =
        std::array::from_fn(|_| Mutex::new(Vec::with_capacity(GUARDS)));
    thread::scope(|threads| {
        for guards in &guards {
            let start = &start;
            threads.spawn(move || {
                start.wait();
                guards.lock().unwrap().drain(..).for_each(drop);
            });
        }
        let _scope = trace.inject();
        let around = call!("around");
        for number in 0..GUARDS {
            guards[number % 4].lock().unwrap().push(call!("moved"));
            allocate(1);
        }
        start.wait();
        // Meanwhile this thread goes on.
        for _ in 0..1000 {
            let own = call!("own");
            allocate(1);
            own.stop();
        }
        around.stop();
    });
    let report = trace.report();
    assert_eq!((report.calls.len(), report.dropped), (1 + 2 * GUARDS, 0));
    assert_eq!(report.total, Some(boxes(2000)));
    for call in &report.calls {
        assert_eq!(call.outcome, Outcome::Ok);
        match call.id.as_deref() {
            Some("around") => assert_eq!((call.total, call.partial), (Some(boxes(2000)), false)),
            Some("own") => assert_eq!((call.total, call.partial), (Some(boxes(1)), false)),
            _ => assert!(call.partial),
        }
    }
}

// Late: after the scope, the trace, the thread's end.

thread_local! {
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// In the order in which the fields are dropped.
struct Kept {
    _call: Option<Call>,
    _scope: Option<Scope>,
}

#[test]
fn a_scope_and_its_guard_in_a_thread_local() {
    let trace = Trace::new();
    let traced = trace.clone();
    let thread = thread::spawn(move || {
        let scope = traced.inject();
        let around = call!("around");
        allocate(1);
        KEPT.set(vec![Kept {
            _call: Some(around),
            _scope: Some(scope),
        }]);
        let inside = call!("inside");
        allocate(2);
        inside.stop();
    });
    thread.join().unwrap();
    let report = trace.report();
    let outcomes: Vec<_> = report.calls.iter().map(|call| &call.outcome).collect();
    assert_eq!(outcomes, [&Outcome::Ok, &Outcome::Ok]);
    assert_eq!(
        (report.calls[1].parent, report.calls[1].total),
        (Some(0), Some(boxes(2)))
    );
    // With the vector's block, and what else the thread does before its end; at least these.
    let around = &report.calls[0];
    assert!(!around.partial);
    assert!(around.total.unwrap().allocations >= 4);
    assert!(report.total.unwrap().allocations >= around.total.unwrap().allocations);
}

#[test]
fn a_late_guard_and_a_handle_fetched_before_the_trace_was_given_back() {
    let trace = Trace::new();
    let id = trace.id();
    let scope = trace.inject();
    let late = call!("late");
    allocate(1);
    let fetched = tracer::fetch();
    drop((scope, trace));
    // A handle keeps the trace: nothing has been given back.
    assert_eq!(fetched.id(), id);
    assert_eq!(calls(&fetched), ["late in -: 1, 1, Running"]);
    let scope = fetched.inject();
    let below = call!("below");
    allocate(2);
    below.stop();
    drop(scope);
    assert_eq!(
        calls(&fetched),
        ["late in -: 3, 1, Running", "below in late: 2, 2, Ok"]
    );
    let report = fetched.report();
    drop(fetched);
    // Now it has; what comes after is nobody's, not even the next trace's in the same memory.
    let next = Trace::new();
    let scope = next.inject();
    let call = call!("next");
    let after = measure(|| {
        late.checkpoint("late");
        late.fail("late");
        late.stop();
    });
    assert_eq!(after.counts, Some(Counts::ZERO));
    allocate(4);
    call.stop();
    drop(scope);
    assert_eq!(calls(&next), ["next in -: 4, 4, Ok"]);
    assert_ne!(next.id(), id);
    // And plain data stays what it was.
    assert_eq!(report.trace, id);
    assert_eq!(
        calls_of(&report),
        ["late in -: 3, 1, Running", "below in late: 2, 2, Ok"]
    );
}

#[test]
fn late_guards_of_other_threads_write_into_no_trace_that_came_after() {
    let (send, late) = sync_channel::<Vec<Call>>(4);
    thread::scope(|threads| {
        threads.spawn(move || {
            for guards in late {
                for guard in guards {
                    guard.checkpoint("late");
                    guard.fail("late");
                }
            }
        });
        for _ in 0..500 {
            let stale = Trace::new();
            let scope = stale.inject();
            let guards = (0..40).map(|_| call!("stale")).collect();
            drop((scope, stale));
            send.send(guards).unwrap();
            let fresh = Trace::new();
            let scope = fresh.inject();
            for count in 0..4 {
                let call = call!("{count}");
                allocate(count);
                call.stop();
            }
            drop(scope);
            let expected = [0, 1, 2, 3].map(|count| format!("{count} in -: {count}, {count}, Ok"));
            assert_eq!(calls(&fresh), expected);
            let report = fresh.report();
            assert!(report.calls.iter().all(|call| call.checkpoints.is_empty()));
        }
        drop(send);
    });
}

#[test]
fn a_strand_that_ended_takes_up_nothing_more() {
    // The guard of a scope that ended, and one whose instrumented call rests for ever.
    let trace = Trace::new();
    let scope = trace.inject();
    let resting = call!("resting").instrument(std::future::pending::<()>());
    let call = call!("call");
    drop(scope);
    let again = trace.inject();
    let other = call!("other");
    allocate(1);
    call.stop();
    allocate(2);
    drop(resting);
    allocate(4);
    other.stop();
    drop(again);
    assert_eq!(
        calls(&trace),
        [
            "resting in -: 0, 0, Cancelled, partial",
            "call in -: 0, 0, Ok, partial",
            "other in -: 7, 7, Ok",
        ]
    );
}

// Panics.

#[test]
fn a_guard_dropped_by_a_panic_on_another_thread() {
    let trace = Trace::new();
    let shared = Arc::new(Mutex::new(None::<Call>));
    let (turn, ready) = (Arc::new(Barrier::new(2)), Arc::clone(&shared));
    let there = Arc::clone(&turn);
    let thread = thread::spawn(move || {
        there.wait();
        let _call = ready.lock().unwrap().take();
        resume_unwind(Box::new(()));
    });
    let scope = trace.inject();
    let around = call!("around");
    *shared.lock().unwrap() = Some(call!("moved"));
    allocate(3);
    turn.wait();
    assert!(thread.join().is_err());
    let after = call!("after");
    allocate(1);
    after.stop();
    around.stop();
    drop(scope);
    let lines = calls(&trace);
    assert_eq!(lines[2], "after in around: 1, 1, Ok");
    let moved = &trace.report().calls[1];
    assert_eq!((&moved.outcome, moved.partial), (&Outcome::Panicked, true));
    assert!(moved.total.unwrap().allocations >= 3);
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
            // As documented: the standard library does not tell one panic from another.
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
    // Caught before this.
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

// Deep.

#[test]
fn ten_thousand_nested_scopes_of_two_traces_in_turns() {
    const DEPTH: usize = 10_000;
    let traces =
        [0; 2].map(|_| Trace::with_limits(10, Limits::default().calls(1_000_000).strands(10_000)));
    let mut scopes = Vec::with_capacity(DEPTH);
    for level in 0..DEPTH {
        scopes.push((traces[level % 2].inject(), Some(call!("{level}"))));
        allocate(1);
    }
    while let Some((scope, call)) = scopes.pop() {
        drop(call);
        drop(scope);
    }
    assert!(tracer::fetch().is_empty());
    for (number, trace) in traces.iter().enumerate() {
        let report = trace.report();
        assert_eq!((report.calls.len(), report.dropped), (DEPTH / 2, 0));
        // The second trace begins one level below the first.
        assert_eq!(report.total, Some(boxes((DEPTH - number) as u64)));
        for (place, call) in report.calls.iter().enumerate() {
            let level = 2 * place + number;
            assert_eq!(call.id, Some(level.to_string()));
            assert_eq!(call.parent, place.checked_sub(1));
            assert_eq!(call.total, Some(boxes((DEPTH - level) as u64)), "{level}");
            // Its own, and that of the other trace's level within; the last has none within.
            let own = if level == DEPTH - 1 { 1 } else { 2 };
            assert_eq!(call.own, Some(boxes(own)), "{level}");
            assert_eq!((&call.outcome, call.partial), (&Outcome::Ok, false));
        }
    }
}

#[test]
fn a_thousand_scopes_of_two_traces_left_in_the_order_of_entering() {
    const SCOPES: usize = 1000;
    let traces = [Trace::new(), Trace::new()];
    let mut scopes = Vec::with_capacity(SCOPES);
    scopes.extend((0..SCOPES).map(|level| Some(traces[level % 2].inject())));
    for scope in &mut scopes {
        drop(scope.take());
        allocate(1);
    }
    assert!(tracer::fetch().is_empty());
    // All until the last scope but one ended, and until the last.
    let totals = [&traces[0], &traces[1]].map(|trace| trace.report().total);
    assert_eq!(totals, [Some(boxes(998)), Some(boxes(999))]);
}

#[test]
fn many_more_checkpoints_and_messages_than_a_strand_takes_from_afar() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let call = call!("call");
    allocate(1);
    let handed = OnceLock::new();
    assert!(handed.set(call).is_ok());
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..1000 {
                    let call: &Call = handed.wait();
                    call.checkpoint("afar");
                    call.fail("afar");
                }
            });
        }
    });
    drop(handed);
    around.stop();
    drop(scope);
    let report = trace.report();
    let call = &report.calls[1];
    assert_eq!(call.outcome, Outcome::Failed("afar".to_owned()));
    assert!(call.partial);
    // Either kept or counted as not kept.
    assert!(report.dropped > 0 && report.dropped < 8000);
    assert!(call.checkpoints.len() as u64 <= 8000 - report.dropped);
    assert!(!report.calls[0].partial);
}
