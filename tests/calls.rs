//! Calls on one thread: what each used, and how it ended, whatever became of its guard.

mod common;

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::time::Duration;

use common::{allocate, boxes, calls, calls_of};
use tracer::alloc::{Counts, measure};
use tracer::{Call, CallReport, Counting, Outcome, Report, Trace, call};

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
    calls.map(|call| (call.id.as_deref().unwrap(), peak(call))).collect()
}

fn checkpoints(call: &CallReport) -> Vec<(&str, Counts)> {
    let points = call.checkpoints.iter();
    points.map(|point| (&*point.name, point.counts.unwrap())).collect()
}

fn ids(report: &Report) -> Vec<&str> {
    report.calls.iter().map(|call| call.id.as_deref().unwrap_or("-")).collect()
}

/// Runs with the panic hook's message left out. The hook is the process's, so it is set once.
fn quietly<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let message = info.payload().downcast_ref::<&str>();
            if message.is_none_or(|message| !message.starts_with("expected")) {
                loud(info);
            }
        }));
    });
    catch_unwind(AssertUnwindSafe(work))
}

/// Does something when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
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
    assert_eq!(calls_of(&report), ["first in -: 0, 0, Ok", "second in -: 0, 0, Ok"]);
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
    assert_eq!(trace.report().calls[0].own.unwrap().allocations, 1);
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
    assert_eq!(report.calls[0].own, Some(counts));
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
    assert_eq!(calls_of(&report), ["outer in -: 15, 9, Ok", "inner in outer: 6, 6, Ok"]);
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
    assert!(kept.len() <= 1024 && name.starts_with(kept.trim_end_matches('…')), "{kept}");
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
            (|| (|| call!().stop())())();
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
        ["get", "put", "generic", "a_call_is_named_after_the_enclosing_function"]
    );
    let last = &report.calls[3];
    assert_eq!((&*last.module, &*last.file, last.line), (module_path!(), file!(), line));
}

#[test]
fn ids_and_labels_are_read_as_they_were_written() {
    let text = "a".repeat(500);
    let trace = Trace::new();
    let scope = trace.inject();
    for id in ["", "é", "ca7a87c4-58d0-4fdf-857c-ef49fc3bf271", "nul\0esc\u{1b}[31m\n\t\u{202e}", &text] {
        call!("{id}").stop();
    }
    call!("{}-{second}", 1, second = 2 + 1 - 1).stop();
    call!(rows = 3, r#type = "t", empty = "").stop();
    call!("{text}", rows = 3).stop();
    drop(scope);
    let report = trace.report();
    let labels = |index: usize| {
        let labels = report.calls[index].labels.iter();
        labels.map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>()
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
