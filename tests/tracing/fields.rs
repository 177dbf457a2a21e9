//! Fields are ids and labels, events are checkpoints and failures.

use std::fmt;
use std::sync::OnceLock;

use tracer::{Outcome, Report};
use tracing::callsite::{Callsite, Identifier};
use tracing::field::{Empty, FieldSet};
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Span, error, info, info_span, warn};

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

/// A place in the code with ten thousand fields, `f0` to `f9999`, and one of them the id.
struct Many(OnceLock<Metadata<'static>>);

static MANY: [Many; 2] = [const { Many(OnceLock::new()) }; 2];

impl Callsite for Many {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.0.get().unwrap()
    }
}

/// Returns the metadata of a span or an event with ten thousand fields.
fn many(kind: Kind) -> &'static Metadata<'static> {
    let many = &MANY[usize::from(kind == Kind::EVENT)];
    many.0.get_or_init(|| {
        let names = (0..10_000).map(|number| match number {
            5 => "request_id",
            _ => &*Box::leak(format!("f{number}").into_boxed_str()),
        });
        let names: Vec<_> = names.collect();
        let fields = FieldSet::new(names.leak(), Identifier(many));
        Metadata::new(
            "many",
            "fields",
            Level::INFO,
            None,
            None,
            None,
            fields,
            kind,
        )
    })
}

#[test]
fn ten_thousand_fields() {
    let value = "v".repeat(10);
    let values = vec![Some(&value as &dyn tracing::Value); 10_000];
    let report = recorded(|| {
        let metadata = many(Kind::SPAN);
        let fields = metadata.fields();
        let span = Span::new(metadata, &fields.value_set_all(&values));
        span.in_scope(|| {
            let metadata = many(Kind::EVENT);
            Event::dispatch(metadata, &metadata.fields().value_set_all(&values));
        });
        span.record_all(&fields.value_set_all(&values));
    });
    assert_eq!((report.calls.len(), report.dropped), (1, 1));
    let call = &report.calls[0];
    assert_eq!(call.id.as_deref(), Some("vvvvvvvvvv"));
    assert_eq!(call.labels.len(), 63);
    assert!(call.labels.iter().all(|(_, label)| *label == value));
    let names: Vec<_> = call.labels.iter().map(|(name, _)| &**name).collect();
    assert_eq!((names[4], names[5], names[62]), ("f4", "f6", "f63"));
    let checkpoint = &call.checkpoints[0].name;
    assert!(checkpoint.starts_with("f0=vvvvvvvvvv f1=vvvvvvvvvv "));
    assert!(checkpoint.len() <= 1024 && checkpoint.ends_with('…'));
}

#[test]
fn a_field_recorded_ten_thousand_times() {
    let record = |span: &Span| {
        for count in 0..10_000 {
            span.record("status", count);
        }
    };
    let report = recorded(|| {
        let span = info_span!("before", status = Empty, rows = 3);
        record(&span);
        span.in_scope(|| ());
        let span = info_span!("inside", status = Empty, rows = 3);
        span.in_scope(|| record(&span));
        info_span!("after", rows = 3).in_scope(|| ());
    });
    assert_eq!((report.calls.len(), report.dropped), (3, 0));
    assert_eq!(labels(&report, 0), [("status", "9999"), ("rows", "3")]);
    assert_eq!(labels(&report, 1), [("status", "9999"), ("rows", "3")]);
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
