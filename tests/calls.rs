//! Calls on one thread: what each used, and how it ended, whatever became of its guard.

mod common;
#[path = "common/on_drop.rs"]
mod on_drop;

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::{Barrier, OnceLock};
use std::time::Duration;

use common::{allocate, boxes, calls, calls_of};
use on_drop::OnDrop;
use tracer::alloc::{Counts, measure};
use tracer::{Call, CallReport, Counting, Limits, Outcome, Report, Trace, call};

#[global_allocator]
static A: Counting = Counting::system();

const MEGABYTE: u64 = 1 << 20;

/// Has so many bytes more for a moment.
fn spike(bytes: u64) {
    let size = usize::try_from(bytes).unwrap();
    drop(black_box(Vec::<u8>::with_capacity(black_box(size))));
}

fn peaks(report: &Report) -> Vec<(&str, u64)> {
    let peak = |call: &CallReport| call.peak_bytes.unwrap();
    let calls = report.calls.iter();
    calls
        .map(|call| (call.id.as_deref().unwrap(), peak(call)))
        .collect()
}

fn checkpoints(call: &CallReport) -> Vec<(&str, Counts)> {
    let points = call.checkpoints.iter();
    points
        .map(|point| (&*point.name, point.counts.unwrap()))
        .collect()
}

fn ids(report: &Report) -> Vec<&str> {
    report
        .calls
        .iter()
        .map(|call| call.id.as_deref().unwrap_or("-"))
        .collect()
}

/// Runs with the panic hook's message left out. The hook is the process's, so it is set once.
fn quietly<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
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

// Nothing is counted that the call did not do.

#[test]
fn an_empty_call_is_zero_even_the_first_of_a_thread() {
    let trace = Trace::new();
    let traced = trace.clone();
    std::thread::spawn(move || {
        let measured = measure(|| {
            let scope = traced.inject();
            call!("first").stop();
            call!("second").stop();
            drop(scope);
        });
        assert_eq!(measured.counts, Some(Counts::ZERO));
        assert_eq!(measured.peak_bytes, Some(0));
    })
    .join()
    .unwrap();
    let report = trace.report();
    assert_eq!(
        calls_of(&report),
        ["first in -: 0, 0, Ok", "second in -: 0, 0, Ok"]
    );
    assert_eq!(peaks(&report), [("first", 0), ("second", 0)]);
    assert_eq!(report.total, Some(Counts::ZERO));
}

#[test]
fn labels_checkpoints_and_messages_of_any_length_are_zero() {
    let long = "x".repeat(500);
    let huge = "y".repeat(1 << 20);
    let trace = Trace::new();
    let scope = trace.inject();
    let measured = measure(|| {
        let outer = call!("outer");
        for _ in 0..10 {
            let call = call!("{long}", long = long, number = 7, huge = huge);
            call.checkpoint(&long);
            call.checkpoint(&huge);
            call.fail(&long);
            call.fail(&huge);
        }
        outer.stop();
    });
    drop(scope);
    let report = trace.report();
    assert_eq!(measured.counts, Some(Counts::ZERO));
    assert_eq!(report.calls[0].total, Some(Counts::ZERO));
    assert_eq!(report.calls.len(), 11);
    assert!(report.grown > 0);
    assert_eq!(report.dropped, 0);
}

#[test]
fn printing_the_trace_inside_its_call_is_zero() {
    let trace = Trace::new();
    let _scope = trace.inject();
    let call = call!("outer");
    let mut text = String::with_capacity(10_000);
    let measured = measure(|| {
        use fmt::Write as _;
        write!(text, "{trace}{trace:#}").unwrap();
    });
    assert_eq!(measured.counts, Some(Counts::ZERO));
    drop(call);
    assert_eq!(trace.report().calls[0].self_counts.unwrap().allocations, 1);
}

#[test]
fn five_counters_and_nothing_from_outside_the_call() {
    let mut before = black_box(vec![0_u8; 1000]);
    let trace = Trace::new();
    let scope = trace.inject();
    allocate(1);
    let call = call!("resized");
    before.reserve_exact(1000);
    before.truncate(10);
    before.shrink_to_fit();
    drop(black_box(before));
    call.stop();
    allocate(1);
    drop(scope);
    allocate(1);
    let report = trace.report();
    let counts = Counts {
        allocations: 0,
        deallocations: 1,
        reallocations: 2,
        bytes_allocated: 1000,
        bytes_deallocated: 2000,
    };
    assert_eq!(report.calls[0].total, Some(counts));
    assert_eq!(report.calls[0].self_counts, Some(counts));
    assert_eq!(report.calls[0].peak_bytes, Some(1000));
    assert_eq!(counts.net_bytes(), -1000);
}

#[test]
fn nested_calls_have_totals_and_selfs() {
    fn leaf(count: u64) {
        let _call = call!();
        allocate(count);
    }
    let trace = Trace::new();
    let scope = trace.inject();
    let outer = call!("outer");
    allocate(1);
    leaf(2);
    let inner = call!("inner");
    allocate(4);
    leaf(8);
    inner.stop();
    allocate(16);
    outer.stop();
    leaf(32);
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "outer in -: 31, 17, Ok",
            "leaf in outer: 2, 2, Ok",
            "inner in outer: 12, 4, Ok",
            "leaf in inner: 8, 8, Ok",
            "leaf in -: 32, 32, Ok",
        ]
    );
    assert_eq!(trace.report().total, Some(boxes(63)));
}

#[test]
fn checkpoints_have_what_happened_since_the_one_before() {
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("outer");
    call.checkpoint("at once");
    allocate(1);
    call.checkpoint("one");
    let inner = call!("inner");
    allocate(2);
    inner.checkpoint("inside");
    call.checkpoint("while another is open");
    allocate(4);
    inner.stop();
    call.checkpoint("after it");
    call.checkpoint("");
    allocate(8);
    call.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(
        calls_of(&report),
        ["outer in -: 15, 9, Ok", "inner in outer: 6, 6, Ok"]
    );
    assert_eq!(
        checkpoints(&report.calls[0]),
        [
            ("at once", Counts::ZERO),
            ("one", boxes(1)),
            ("while another is open", boxes(2)),
            ("after it", boxes(4)),
            ("", Counts::ZERO),
        ]
    );
    assert_eq!(checkpoints(&report.calls[1]), [("inside", boxes(2))]);
    let points = &report.calls[0].checkpoints;
    let sum: Duration = points.iter().map(|point| point.wall).sum();
    assert_eq!(sum, points.last().unwrap().at);
    assert!(points.is_sorted_by_key(|point| point.at));
}

#[test]
fn a_long_checkpoint_name_is_cut_at_a_character() {
    let name = "a".to_owned() + &"é".repeat(1000);
    let trace = Trace::new();
    let scope = trace.inject();
    call!("call").checkpoint(&name);
    drop(scope);
    let kept = &trace.report().calls[0].checkpoints[0].name;
    assert!(
        kept.len() <= 1024 && name.starts_with(kept.trim_end_matches('…')),
        "{kept}"
    );
}

// Names, ids and labels.

#[test]
fn a_call_is_named_after_the_enclosing_function() {
    struct Store<T>(T);
    trait Get {
        fn get(&self);
    }
    impl<T> Get for Store<T> {
        fn get(&self) {
            call!().stop();
        }
    }
    impl<T> Store<T> {
        fn put(&self) {
            let _ = &self.0;
            let closure = || {
                let within = || call!().stop();
                within();
            };
            closure();
        }
    }
    fn generic<T>(_: T) {
        call!().stop();
    }
    let trace = Trace::new();
    let scope = trace.inject();
    Store(1).get();
    Store("").put();
    generic([1_u8]);
    let line = line!() + 1;
    call!().stop();
    drop(scope);
    let report = trace.report();
    let names: Vec<_> = report.calls.iter().map(|call| &*call.name).collect();
    assert_eq!(
        names,
        [
            "get",
            "put",
            "generic",
            "a_call_is_named_after_the_enclosing_function"
        ]
    );
    let last = &report.calls[3];
    assert_eq!(
        (&*last.module, &*last.file, last.line),
        (module_path!(), file!(), line)
    );
}

#[test]
fn ids_and_labels_are_read_as_they_were_written() {
    let text = "a".repeat(500);
    let trace = Trace::new();
    let scope = trace.inject();
    for id in [
        "",
        "é",
        "ca7a87c4-58d0-4fdf-857c-ef49fc3bf271",
        "nul\0esc\u{1b}[31m\n\t\u{202e}",
        &text,
    ] {
        call!("{id}").stop();
    }
    call!("{}-{}", 1, 2, second = 3).stop();
    call!(rows = 3, r#type = "t", empty = "").stop();
    call!("{text}", rows = 3).stop();
    drop(scope);
    let report = trace.report();
    let labels = |index: usize| {
        let labels = report.calls[index].labels.iter();
        labels
            .map(|(name, value)| (&**name, &**value))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(&report),
        [
            "",
            "é",
            "ca7a87c4-58d0-4fdf-857c-ef49fc3bf271",
            "nul\0esc\u{1b}[31m\n\t\u{202e}",
            &text,
            "1-2",
            "-",
            &text,
        ]
    );
    assert_eq!(labels(6), [("rows", "3"), ("type", "t"), ("empty", "")]);
    assert_eq!(labels(7), [("rows", "3")]);
}

#[test]
fn a_text_of_a_megabyte_is_cut_and_its_neighbours_are_whole() {
    let huge = "é".repeat(1 << 19);
    let trace = Trace::new();
    let scope = trace.inject();
    call!("{huge}", before = 1, huge = huge, after = 2).stop();
    call!("next").fail(&huge);
    drop(scope);
    let report = trace.report();
    let call = &report.calls[0];
    let id = call.id.as_deref().unwrap();
    let names: Vec<_> = call.labels.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["before", "huge", "after"]);
    assert_eq!((&*call.labels[0].1, &*call.labels[2].1), ("1", "2"));
    let Outcome::Failed(message) = &report.calls[1].outcome else {
        panic!("{:?}", report.calls[1].outcome)
    };
    for cut in [id, &call.labels[1].1, message] {
        let kept = cut.strip_suffix('…').unwrap();
        assert!(
            kept.len() > 200 && kept.chars().all(|letter| letter == 'é'),
            "{cut}"
        );
    }
}

#[test]
fn a_text_that_found_no_call_is_in_no_other() {
    let lost = "l".repeat(300);
    let kept = "k".repeat(300);
    let trace = Trace::with_limits(1, Limits::default().calls(1));
    let scope = trace.inject();
    let call = call!("recorded");
    call!("{lost}").stop();
    call.checkpoint(&kept);
    drop(call);
    drop(scope);
    let report = trace.report();
    assert_eq!(ids(&report), ["recorded"]);
    assert_eq!(report.calls[0].checkpoints[0].name, kept);
    assert_eq!(report.folded[0].calls, 1);
}

struct Broken(fn() -> fmt::Result);

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        (self.0)()
    }
}

#[test]
fn formatting_may_fail_or_panic() {
    fn fails() -> fmt::Result {
        Err(fmt::Error)
    }
    fn panics() -> fmt::Result {
        panic!("expected: in formatting")
    }
    let trace = Trace::new();
    let scope = trace.inject();
    quietly(|| {
        call!("{}", Broken(fails), after = 1).stop();
        call!("{}", Broken(panics), after = 1).stop();
        call!("fails").fail(&Broken(panics));
        // While a panic is already on its way.
        let _unwinds = OnDrop(|| call!("{}", Broken(panics)).stop());
        panic!("expected");
    })
    .unwrap_err();
    drop(scope);
    let report = trace.report();
    let (failed, panicked) = ("half(formatting failed)", "half(formatting panicked)");
    assert_eq!(ids(&report), [failed, panicked, "fails", panicked]);
    assert_eq!(report.calls[1].labels, [("after".into(), "1".to_owned())]);
    let outcomes: Vec<_> = report.calls.iter().map(|call| &call.outcome).collect();
    let message = Outcome::Failed(panicked.to_owned());
    assert_eq!(
        outcomes,
        [&Outcome::Ok, &Outcome::Ok, &message, &Outcome::Ok]
    );
}

#[test]
fn a_panic_whose_payload_panics_when_dropped_does_not_come_through() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("expected: in the payload's drop");
        }
    }
    let trace = Trace::new();
    let scope = trace.inject();
    let came_through = quietly(|| call!("{}", Broken(|| panic_any(Payload))).stop()).is_err();
    drop(scope);
    assert!(!came_through);
    assert_eq!(ids(&trace.report()), ["half(formatting panicked)"]);
}

#[test]
fn formatting_may_trace() {
    struct Traced;
    impl Display for Traced {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let _call = call!("formatting");
            allocate(1);
            f.write_str("formatted")
        }
    }
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("{}", Traced);
    allocate(2);
    call.fail(&Traced);
    call.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "formatting in -: 1, 1, Ok",
            "formatted in -: 3, 2, Failed(\"formatted\")",
            "formatting in formatted: 1, 1, Ok",
        ]
    );
}

// How a call ends.

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
fn of_several_failures_the_last_is_told() {
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

// Guards and scopes that do not nest.

#[test]
fn guards_dropped_in_any_order() {
    // The calls a, b and c, opened in this order with 2, 4 and 8 blocks after each; then one stops,
    // 16 blocks, one stops, 32 blocks, one stops. What is allocated is the self of the youngest
    // call that is open. Expected: the total and the self of a, b and c.
    let cases = [
        ("abc", [(14, 2), (28, 4), (56, 56)]),
        ("acb", [(14, 2), (60, 36), (24, 24)]),
        ("bac", [(30, 2), (12, 4), (56, 56)]),
        ("bca", [(62, 34), (12, 4), (24, 24)]),
        ("cab", [(30, 2), (60, 52), (8, 8)]),
        ("cba", [(62, 34), (28, 20), (8, 8)]),
    ];
    for (order, [a, b, c]) in cases {
        let trace = Trace::new();
        let scope = trace.inject();
        let around = call!("around");
        allocate(1);
        let mut guards = Vec::with_capacity(3);
        let outer = measure(|| {
            for (id, count) in [('a', 2), ('b', 4), ('c', 8)] {
                guards.push((id, call!("{id}")));
                allocate(count);
            }
            for (id, count) in order.chars().zip([16, 32, 64]) {
                guards.retain(|(other, _)| *other != id);
                allocate(count);
            }
        });
        assert_eq!(outer.counts, Some(boxes(126)));
        call!("after").stop();
        drop(guards);
        around.stop();
        drop(scope);
        let line = |id, parent, (total, own)| format!("{id} in {parent}: {total}, {own}, Ok");
        let report = trace.report();
        // Of the vector's block, only the allocation is within.
        let lines = calls_of(&report);
        assert_eq!(
            lines[1..],
            [
                line("a", "around", a),
                line("b", "a", b),
                line("c", "b", c),
                "after in around: 0, 0, Ok".to_owned(),
            ],
            "{order}"
        );
        assert_eq!(
            report.calls[0].self_counts.unwrap().allocations,
            1 + 64 + 1,
            "{order}"
        );
        assert_eq!(
            report.calls[0].total.unwrap().allocations,
            127 + 1,
            "{order}"
        );
    }
}

#[test]
fn a_leaked_guard_leaves_the_others_exact() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    allocate(1);
    let leaked = call!("leaked");
    allocate(2);
    std::mem::forget(leaked);
    allocate(4);
    let after = call!("after");
    allocate(8);
    after.stop();
    around.stop();
    let next = call!("next");
    allocate(16);
    next.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "around in -: 15, 1, Ok",
            "leaked in around: 30, 6, Running",
            "after in leaked: 8, 8, Ok",
            "next in leaked: 16, 16, Ok",
        ]
    );
}

#[test]
fn a_leaked_scope_leaves_the_others_exact() {
    let (outer, leaked) = (Trace::new(), Trace::new());
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let scope = outer.inject();
            let around = call!("around");
            allocate(1);
            std::mem::forget(leaked.inject());
            let inner = call!("inner");
            allocate(2);
            inner.stop();
            around.stop();
            drop(scope);
            call!("later").stop();
        });
    });
    let report = outer.report();
    assert_eq!(report.total, Some(boxes(3)));
    let call = &report.calls[0];
    // Stopped while its strand was not the current one: may be marked, must not be wrong.
    assert_eq!(
        (call.total, call.self_counts),
        (Some(boxes(3)), Some(boxes(3)))
    );
    let leaked = leaked.report();
    let totals: Vec<_> = leaked.calls.iter().map(|call| call.total).collect();
    assert_eq!(totals, [Some(boxes(2)), Some(Counts::ZERO)]);
}

#[test]
fn a_leaked_scope_of_a_thread_that_ended_is_in_the_totals_around() {
    let trace = Trace::new();
    let (handle, turn) = (OnceLock::new(), Barrier::new(2));
    std::thread::scope(|threads| {
        let thread = threads.spawn(|| {
            let elsewhere: &Trace = handle.wait();
            std::mem::forget(elsewhere.inject());
            let inside = call!("inside");
            allocate(3);
            inside.stop();
            turn.wait();
        });
        let _scope = trace.inject();
        let around = call!("around");
        assert!(handle.set(tracer::fetch()).is_ok());
        turn.wait();
        around.stop();
        thread.join().unwrap();
    });
    // May be marked, must not be wrong.
    let lines = calls(&trace);
    let lines: Vec<_> = lines
        .iter()
        .map(|line| line.trim_end_matches(", partial"))
        .collect();
    assert_eq!(
        lines,
        ["around in -: 3, 0, Ok", "inside in around: 3, 3, Ok"]
    );
}

#[test]
fn scopes_dropped_out_of_order() {
    let traces = [Trace::new(), Trace::new(), Trace::new()];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let traces = [0; 3].map(|_| Trace::new());
        let mut scopes = [0, 1, 2].map(|index| {
            let scope = traces[index].inject();
            call!("{index}").stop();
            allocate(1 << index);
            Some(scope)
        });
        for (index, count) in order.into_iter().zip([8, 16, 32]) {
            scopes[index] = None;
            allocate(count);
        }
        assert!(tracer::fetch().is_empty());
        // From the first, second, third scope's entry to its end, all that the thread did.
        let entered = [7, 6, 4];
        for (place, index) in order.into_iter().enumerate() {
            let left = [0, 8, 8 + 16][place];
            let total = traces[index].report().total;
            assert_eq!(
                total,
                Some(boxes(entered[index] + left)),
                "{order:?}: {index}"
            );
            assert_eq!(calls(&traces[index]), [format!("{index} in -: 0, 0, Ok")]);
        }
    }
    assert!(traces.iter().all(|trace| trace.report().calls.is_empty()));
}

#[test]
fn a_guard_stopped_within_the_scope_of_another_trace() {
    let (outer, inner) = (Trace::new(), Trace::new());
    let outer_scope = outer.inject();
    let around = call!("around");
    let call = call!("call");
    allocate(1);
    let inner_scope = inner.inject();
    allocate(2);
    call.stop();
    let inside = call!("inside");
    allocate(4);
    inside.stop();
    drop(inner_scope);
    let after = call!("after");
    allocate(8);
    after.stop();
    around.stop();
    drop(outer_scope);
    let lines = calls(&outer);
    assert_eq!(
        [
            &*lines[0],
            lines[1].trim_end_matches(", partial"),
            &*lines[2]
        ],
        [
            "around in -: 15, 4, Ok",
            "call in around: 3, 3, Ok",
            "after in around: 8, 8, Ok"
        ]
    );
    assert_eq!(calls(&inner), ["inside in -: 4, 4, Ok"]);
}

#[test]
fn a_guard_stopped_after_its_scope() {
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("call");
    allocate(1);
    drop(scope);
    allocate(2);
    assert_eq!(calls(&trace), ["call in -: 1, 1, Running"]);
    call.checkpoint("late");
    call.fail("late");
    call.stop();
    let report = trace.report();
    assert_eq!(
        calls_of(&report),
        [r#"call in -: 1, 1, Failed("late"), partial"#]
    );
    assert_eq!(checkpoints(&report.calls[0]), [("late", boxes(1))]);
}

#[test]
fn any_number_of_guards_stopped_after_their_scope() {
    let trace = Trace::new();
    let scope = trace.inject();
    let guards: Vec<_> = (0..3000).map(|_| call!("call")).collect();
    drop(scope);
    drop(guards);
    let report = trace.report();
    let running = report
        .calls
        .iter()
        .filter(|call| call.outcome == Outcome::Running);
    assert_eq!(running.count(), 0);
    let exact = report.calls.iter().filter(|call| !call.partial);
    assert_eq!(exact.count(), 0);
}

#[test]
fn what_is_done_away_from_the_strand_is_zero() {
    let (trace, other) = (Trace::new(), Trace::new());
    let scope = trace.inject();
    let late = call!("late");
    let stale = call!("stale");
    drop(scope);
    let _other = other.inject();
    let measured = measure(|| {
        late.checkpoint("checkpoint");
        late.fail("message");
        late.stop();
    });
    assert_eq!(measured.counts, Some(Counts::ZERO));
    drop(trace);
    let measured = measure(|| {
        stale.checkpoint("checkpoint");
        stale.fail("message");
        stale.stop();
    });
    assert_eq!(measured.counts, Some(Counts::ZERO));
}

#[test]
fn a_guard_outlives_its_trace_and_writes_into_no_other() {
    let trace = Trace::new();
    let scope = trace.inject();
    let stale = [0; 40].map(|_| call!("stale"));
    drop(scope);
    drop(trace);
    // These take up what the other gave back, whichever of them gets which.
    let traces: Vec<_> = (0..4).map(|_| Trace::new()).collect();
    let scopes: Vec<_> = traces.iter().map(Trace::inject).collect();
    let fresh: Vec<_> = (0..40).map(|_| call!("fresh")).collect();
    for guard in stale {
        guard.checkpoint("stale");
        guard.fail("stale");
        guard.stop();
    }
    let open = fresh.len();
    fresh.into_iter().rev().for_each(drop);
    drop(scopes);
    let mut expected = vec!["fresh in fresh: 0, 0, Ok"; open];
    expected[0] = "fresh in -: 0, 0, Ok";
    assert_eq!(traces.iter().flat_map(calls).collect::<Vec<_>>(), expected);
    let reports = traces.iter().map(Trace::report);
    assert!(
        reports
            .flat_map(|report| report.calls)
            .all(|call| call.checkpoints.is_empty())
    );
}

#[test]
fn a_guard_stopped_while_its_thread_ends() {
    thread_local! {
        static LAST: RefCell<Option<Call>> = const { RefCell::new(None) };
    }
    let trace = Trace::new();
    let traced = trace.clone();
    let thread = std::thread::spawn(move || {
        LAST.set(None);
        let scope = traced.inject();
        LAST.set(Some(call!("last")));
        allocate(3);
        drop(scope);
    });
    thread.join().unwrap();
    assert_eq!(calls(&trace), ["last in -: 3, 3, Ok, partial"]);
}

// Depth, number, limits.

#[test]
fn ten_thousand_calls_deep() {
    fn down(depth: u32) {
        if depth == 0 {
            return;
        }
        let _call = call!();
        allocate(1);
        down(depth - 1);
    }
    let trace = Trace::new();
    let run = trace.clone();
    let big = std::thread::Builder::new().stack_size(64 << 20);
    big.spawn(move || {
        let _scope = run.inject();
        down(10_000);
    })
    .unwrap()
    .join()
    .unwrap();
    // On a small stack: neither the report nor its renderings go as deep as the calls did.
    let small = std::thread::Builder::new().stack_size(256 << 10);
    small
        .spawn(move || {
            let report = trace.report();
            assert_eq!((report.calls.len(), report.dropped), (10_000, 0));
            for (depth, call) in report.calls.iter().enumerate() {
                assert_eq!(call.parent, depth.checked_sub(1));
                assert_eq!(call.self_counts, Some(boxes(1)));
                assert_eq!(call.total, Some(boxes(10_000 - depth as u64)));
            }
            assert_eq!(format!("{report}").lines().count(), 10_001);
            assert_eq!(format!("{report:#}").lines().count(), 10_003);
        })
        .unwrap()
        .join()
        .unwrap();
}

/// Ten thousand calls may be recorded, and so many scopes open at once have one each.
fn one_call_in_each_of(scopes: usize, trace: &Trace) {
    let scopes: Vec<_> = (0..scopes)
        .map(|_| {
            let scope = trace.inject();
            call!("one").stop();
            scope
        })
        .collect();
    let count = scopes.len();
    drop(scopes);
    let report = trace.report();
    assert_eq!((report.calls.len(), report.folded.len()), (count, 0));
}

#[test]
fn scopes_give_back_the_calls_that_they_did_not_use() {
    one_call_in_each_of(1000, &Trace::new());
    let limits = Limits::default().strands(5000);
    one_call_in_each_of(5000, &Trace::with_limits(10, limits));
}

#[test]
fn scopes_dropped_out_of_order_give_back_their_calls_too() {
    let (trace, other) = (
        Trace::with_limits(10, Limits::default().calls(40)),
        Trace::new(),
    );
    for _ in 0..40 {
        let scope = trace.inject();
        call!("one").stop();
        let other = other.inject();
        drop(scope);
        drop(other);
    }
    let report = trace.report();
    assert_eq!((report.calls.len(), report.folded.len()), (40, 0));
}

#[test]
fn growth_beyond_the_capacity_is_told() {
    let grown = |capacity, calls| {
        let trace = Trace::with_capacity(capacity);
        let scope = trace.inject();
        (0..calls).for_each(|_| call!().stop());
        drop(scope);
        let report = trace.report();
        assert_eq!((report.calls.len(), report.dropped), (calls, 0));
        report.grown
    };
    for capacity in [1, 10, 31, 32, 62, 63, 100, 1000, 5000] {
        assert_eq!(grown(capacity, capacity), 0, "{capacity}");
    }
    assert_eq!(grown(0, 0), 0);
    assert!(grown(10, 100) > 0);
    assert!(grown(10, 1000) > grown(10, 100));
    assert!(grown(1000, 2000) > 0);
}

// Traces that are not there.

#[test]
fn an_empty_trace_does_nothing() {
    let trace = Trace::empty();
    let scope = trace.inject();
    assert!(trace.is_empty() && tracer::fetch().is_empty());
    assert!(!call!("call").is_recorded());
    drop(scope);
    let report = trace.report();
    assert_eq!((trace.id(), report.trace, report.calls.len()), (0, 0, 0));
    assert_eq!(
        (report.total, report.elapsed),
        (Some(Counts::ZERO), Duration::ZERO)
    );
    assert_eq!(
        trace.to_string(),
        "allocates at call stack: 0, detailed call stack: ~"
    );
    assert_eq!(trace.to_string(), report.to_string());
}

#[test]
fn a_trace_that_was_never_injected_is_empty_but_itself() {
    let (trace, other) = (Trace::new(), Trace::new());
    assert!(!trace.is_empty() && trace.id() != 0 && trace.id() != other.id());
    let report = trace.report();
    assert_eq!((report.calls.len(), report.total), (0, Some(Counts::ZERO)));
    assert_eq!(
        trace.to_string(),
        "allocates at call stack: 0, detailed call stack: ~"
    );
}

#[test]
fn without_a_trace_nothing_is_evaluated() {
    fn never() -> u32 {
        unreachable!("evaluated without a trace")
    }
    let measured = measure(|| {
        let call = call!("{}", never(), rows = never());
        assert!(!call.is_recorded());
        call.checkpoint("checkpoint");
        call.fail(&Broken(|| unreachable!("formatted without a trace")));
        call.stop();
        call!(rows = never()).stop();
        call!().stop();
    });
    assert_eq!(measured.counts, Some(Counts::ZERO));
}

#[test]
fn handles_may_be_sent_and_scopes_may_not() {
    fn sent<T: Send + Sync>() {}
    sent::<Trace>();
    sent::<Call>();
    sent::<Report>();
    sent::<tracer::Instrumented<()>>();
    sent::<tracer::InCall<std::future::Ready<()>>>();
}

// Peaks.

#[test]
fn a_call_has_its_own_peak_and_those_inside() {
    let trace = Trace::new();
    let scope = trace.inject();
    spike(7 * MEGABYTE);
    let outer = call!("outer");
    let kept = black_box(vec![0_u8; 1000]);
    let inner = call!("inner");
    spike(MEGABYTE);
    inner.stop();
    let after = call!("after");
    spike(10);
    drop(kept);
    spike(500);
    after.stop();
    outer.stop();
    spike(7 * MEGABYTE);
    call!("empty").stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(
        peaks(&report),
        [
            ("outer", MEGABYTE + 1000),
            ("inner", MEGABYTE),
            ("after", 10),
            ("empty", 0)
        ]
    );
    assert_eq!(report.calls[0].total.unwrap().net_bytes(), 0);
}

#[test]
fn peaks_of_guards_dropped_out_of_order() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let a = call!("a");
    spike(100);
    let b = call!("b");
    spike(200);
    a.stop();
    spike(400);
    let c = call!("c");
    spike(800);
    b.stop();
    spike(1600);
    c.stop();
    around.stop();
    drop(scope);
    assert_eq!(
        peaks(&trace.report()),
        [("around", 1600), ("a", 200), ("b", 800), ("c", 1600)]
    );
}

#[test]
fn a_peak_before_the_calls_that_outlive_this_one_is_in_those_around() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let a = call!("a");
    spike(1000);
    let b = call!("b");
    spike(10);
    a.stop();
    b.stop();
    around.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(peaks(&report), [("around", 1000), ("a", 1000), ("b", 10)]);
}

#[test]
fn a_report_from_inside_has_the_peaks_of_all_open_calls() {
    let trace = Trace::new();
    let scope = trace.inject();
    let outer = call!("outer");
    let inner = call!("inner");
    spike(MEGABYTE);
    assert_eq!(
        peaks(&trace.report()),
        [("outer", MEGABYTE), ("inner", MEGABYTE)]
    );
    drop((inner, outer, scope));
}

#[test]
fn peaks_through_the_scopes_of_other_traces() {
    let (outer, inner) = (Trace::new(), Trace::new());
    let outer_scope = outer.inject();
    let before = call!("before");
    spike(100);
    let inner_scope = inner.inject();
    let inside = call!("inside");
    spike(MEGABYTE);
    inside.stop();
    drop(inner_scope);
    before.stop();
    let after = call!("after");
    spike(10);
    after.stop();
    drop(outer_scope);
    assert_eq!(
        peaks(&outer.report()),
        [("before", MEGABYTE), ("after", 10)]
    );
    assert_eq!(peaks(&inner.report()), [("inside", MEGABYTE)]);
}

#[test]
fn peaks_through_a_scope_of_the_first_trace_within_another() {
    let (first, second) = (Trace::new(), Trace::new());
    let first_scope = first.inject();
    let second_scope = second.inject();
    let around = call!("around");
    let again = first.inject();
    spike(MEGABYTE);
    drop(again);
    around.stop();
    drop((second_scope, first_scope));
    let report = second.report();
    assert_eq!(calls_of(&report)[0].split(':').next(), Some("around in -"));
    assert_eq!(report.calls[0].total.unwrap().bytes_allocated, MEGABYTE);
    assert_eq!(peaks(&report), [("around", MEGABYTE)]);
}

#[test]
fn peaks_through_scopes_dropped_out_of_order() {
    let [outer, one, two] = [0; 3].map(|_| Trace::new());
    let scope = outer.inject();
    let around = call!("around");
    let one = one.inject();
    let two = two.inject();
    spike(MEGABYTE);
    drop(one);
    drop(two);
    around.stop();
    drop(scope);
    let peak = outer.report().calls[0].peak_bytes;
    assert!(peak.is_none_or(|peak| peak == MEGABYTE), "{peak:?}");
}

#[test]
fn measuring_around_and_inside_calls() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = measure(|| {
        spike(100);
        let call = call!("call");
        spike(200);
        let inside = measure(|| {
            call!("inside").stop();
            spike(400);
        });
        assert_eq!(
            (inside.counts, inside.peak_bytes),
            (Some(spikes(&[400])), Some(400))
        );
        spike(300);
        call.stop();
    });
    assert_eq!(around.counts, Some(spikes(&[100, 200, 400, 300])));
    assert_eq!(around.peak_bytes, Some(400));
    drop(scope);
    assert_eq!(peaks(&trace.report()), [("call", 400), ("inside", 0)]);
}

#[test]
fn measuring_the_start_of_a_call_leaves_its_peak_alone() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    spike(1000);
    let call = measure(|| {
        spike(500);
        call!("call")
    });
    spike(10);
    call.value.stop();
    around.stop();
    drop(scope);
    assert_eq!(peaks(&trace.report()), [("around", 1000), ("call", 10)]);
}

fn spikes(sizes: &[u64]) -> Counts {
    let (count, bytes) = (sizes.len() as u64, sizes.iter().sum());
    Counts {
        allocations: count,
        deallocations: count,
        bytes_allocated: bytes,
        bytes_deallocated: bytes,
        ..Counts::ZERO
    }
}
