//! Events that the program captures inside and outside of requests.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sentry_core::protocol::Value;
use sentry_core::{Level, TransactionContext, capture_message, configure_scope, start_transaction};
use serde_json::json;
use tracer::alloc::measure;
use tracer::recorder::{Policy, Recorder};
use tracer::{Trace, call};

use crate::common::allocate;
use crate::{PATIENCE, Sentry};

fn recorder() -> Recorder {
    let policy = Policy::none().failed();
    Recorder::builder().policy(policy).start().unwrap()
}

#[test]
fn an_event_has_its_request_and_the_open_calls() {
    let recorder = recorder();
    let sentry = Sentry::new(&recorder);
    let mut spans = None;
    let captured = sentry.run(|| {
        let mut request = recorder.begin("GET /orders/{id}");
        request.id("ca7a87c4");
        let _scope = request.inject();
        allocate(1);
        let outer = call!("order 7");
        allocate(2);
        call!("over").stop();
        let inner = call!();
        inner.checkpoint("connect");
        allocate(3);
        spans = Some((tracer::fetch().trace_id(), tracer::fetch().span_id()));
        capture_message("no database", Level::Error);
        drop((inner, outer));
        request.fail("no database");
    });
    let [captured] = &captured[..] else {
        panic!("{} events", captured.len());
    };
    assert!(recorder.flush(PATIENCE));
    let kept = &recorder.kept()[0];
    let [outer, _, inner] = &kept.calls[..] else {
        panic!("{kept}");
    };

    // The event leads to the kept trace.
    assert_eq!(spans, Some((kept.trace_id, inner.span_id)));
    let trace = captured.trace();
    assert_eq!(
        trace.trace_id.to_string(),
        kept.trace_id.unwrap().to_string()
    );
    assert_eq!(
        trace.span_id.to_string(),
        inner.span_id.unwrap().to_string()
    );
    let parent = trace.parent_span_id.unwrap().to_string();
    assert_eq!(parent, outer.span_id.unwrap().to_string());

    let event = &captured.event;
    assert_eq!(event.transaction.as_deref(), Some("GET /orders/{id}"));
    assert_eq!(
        captured.tags(),
        [("request_id", "ca7a87c4"), ("route", "GET /orders/{id}")]
    );
    let mut facts = captured.facts().clone();
    let is_time = |it: &Value| it.as_f64().is_some_and(|it| (0.0..20_000.0).contains(&it));
    assert!(is_time(&facts.remove("elapsed_ms").unwrap()));
    assert!(facts.remove("allocated_bytes").unwrap().as_u64() > Some(0));
    let open = facts.get_mut("open_calls").unwrap().as_array_mut().unwrap();
    for call in open {
        let call = call.as_object_mut().unwrap();
        assert!(is_time(&call.remove("ms").unwrap()));
        assert!(call.remove("allocated_bytes").unwrap().as_u64() > Some(0));
        let at = call.remove("at").unwrap();
        assert!(
            at.as_str()
                .unwrap()
                .starts_with("tests/sentry/captured.rs:")
        );
        let name = call.remove("name").unwrap();
        assert_eq!(name, "an_event_has_its_request_and_the_open_calls");
    }
    // With what Sentry allocated before it asked.
    let allocations = |facts: &Value| facts["allocations"].as_u64().unwrap();
    let of_inner = allocations(&facts["open_calls"][1]);
    assert!((3..100).contains(&of_inner), "{of_inner}");
    assert_eq!(
        json!(facts),
        json!({
            "trace": kept.trace,
            "trace_id": kept.trace_id.unwrap().to_string(),
            "route": "GET /orders/{id}",
            "request_id": "ca7a87c4",
            "allocations": of_inner + 3,
            "open_calls": [
                {"id": "order 7", "allocations": of_inner + 2},
                {"allocations": of_inner, "checkpoint": "connect"},
            ],
        })
    );
    let tree = captured.tree();
    for expected in ["order 7", "over", "connect", "running"] {
        assert!(tree.contains(expected), "{tree}");
    }
}

#[test]
fn outside_of_requests_events_are_as_they_were() {
    let recorder = recorder();
    let sentry = Sentry::new(&recorder);
    let captured = sentry.run(|| {
        let request = recorder.begin("GET /");
        capture_message("outside", Level::Info);
        drop(request);
        drop(recorder.begin("GET /").inject());
        capture_message("after", Level::Info);
    });
    assert_eq!(captured.len(), 2);
    for it in &captured {
        assert!(it.attachments.is_empty() && it.event.tags.is_empty());
        assert!(it.event.transaction.is_none() && !it.event.contexts.contains_key("tracer"));
    }
}

#[test]
fn a_request_that_outlives_its_recorder_is_found() {
    let recorder = recorder();
    let sentry = Sentry::new(&recorder);
    let captured = sentry.run(|| {
        let request = recorder.begin("GET /late");
        drop(recorder);
        let _scope = request.inject();
        capture_message("why", Level::Error);
    });
    assert_eq!(captured[0].event.tags["route"], "GET /late");
}

#[test]
fn a_trace_without_a_recorder_has_its_ids_only() {
    let sentry = Sentry::new(&recorder());
    let trace = Trace::new();
    let captured = sentry.run(|| {
        let _scope = trace.inject();
        capture_message("why", Level::Error);
    });
    let facts = captured[0].facts();
    assert_eq!(facts["trace"], trace.id());
    assert!(!facts.contains_key("route") && !facts.contains_key("open_calls"));
    assert!(captured[0].event.tags.is_empty());
    let span = captured[0].trace().span_id.to_string();
    assert_eq!(span, trace.report().span_id.unwrap().to_string());
}

#[test]
fn what_the_program_set_stays() {
    let recorder = recorder();
    let sentry = Sentry::new(&recorder);
    let captured = sentry.run(|| {
        let _scope = recorder.begin("GET /").inject();
        configure_scope(|scope| {
            scope.set_tag("route", "mine");
            scope.set_transaction(Some("mine"));
        });
        capture_message("first", Level::Error);
        let transaction = start_transaction(TransactionContext::new("job", "task"));
        configure_scope(|scope| scope.set_span(Some(transaction.clone().into())));
        capture_message("in Sentry's transaction", Level::Error);
    });
    assert_eq!(captured[0].event.tags["route"], "mine");
    assert_eq!(captured[0].event.transaction.as_deref(), Some("mine"));
    let [first, second] = [0, 1].map(|it: usize| captured[it].trace().trace_id.to_string());
    assert_eq!(captured[0].facts()["trace_id"], *first);
    assert_eq!(captured[1].facts()["trace_id"], *first);
    assert_ne!(first, second);
    assert_eq!(captured[1].trace().op.as_deref(), Some("task"));
}

#[test]
fn a_panic_hook_finds_the_request_and_its_calls() {
    let recorder = recorder();
    let sentry = Sentry::new(&recorder);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_of_this_test = panic.payload_as_str() == Some("at the disco");
        if is_of_this_test {
            capture_message("panicked", Level::Fatal);
        } else {
            before(panic);
        }
    }));
    let captured = sentry.run(|| {
        let panics = || {
            let mut request = recorder.begin("GET /panics");
            request.id(7);
            let _scope = request.inject();
            let _call = call!("inside");
            panic!("at the disco");
        };
        catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
    });
    drop(std::panic::take_hook());
    let facts = captured[0].facts();
    assert_eq!(
        (&facts["route"], &facts["request_id"]),
        (&json!("GET /panics"), &json!("7"))
    );
    assert_eq!(facts["open_calls"][0]["id"], "inside");
    assert!(captured[0].tree().contains("inside"));
}

#[test]
fn hostile_and_deep_traces_are_bounded() {
    let recorder = recorder();
    let sentry = Sentry::new(&recorder);
    let hostile = "<script>\u{1b}[2J\n\"\\ü".repeat(500);
    let captured = sentry.run(|| {
        let mut request = recorder.begin(&hostile);
        request.id(&hostile);
        let _scope = request.inject();
        let calls: Vec<_> = (0..3000)
            .map(|_| call!("{hostile}", label = hostile))
            .collect();
        capture_message("why", Level::Error);
        calls.into_iter().rev().for_each(drop);
    });
    let event = &captured[0].event;
    for value in event.tags.values().chain(&event.transaction) {
        assert!(
            value.chars().count() <= 200 && !value.contains(char::is_control),
            "{value:?}"
        );
    }
    let facts = captured[0].facts();
    let open = facts["open_calls"].as_array().unwrap();
    assert_eq!(open.len(), 32);
    assert_eq!(facts["further_open_calls"].as_u64(), Some(3000 - 32));
    assert!(serde_json::to_string(facts).unwrap().len() < 128 << 10);
    for call in open {
        assert!(call["id"].as_str().unwrap().len() <= 1024);
    }
    let tree = captured[0].tree();
    assert!(
        tree.len() <= 64 << 10 && tree.ends_with("\n…\n"),
        "{}",
        tree.len()
    );
    assert!(!tree.contains('\u{1b}'));
}

#[test]
fn what_the_tracer_allocates_for_an_event_is_in_no_figures() {
    let recorder = recorder();
    let sentry = Sentry::new(&recorder);
    sentry.run(|| {
        let _scope = recorder.begin("GET /").inject();
        let capture = || {
            let measured = measure(|| capture_message("why", Level::Error));
            measured.counts.unwrap().allocations
        };
        // So that the list of envelopes has room.
        for _ in 0..40 {
            capture();
        }
        let few = capture();
        for _ in 0..500 {
            call!("a call").stop();
        }
        assert_eq!(capture(), few, "whatever its report takes");
    });
}
