//! Capacity and limits of a trace, and constant memory in a long one.

use tracer::{Limits, Trace, call};

use crate::boxes::boxes;
use crate::folded::branch;

#[test]
fn growth_beyond_the_capacity_is_reported() {
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

#[test]
fn huge_limits_take_only_the_memory_that_is_used() {
    let limits = Limits::default()
        .calls(usize::MAX)
        .strands(usize::MAX)
        .text_bytes(usize::MAX);
    let trace = Trace::with_limits(usize::MAX, limits);
    let scope = trace.inject();
    branch(3);
    drop(scope);
    let report = trace.report();
    assert_eq!((report.calls.len(), report.folded.len()), (4, 0));
    assert_eq!((report.memory_bytes, report.grown), (4096, 0));
}

#[test]
fn texts_beyond_the_limit_are_cut() {
    let trace = Trace::with_limits(10, Limits::default().text_bytes(100));
    let scope = trace.inject();
    let long = "é".repeat(40);
    for _ in 0..2 {
        let call = call!("{long}");
        call.checkpoint("short");
    }
    let call = call!(first = long, second = 2);
    call.checkpoint(&long);
    call.fail(&long);
    call.stop();
    drop(scope);
    let report = trace.report();
    let cut = "é".repeat(18) + "…";
    assert_eq!(report.calls[0].id.as_deref(), Some(&*long));
    assert_eq!(report.calls[1].id.as_deref(), Some(&*cut));
    assert_eq!(report.calls[2].labels[0].1, "é".repeat(17) + "…");
    assert_eq!(report.calls[2].checkpoints[0].name, cut);
    assert_eq!(report.calls[2].outcome, tracer::Outcome::Failed(cut));
}

/// Memory stays constant in a long trace, such as that of a connection.
#[test]
fn a_trace_that_lasts() {
    let trace = Trace::with_limits(10, Limits::default().calls(100).strands(10));
    let request = || {
        let _scope = trace.inject();
        branch(4);
    };
    (0..100).for_each(|_| request());
    let report = trace.report();
    (0..20_000).for_each(|_| request());
    let after = trace.report();
    assert_eq!(after.memory_bytes, report.memory_bytes);
    assert_eq!(after.folded.len(), report.folded.len());
    assert_eq!(after.total, Some(boxes(20_100 * 7)));
    let calls: u64 = after.folded.iter().map(|it| it.calls).sum();
    assert_eq!(calls + after.calls.len() as u64, 20_100 * 5);
}
