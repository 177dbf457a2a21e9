//! The layers of `tracing-opentelemetry` and of `fmt` beside ours, in a wrapped subscriber.

#[path = "../../common/written.rs"]
mod written;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracer::Trace;
use tracer::tracing::WithTrace;
use tracer_libraries::{allocate, run, tree, workers};
use tracing::{Dispatch, Instrument, Span, dispatcher, info, info_span, instrument};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Registry, fmt, prelude::*};
use written::Written;

/// Keeps the spans that have ended.
#[derive(Clone, Debug, Default)]
struct Exported(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exported {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Exported {
    /// Returns the spans with the names of their parents, in the order in which they ended.
    fn parents(&self) -> Vec<(String, String)> {
        let spans = self.0.lock().unwrap();
        let names = spans
            .iter()
            .map(|span| (span.span_context.span_id(), span.name.to_string()));
        let names: HashMap<_, _> = names.collect();
        let parent = |id| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        let parents = spans
            .iter()
            .map(|span| (span.name.to_string(), parent(span.parent_span_id)));
        parents.collect()
    }
}

struct Beside {
    dispatch: Dispatch,
    exported: Exported,
    lines: Written,
    provider: SdkTracerProvider,
}

fn beside() -> Beside {
    let exported = Exported::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exported.clone())
        .build();
    let lines = Written::default();
    let writer = lines.clone();
    let log = fmt::layer()
        .without_time()
        .with_ansi(false)
        .with_target(false)
        .with_writer(move || writer.clone())
        .map_event_format(WithTrace::text);
    let subscriber = Registry::default()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("shop")))
        .with(log)
        .with(tracer::tracing::layer());
    Beside {
        dispatch: Dispatch::new(tracer::tracing::subscriber(subscriber)),
        exported,
        lines,
        provider,
    }
}

const REMOTE: &str = "00f067aa0ba902b7";

/// Returns the context of a request that another service has sent.
fn remote() -> opentelemetry::Context {
    let context = SpanContext::new(
        TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").unwrap(),
        SpanId::from_hex(REMOTE).unwrap(),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    opentelemetry::Context::new().with_remote_span_context(context)
}

#[instrument]
async fn order(id: u32) -> TraceId {
    drop(allocate(100));
    tokio::task::yield_now().await;
    let pack = async {
        drop(allocate(10));
        info!("packing");
    };
    tokio::spawn(pack.instrument(info_span!("pack")))
        .await
        .unwrap();
    store().await.unwrap_err();
    Span::current().context().span().span_context().trace_id()
}

#[instrument(err)]
async fn store() -> Result<(), String> {
    Err("the disk is full".to_owned())
}

async fn request() {
    let span = info_span!("request");
    span.set_parent(remote()).unwrap();
    let trace = order(7).instrument(span).await;
    assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[test]
fn all_layers_see_the_spans() {
    let Beside {
        dispatch,
        exported,
        lines,
        provider,
    } = beside();
    let runtime = workers(&dispatch);
    let report = run(&runtime, async {
        request().await;
        let trace = Trace::new();
        Trace::instrument(&trace, request()).await;
        trace.report()
    });
    drop(runtime);
    provider.force_flush().unwrap();
    let expected = [
        ("pack", "order"),
        ("store", "order"),
        ("order", "request"),
        ("request", REMOTE),
    ];
    let expected = expected.map(|(name, parent)| (name.to_owned(), parent.to_owned()));
    assert_eq!(exported.parents(), [&expected[..], &expected[..]].concat());
    let order = "order 7\n    pack\n    store failed: the disk is full\n";
    assert_eq!(tree(&report), format!("request\n  {order}"));
    // The context of `order` is asked for in it.
    let allocates = |name: &str| {
        let call = report.calls.iter().find(|call| call.name == name).unwrap();
        call.self_counts.unwrap().allocates()
    };
    assert_eq!(
        (allocates("request"), allocates("pack"), allocates("store")),
        (0, 1, 1)
    );
    assert!((1..9).contains(&allocates("order")), "{report:#}");
    assert!(report.subscriber.unwrap().allocates() > 30, "{report}");
    let lines = lines.text();
    let order = [
        " INFO request:order{id=7}:pack: packing",
        "ERROR request:order{id=7}:store: error=the disk is full",
    ];
    let number = report.trace;
    let in_trace = order.map(|line| format!("trace={number} {line}"));
    assert_eq!(
        lines.lines().collect::<Vec<_>>(),
        [order.map(str::to_owned), in_trace].concat()
    );
}

#[test]
fn links_and_attributes_of_opentelemetry_reach_its_spans() {
    let Beside {
        dispatch,
        exported,
        provider,
        ..
    } = beside();
    let trace = Trace::new();
    dispatcher::with_default(&dispatch, || {
        let _scope = trace.inject();
        let span = info_span!("span", late = tracing::field::Empty);
        span.set_attribute("set", "by opentelemetry");
        span.add_link(remote().span().span_context().clone());
        span.record("late", "by tracing");
        let context = span.context();
        let inside = info_span!(parent: None, "inside");
        inside.set_parent(context).unwrap();
        span.in_scope(|| inside.in_scope(|| drop(allocate(10))));
    });
    provider.force_flush().unwrap();
    let expected = [("inside", "span"), ("span", "0000000000000000")];
    let expected = expected.map(|(name, parent)| (name.to_owned(), parent.to_owned()));
    assert_eq!(exported.parents(), expected);
    let spans = exported.0.lock().unwrap();
    let value = |key: &str| {
        let mut attributes = spans[1].attributes.iter();
        attributes
            .find(|it| it.key.as_str() == key)
            .map(|it| it.value.to_string())
    };
    assert_eq!(value("set").as_deref(), Some("by opentelemetry"));
    assert_eq!(value("late").as_deref(), Some("by tracing"));
    assert_eq!(spans[1].links.len(), 1);
    let report = trace.report();
    assert_eq!(tree(&report), "span\n  inside\n");
    assert_eq!(
        report.calls[0].labels,
        [("late".into(), "by tracing".to_owned())]
    );
    // What these methods allocate is the program's.
    assert_eq!(
        report.calls[0].total.unwrap().bytes_allocated,
        10,
        "{report:#}"
    );
}
