//! The figures of a call: its total, its self, and those of its checkpoints.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use tracer::alloc::{Counts, measure};
use tracer::{CallReport, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};
use crate::peaks::peaks;

pub(crate) fn checkpoints(call: &CallReport) -> Vec<(&str, Counts)> {
    let points = call.checkpoints.iter();
    points
        .map(|point| (&*point.name, point.counts.unwrap()))
        .collect()
}

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
    // On a small stack: neither the report nor its renderings recurse as deep as the calls did.
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
