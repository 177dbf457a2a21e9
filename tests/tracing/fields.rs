//! Fields are ids and labels, events are checkpoints and failures.

use std::fmt;

use tracer::{Outcome, Report};
use tracing::field::Empty;
use tracing::{Level, error, info, info_span, warn};

use crate::{recorded, recorded_by, with_layer};

fn labels(report: &Report, call: usize) -> Vec<(&str, &str)> {
    let labels = &report.calls[call].labels;
    labels
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect()
}

#[test]
fn fields_are_labels_and_one_is_the_id() {
    let report = recorded(|| {
        let _span =
            info_span!("span", rows = 3, request_id = "4f1c", user = ?Some("ada"), empty = Empty)
                .entered();
    });
    assert_eq!(report.calls[0].id.as_deref(), Some("4f1c"));
    assert_eq!(
        labels(&report, 0),
        [("rows", "3"), ("user", "Some(\"ada\")")]
    );
    assert_eq!(
        (
            &*report.calls[0].module,
            report.calls[0].file.ends_with("fields.rs")
        ),
        ("tracing::fields", true)
    );
}

#[test]
fn fields_may_be_recorded_later() {
    let report = recorded(|| {
        let span = info_span!("span", rows = Empty, request_id = Empty, status = "none");
        span.record("rows", 3);
        span.in_scope(|| {
            span.record("request_id", "4f1c");
            span.record("status", "x".repeat(100).as_str());
            span.record("status", "done");
        });
    });
    assert_eq!(report.calls[0].id.as_deref(), Some("4f1c"));
    assert_eq!(labels(&report, 0), [("rows", "3"), ("status", "done")]);
}

#[test]
fn the_id_field_can_be_named() {
    let subscriber = with_layer(tracer::tracing::layer().id_field("order"));
    let report = recorded_by(subscriber, || {
        info_span!("span", id = 1, order = 2).in_scope(|| ());
    });
    assert_eq!(report.calls[0].id.as_deref(), Some("2"));
    assert_eq!(labels(&report, 0), [("id", "1")]);
}

#[test]
fn long_fields_are_cut() {
    let report = recorded(|| {
        let _span = info_span!("span", long = "x".repeat(1 << 20)).entered();
    });
    let long = &report.calls[0].labels[0].1;
    assert!(long.len() <= 1024 && long.ends_with("x…"), "{}", long.len());
}

struct Hostile;

impl fmt::Debug for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info_span!("inside").in_scope(|| info!("while formatting"));
        f.write_str("half")?;
        panic!("in a Debug");
    }
}

#[test]
fn a_debug_that_opens_spans_and_panics() {
    let report = recorded(|| {
        let span = info_span!("span", hostile = ?Hostile, after = 1);
        span.in_scope(|| info!(value = ?Hostile, "an event"));
    });
    let names: Vec<_> = report.calls.iter().map(|call| &*call.name).collect();
    assert!(names.contains(&"span"), "{names:?}");
    let span = names.iter().position(|name| *name == "span").unwrap();
    assert_eq!(
        labels(&report, span),
        [("hostile", "half(formatting panicked)"), ("after", "1")]
    );
}

#[test]
fn events_are_checkpoints() {
    let report = recorded(|| {
        info_span!("span").in_scope(|| {
            info!(rows = 3, "stored {}", "it");
            tracing::debug!("not shown");
            warn!(slow = true);
        });
    });
    let names: Vec<_> = report.calls[0]
        .checkpoints
        .iter()
        .map(|it| &*it.name)
        .collect();
    assert_eq!(names, ["stored it rows=3", "slow=true"]);
}

#[test]
fn an_error_field_fails_the_span() {
    let report = recorded(|| {
        info_span!("failed").in_scope(|| tracing::debug!(error = %"broken pipe"));
        info_span!("logged").in_scope(|| error!("only logged"));
        info_span!("status", otel.status_code = Empty).in_scope(|| {
            tracing::Span::current().record("otel.status_code", "ERROR");
        });
    });
    let outcomes: Vec<_> = report
        .calls
        .iter()
        .map(|call| call.outcome.clone())
        .collect();
    let failed = |why: &str| Outcome::Failed(why.to_owned());
    assert_eq!(
        outcomes,
        [
            failed("broken pipe"),
            Outcome::Ok,
            failed("otel.status_code")
        ]
    );
}

#[test]
fn a_level_may_fail_the_span() {
    let subscriber = with_layer(
        tracer::tracing::layer()
            .failures(Level::WARN)
            .checkpoints(tracing::level_filters::LevelFilter::OFF),
    );
    let report = recorded_by(subscriber, || {
        info_span!("span").in_scope(|| warn!(disk = 3, "disk is full"));
    });
    assert_eq!(
        report.calls[0].outcome,
        Outcome::Failed("disk is full disk=3".to_owned())
    );
    assert!(report.calls[0].checkpoints.is_empty());
}
