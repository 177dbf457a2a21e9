//! The highest level of live bytes within each call.

use std::hint::black_box;

use tracer::alloc::{Counts, Measuring, measure};
use tracer::{CallReport, Report, Trace, call};

use crate::lines::calls_of;

const MEGABYTE: u64 = 1 << 20;

/// Allocates and frees a block of `bytes`.
fn spike(bytes: u64) {
    let size = usize::try_from(bytes).unwrap();
    drop(black_box(Vec::<u8>::with_capacity(black_box(size))));
}

pub(crate) fn peaks(report: &Report) -> Vec<(&str, u64)> {
    let peak = |call: &CallReport| call.peak_bytes.unwrap();
    let calls = report.calls.iter();
    calls
        .map(|call| (call.id.as_deref().unwrap(), peak(call)))
        .collect()
}

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
fn measuring_around_scopes_that_are_left_without_an_open_call() {
    let trace = Trace::new();
    let around = measure(|| {
        let scope = trace.inject();
        spike(200);
        drop(scope);
        let between = measure(|| spike(50));
        assert_eq!(between.peak_bytes, Some(50));
        let scope = trace.inject();
        spike(300);
        let call = call!("call");
        spike(100);
        call.stop();
        drop(scope);
    });
    assert_eq!(around.counts, Some(spikes(&[200, 50, 300, 100])));
    assert_eq!(around.peak_bytes, Some(300));
    assert_eq!(peaks(&trace.report()), [("call", 100)]);
}

#[test]
fn measuring_from_within_a_scope_to_behind_the_next_one() {
    let trace = Trace::new();
    let scope = trace.inject();
    spike(500);
    let mut measuring = Measuring::start();
    spike(300);
    drop(scope);
    let between = measure(|| spike(50));
    assert_eq!(between.peak_bytes, Some(50));
    let scope = trace.inject();
    let call = call!("call");
    spike(200);
    call.stop();
    drop(scope);
    let measured = measuring.stop();
    assert_eq!(measured.counts, Some(spikes(&[300, 50, 200])));
    assert_eq!(measured.peak_bytes, Some(300));
    assert_eq!(peaks(&trace.report()), [("call", 200)]);
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
