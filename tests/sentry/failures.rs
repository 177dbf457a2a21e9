//! Kept failures as events.

use std::sync::Arc;

use sentry_core::Level;
use tracer::call;
use tracer::recorder::{Policy, Recorder};
use tracer::sentry::kept_failures;
use tracer::{Outcome, TraceId};

use crate::{PATIENCE, Sentry};

/// Starts a recorder of all requests, whose failures become events.
fn recorder(sentry: &Sentry) -> Recorder {
    let recorder = Recorder::builder()
        .policy(Policy::none().when("all", |_| true))
        .callback("sentry", kept_failures(Arc::clone(&sentry.hub)))
        .start()
        .unwrap();
    sentry.bind(&recorder);
    recorder
}

fn query(id: u64) {
    call!("{id}").fail(&format!("no row for {id}"));
}

#[test]
fn a_kept_failure_is_an_event() {
    let sentry = Sentry::unbound();
    let recorder = recorder(&sentry);
    for outcome in [None, Some(Outcome::Cancelled)] {
        let mut request = recorder.begin("GET /fine");
        request.outcome(outcome.unwrap_or(Outcome::Ok));
    }
    let mut request = recorder.begin("GET /orders/{id}");
    request.id("ca7a87c4");
    {
        let _scope = request.inject();
        let _outer = call!("outer");
        query(7);
    }
    request.fail("order 7: no row");
    request.finish();
    assert!(recorder.flush(PATIENCE));
    let captured = sentry.captured();
    let [captured] = &captured[..] else {
        panic!("{} events", captured.len());
    };
    let kept = recorder.kept();
    let kept = kept.iter().find(|it| it.calls.len() == 2).unwrap();
    let event = &captured.event;
    assert_eq!(event.level, Level::Error);
    assert_eq!(event.transaction.as_deref(), Some("GET /orders/{id}"));
    assert_eq!(event.logger.as_deref(), Some("tracer"));
    assert_eq!(event.exception.len(), 1);
    let exception = &event.exception[0];
    assert_eq!(
        (&*exception.ty, exception.value.as_deref()),
        ("request failed", Some("order 7: no row"))
    );
    assert_eq!(
        *event.fingerprint,
        [
            "tracer",
            "GET /orders/{id}",
            "sentry::failures::query",
            "order #: no row"
        ]
    );
    assert_eq!(
        captured.tags(),
        [("request_id", "ca7a87c4"), ("route", "GET /orders/{id}")]
    );
    let request = kept.request.as_ref().unwrap();
    assert_eq!(event.timestamp, kept.started + request.wall);
    let facts = captured.facts();
    assert_eq!(facts["kept_because"][0], "all");
    assert_eq!(facts["trace"], kept.trace);
    let trace = captured.trace();
    assert_eq!(
        trace.trace_id.to_string(),
        kept.trace_id.unwrap().to_string()
    );
    assert_eq!(trace.span_id.to_string(), kept.span_id.unwrap().to_string());
    assert_eq!(trace.parent_span_id, None);
    assert_eq!(captured.tree(), kept.tree().to_string());
}

#[test]
fn failures_that_differ_in_ids_are_one_issue() {
    let sentry = Sentry::unbound();
    let recorder = recorder(&sentry);
    let fail = |route: &str, id: u64| {
        let request = recorder.begin(route);
        let _scope = request.inject();
        query(id);
    };
    fail("a", 1);
    fail("a", 2);
    fail("b", 1);
    recorder.begin("a").outcome(Outcome::Panicked);
    assert!(recorder.flush(PATIENCE));
    let captured = sentry.captured();
    let prints: Vec<_> = captured
        .iter()
        .map(|it| it.event.fingerprint.join(" | "))
        .collect();
    assert_eq!(
        prints,
        [
            "tracer | a | sentry::failures::query | no row for #",
            "tracer | a | sentry::failures::query | no row for #",
            "tracer | b | sentry::failures::query | no row for #",
            "tracer | a |  | panicked",
        ]
    );
    assert_eq!(captured[3].event.exception[0].ty, "request panicked");
    assert!(
        captured.iter().all(|it| it.attachments.len() == 1),
        "each has its own tree"
    );
}

#[test]
fn the_caller_of_a_continued_trace_is_its_parent() {
    let sentry = Sentry::unbound();
    let recorder = recorder(&sentry);
    let mut request = recorder.begin("GET /");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let context: tracer::propagation::TraceContext = parent.parse().unwrap();
    request.trace().continue_from(&context);
    request.fail("why");
    request.finish();
    assert!(recorder.flush(PATIENCE));
    let captured = sentry.captured();
    let trace = captured[0].trace();
    let trace_id: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
    assert_eq!(trace.trace_id.to_string(), trace_id.to_string());
    assert_eq!(
        trace.parent_span_id.unwrap().to_string(),
        "00f067aa0ba902b7"
    );
}

#[test]
fn the_last_handle_ends_the_recorder_after_its_failures_are_captured() {
    let sentry = Sentry::unbound();
    let recorder = recorder(&sentry);
    for _ in 0..50 {
        recorder.begin("GET /").fail("why");
    }
    // The client, with its integration, is still there.
    drop(recorder);
    assert_eq!(sentry.captured().len(), 50);
}

#[test]
fn without_a_client_nothing_happens() {
    let sentry = Sentry::unbound();
    let recorder = recorder(&sentry);
    sentry.hub.bind_client(None);
    recorder.begin("GET /").fail("why");
    assert!(recorder.flush(PATIENCE));
    assert_eq!(recorder.statistics().sinks[0].taken, 1);
    assert!(sentry.captured().is_empty());
}

#[test]
fn hostile_failures_are_bounded() {
    let sentry = Sentry::unbound();
    let recorder = recorder(&sentry);
    let hostile = "\u{1b}[2J\n\"ü<7>".repeat(1000);
    recorder.begin(&hostile).fail(&hostile);
    assert!(recorder.flush(PATIENCE));
    let captured = sentry.captured();
    let event = &captured[0].event;
    for text in event.fingerprint.iter() {
        assert!(text.len() <= 1024, "{}", text.len());
    }
    let message = event.exception[0].value.as_ref().unwrap();
    assert!(message.len() <= 1024);
    let transaction = event.transaction.as_ref().unwrap();
    assert!(transaction.chars().count() <= 200 && !transaction.contains('\n'));
    assert!(captured[0].tree().len() <= 64 << 10);
}
