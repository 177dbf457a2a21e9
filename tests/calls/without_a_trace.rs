//! Traces that are empty or were never injected, and code that runs without a trace.

use std::time::Duration;

use tracer::alloc::{Counts, measure};
use tracer::{Call, Report, Trace, call};

use crate::texts::Broken;

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
fn a_trace_that_was_never_injected_is_empty() {
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
