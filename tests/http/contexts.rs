//! `TraceContext`, and `inject` into headers: without a recorder and a server.

use axum::http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use tracer::Trace;
use tracer::propagation::{TraceContext, inject, note_kept};

const VALID: &str = "00-12345678901234567890123456789012-1234567890123456-00";

#[test]
fn without_a_trace_nothing_is_written() {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_static(VALID));
    inject(&mut headers);
    note_kept(&headers);
    assert_eq!(
        (headers.len(), &headers["traceparent"]),
        (1, &HeaderValue::from_static(VALID))
    );
    assert_eq!(TraceContext::current(), None);
    let _scope = Trace::empty().inject();
    inject(&mut headers);
    assert_eq!(headers.len(), 1);
}

#[test]
fn what_was_there_is_replaced() {
    let trace = Trace::new();
    let _scope = trace.inject();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("traceparent", VALID),
        ("traceparent", VALID),
        ("tracestate", "foo=1"),
        ("tracestate", "bar=2"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    inject(&mut headers);
    assert_eq!(headers.len(), 2);
    let (id, span) = (trace.trace_id().unwrap(), trace.span_id().unwrap());
    assert_eq!(headers["traceparent"], format!("00-{id}-{span}-02"));
    assert_eq!(headers["tracestate"], format!("tracer={span}"));
}

#[test]
fn a_trace_that_begins_here_is_sampled_if_that_is_set() {
    let flags = |trace: &Trace| {
        let _scope = trace.inject();
        let sent = TraceContext::current().unwrap();
        (sent.to_string().split_off(53), sent.is_sampled())
    };
    for (is_sampled, expected) in [(false, "02"), (true, "03")] {
        let trace = Trace::builder().sampled(is_sampled).build();
        assert_eq!(flags(&trace), (expected.to_owned(), is_sampled));
        // That is kept of one that was received.
        for received in ["00", "01", "02", "03"] {
            let context: TraceContext = VALID
                .replace("-00", &format!("-{received}"))
                .parse()
                .unwrap();
            let trace = Trace::builder().sampled(is_sampled).build();
            assert!(trace.continue_from(&context));
            assert_eq!(flags(&trace).0, received);
        }
    }
    // Its memory is used again.
    drop(Trace::builder().sampled(true).build());
    assert_eq!(flags(&Trace::new()).0, "02");
}

#[test]
fn a_trace_continues_one_other() {
    let context: TraceContext = VALID.parse().unwrap();
    let context = context.with_tracestate("foo=1");
    let other: TraceContext = VALID.replace("12345678901", "abcdef78901").parse().unwrap();
    let trace = Trace::new();
    assert!(trace.continue_from(&context));
    assert!(!trace.continue_from(&other));
    let here = trace.clone();
    let there = std::thread::spawn(move || {
        let _scope = here.inject();
        TraceContext::current().unwrap()
    });
    let there = there.join().unwrap();
    assert_eq!(
        (there.trace_id(), there.tracestate()),
        (context.trace_id(), "foo=1")
    );
    assert_eq!(there.span_id(), trace.report().span_id.unwrap());
    assert!(!Trace::empty().continue_from(&context));
    // The next trace has the memory of this one, and nothing of its caller.
    drop(trace);
    for _ in 0..100 {
        let next = Trace::new();
        let _scope = next.inject();
        let sent = TraceContext::current().unwrap();
        assert_ne!(sent.trace_id(), context.trace_id());
        assert_eq!((sent.tracestate(), next.report().parent_span), ("", None));
    }
}

#[test]
fn what_is_no_traceparent_is_named() {
    for (text, expected) in [
        ("00", "has 2 bytes: expected 55"),
        (
            &*VALID.replacen("00", "ff", 1),
            "has no version: expected two lower-case hexadecimal digits other than ff",
        ),
        (
            &VALID.replacen('-', "_", 2),
            "has no dash as character 3: expected 00-TRACE_ID-SPAN_ID-FLAGS",
        ),
        (
            &VALID.replacen("12", "AB", 1),
            "is malformed: the trace id has 'A' as character 1: expected 32 lower-case hexadecimal digits",
        ),
        (
            &VALID.replace("-1234567890123456-", "-0000000000000000-"),
            "is malformed: the span id is all zeros: expected another digit among the 16",
        ),
        (
            &VALID.replace("-00", "-0x"),
            "has no flags: expected two lower-case hexadecimal digits as characters 54 and 55",
        ),
        (
            &format!("{VALID}-"),
            "goes on after character 55: expected its end, or a dash in a later version",
        ),
    ] {
        let error = text.parse::<TraceContext>().unwrap_err();
        assert_eq!(error.to_string(), format!("the traceparent {expected}"));
    }
}

/// Reads a `traceparent` as the specification's text says it, step by step.
fn oracle(text: &str) -> Option<(u128, u64, u8)> {
    let text = text.trim_matches([' ', '\t']);
    let is_hex = |part: &str| {
        part.bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
    };
    let field = |range: std::ops::Range<usize>| text.get(range).filter(|it| is_hex(it));
    let is_dash = |at: usize| text.get(at..=at) == Some("-");
    let version = u8::from_str_radix(field(0..2)?, 16).ok()?;
    let ends = text.len() == 55 || version > 0 && is_dash(55);
    if version == 255 || !is_dash(2) || !is_dash(35) || !is_dash(52) || !ends {
        return None;
    }
    let trace = u128::from_str_radix(field(3..35)?, 16).ok()?;
    let parent = u64::from_str_radix(field(36..52)?, 16).ok()?;
    let flags = u8::from_str_radix(field(53..55)?, 16).ok()?;
    (trace != 0 && parent != 0).then_some((trace, parent, flags & 3))
}

fn read(text: &str) -> Option<(u128, u64, u8)> {
    let context: TraceContext = text.parse().ok()?;
    let written = context.to_string();
    assert_eq!(written.parse(), Ok(context.clone()));
    let flags = u8::from_str_radix(&written[53..], 16).unwrap();
    assert_eq!(context.is_sampled(), flags & 1 == 1);
    Some((
        context.trace_id().to_bits(),
        context.span_id().to_bits(),
        flags,
    ))
}

proptest! {
    #[test]
    fn any_text_is_read_as_the_specification_says(text in any::<String>()) {
        assert_eq!(read(&text), oracle(&text));
    }

    #[test]
    fn almost_valid_ones_too(
        version in "[0-9a-f]{2}", trace in any::<u128>(), parent in any::<u64>(), flags in "[0-9a-fA-G]{2}",
        rest in "(|-|-x|\\.| )", at in 0..56_usize, other in "(|[ -~]|é)", is_changed in any::<bool>(),
    ) {
        let mut text = format!("{version}-{trace:032x}-{parent:016x}-{flags}{rest}");
        if is_changed && at < text.len() {
            text.replace_range(at..=at, &other);
        }
        assert_eq!(read(&text), oracle(&text));
    }

    #[test]
    fn any_tracestate_is_bounded_and_well_formed(text in "([a-z0-9@=, \\t~A]{0,40},){0,40}") {
        let context: TraceContext = VALID.parse().unwrap();
        let once = context.with_tracestate(&text);
        let kept = once.tracestate();
        assert!(kept.len() <= 512 && kept.split(',').count() <= 31);
        assert!(kept.is_empty() || kept.split(',').all(|it| text.contains(it)));
        assert_eq!(once.clone().with_tracestate(kept).tracestate(), kept);
    }
}
