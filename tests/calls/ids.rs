//! The ids by which other services know a trace and its calls.

use std::collections::HashSet;

use tracer::{Limits, ParseIdError, SpanId, Trace, TraceId, call, fetch};

#[test]
fn a_trace_has_one_id_in_its_handles_and_reports() {
    let trace = Trace::new();
    let id = trace.trace_id().unwrap();
    let scope = trace.inject();
    let elsewhere = fetch();
    let there = std::thread::spawn(move || elsewhere.trace_id());
    assert_eq!(there.join().unwrap(), Some(id));
    assert_eq!(fetch().trace_id(), Some(id));
    drop(scope);
    let report = trace.report();
    assert_eq!((report.trace_id, report.parent_span), (Some(id), None));
    assert_eq!(report.span_id, trace.span_id());
    assert_eq!(fetch().trace_id(), None);
    let empty = Trace::empty().report();
    assert_eq!((empty.trace_id, empty.span_id), (None, None));
}

#[test]
fn traces_and_calls_have_different_ids() {
    let (mut traces, mut spans) = (HashSet::new(), HashSet::new());
    for _ in 0..1000 {
        let trace = Trace::new();
        let scope = trace.inject();
        let around = call!();
        call!().stop();
        around.stop();
        drop(scope);
        let report = trace.report();
        assert!(traces.insert(report.trace_id.unwrap()));
        assert!(spans.insert(report.span_id.unwrap()));
        assert_eq!(report.calls.len(), 2);
        for call in &report.calls {
            assert!(spans.insert(call.span_id.unwrap()));
        }
    }
}

#[test]
fn traces_of_several_threads_have_different_numbers() {
    let numbers = || -> Vec<_> { (0..100).map(|_| Trace::new().id()).collect() };
    let threads = [(); 8].map(|()| std::thread::spawn(numbers));
    let all = threads.into_iter().flat_map(|it| it.join().unwrap());
    let different: HashSet<_> = all.collect();
    assert!(different.len() == 800 && !different.contains(&Trace::empty().id()));
}

#[test]
fn the_innermost_open_call_is_the_span_of_this_moment() {
    let trace = Trace::new();
    let scope = trace.inject();
    let mut seen = vec![fetch().span_id()];
    let outer = call!("outer");
    seen.push(fetch().span_id());
    let inner = call!("inner");
    seen.push(fetch().span_id());
    inner.stop();
    assert_eq!(fetch().span_id(), seen[1]);
    let here = fetch();
    let below = std::thread::spawn(move || {
        let _scope = here.inject();
        let before = fetch().span_id();
        let _call = call!("below");
        [before, fetch().span_id()]
    });
    let [before, below] = below.join().unwrap();
    assert_eq!(before, seen[1]);
    outer.stop();
    drop(scope);
    let report = trace.report();
    let calls = report.calls.iter().map(|call| call.span_id);
    let expected: Vec<_> = [report.span_id].into_iter().chain(calls).collect();
    seen.push(below);
    assert_eq!(seen, expected);
}

#[test]
fn a_folded_call_has_the_id_of_the_recorded_one_around() {
    let trace = Trace::with_limits(10, Limits::default().calls(1).strands(1));
    let scope = trace.inject();
    let recorded = call!("recorded");
    let id = fetch().span_id();
    let folded = call!("folded");
    let deeper = call!("deeper");
    assert_eq!(fetch().span_id(), id);
    let below = fetch();
    let in_strand = std::thread::spawn(move || {
        let _scope = below.inject();
        let _call = call!("in a folding strand");
        fetch().span_id()
    });
    assert_eq!(in_strand.join().unwrap(), id);
    drop((deeper, folded, recorded, scope));
    let report = trace.report();
    assert_eq!((report.calls.len(), report.calls[0].span_id), (1, id));
    assert_eq!(report.folded.len(), 3);
}

#[test]
fn ids_are_read_as_they_are_written() {
    let trace: TraceId = "00000000000000000000000000000001".parse().unwrap();
    assert_eq!((trace.to_bits(), TraceId::new(1)), (1, Some(trace)));
    let span: SpanId = "fedcba9876543210".parse().unwrap();
    assert_eq!(span.to_bytes()[0], 0xfe);
    assert_eq!(SpanId::from_bytes(span.to_bytes()), Some(span));
    assert_eq!(TraceId::from_bytes(trace.to_bytes()), Some(trace));
    assert_eq!(format!("{span:>18}"), "  fedcba9876543210");
    assert_eq!(format!("{span:?}"), "SpanId(fedcba9876543210)");
    assert_eq!((TraceId::new(0), SpanId::new(0)), (None, None));
}

#[test]
fn what_is_no_id_is_named() {
    let why = |error: ParseIdError| error.to_string();
    for (text, expected) in [
        (
            "",
            "has 0 characters: expected 16 lower-case hexadecimal digits",
        ),
        (
            "0123456789abcdeé",
            "has 'é' as character 16: expected 16 lower-case hexadecimal digits",
        ),
        (
            "0123456789abcdef0",
            "has 17 characters: expected 16 lower-case hexadecimal digits",
        ),
        (
            "\u{202e}123456789abcdef",
            "has '\\u{202e}' as character 1: expected 16 lower-case hexadecimal digits",
        ),
        (
            "0000000000000000",
            "is all zeros: expected another digit among the 16",
        ),
    ] {
        let error = text.parse::<SpanId>().unwrap_err();
        assert_eq!(why(error), format!("the span id {expected}"));
    }
    let error = "4BF92F3577B34DA6A3CE929D0E0E4736".parse::<TraceId>();
    assert_eq!(
        why(error.unwrap_err()),
        "the trace id has 'B' as character 2: expected 32 lower-case hexadecimal digits"
    );
}
