//! Lines of a log, written by `fmt`, with the number of their trace.

use tracer::Trace;
use tracer::tracing::WithTrace;
use tracing::subscriber::with_default;
use tracing::{Instrument, Subscriber, info, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;

use crate::workers;
use crate::written::Written;

/// Returns a subscriber that writes plain text.
fn text(lines: &Written) -> impl Subscriber + Send + Sync + 'static {
    let lines = lines.clone();
    let log = fmt::layer()
        .without_time()
        .with_ansi(false)
        .with_writer(move || lines.clone())
        .map_event_format(WithTrace::text);
    Registry::default().with(tracer::tracing::layer()).with(log)
}

fn inside_and_outside() -> Trace {
    let trace = Trace::new();
    info!("before");
    let scope = trace.inject();
    info!(rows = 3, "inside");
    drop(scope);
    let scope = Trace::empty().inject();
    info!("empty");
    drop(scope);
    trace
}

#[test]
fn a_line_of_text_begins_with_the_number_of_its_trace() {
    let lines = Written::default();
    let id = with_default(text(&lines), inside_and_outside).id();
    assert_eq!(
        lines.text(),
        format!(
            " INFO tracing::log: before\n\
             trace={id}  INFO tracing::log: inside rows=3\n \
             INFO tracing::log: empty\n"
        )
    );
}

#[test]
fn colours_stay() {
    let lines = Written::default();
    let writer = lines.clone();
    let log = fmt::layer()
        .without_time()
        .with_ansi(true)
        .with_writer(move || writer.clone())
        .map_event_format(WithTrace::text);
    let id = with_default(Registry::default().with(log), inside_and_outside).id();
    let inside = format!("\ntrace={id} \u{1b}[32m INFO\u{1b}[0m ");
    assert!(lines.text().contains(&inside), "{}", lines.text());
}

#[test]
fn a_json_object_has_the_number_of_its_trace() {
    let lines = Written::default();
    let writer = lines.clone();
    let log = fmt::layer()
        .json()
        .with_writer(move || writer.clone())
        .map_event_format(WithTrace::json);
    let id = with_default(Registry::default().with(log), inside_and_outside).id();
    let written = lines.text();
    let objects = written.lines().map(|line| {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let message = object["fields"]["message"].as_str().unwrap().to_owned();
        (object["trace"].as_u64(), message)
    });
    let expected = [(None, "before"), (Some(id), "inside"), (None, "empty")];
    let expected = expected.map(|(id, message)| (id, message.to_owned()));
    assert_eq!(objects.collect::<Vec<_>>(), expected);
}

#[test]
fn an_object_without_members_stays_one() {
    let lines = Written::default();
    let writer = lines.clone();
    let log = fmt::layer()
        .json()
        .flatten_event(true)
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(move || writer.clone())
        .map_event_format(WithTrace::json);
    let trace = Trace::new();
    with_default(Registry::default().with(log), || {
        let _scope = trace.inject();
        info!({});
        info!(rows = 3);
    });
    let id = trace.id();
    assert_eq!(
        lines.text(),
        format!("{{\"trace\":{id}}}\n{{\"trace\":{id},\"rows\":3}}\n")
    );
}

#[test]
fn a_spawned_task_with_a_span_has_the_number_of_its_trace() {
    let lines = Written::default();
    let runtime = workers(text(&lines));
    let trace = Trace::new();
    let request = async {
        let task = async { info!("in a task") };
        let with_span = tokio::spawn(task.instrument(info_span!("task")));
        let without = tokio::spawn(async { info!("not in the trace") });
        with_span.await.unwrap();
        without.await.unwrap();
    };
    let request = Trace::instrument(&trace, request);
    runtime.block_on(runtime.spawn(request)).unwrap();
    let written = lines.text();
    let mut written: Vec<_> = written.lines().collect();
    written.sort_unstable();
    let in_task = format!("trace={}  INFO task: tracing::log: in a task", trace.id());
    assert_eq!(written, [" INFO tracing::log: not in the trace", &*in_task]);
}
