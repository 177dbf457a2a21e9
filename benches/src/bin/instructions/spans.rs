//! Spans of `tracing`, with the layer that makes calls of them and with others.

use std::hint::black_box;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracer_benches::requests::{in_span, record_elsewhere, traced};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::within;

/// A page of records has room for so many calls.
const SPANS: u64 = 28;

fn span() {
    drop(tracing::info_span!("span").entered());
}

fn span_with_field() {
    drop(tracing::info_span!("span", order = black_box(42)).entered());
}

/// In a trace, and as the others inside a span: a registry clones and releases the span around.
fn in_traced_span() -> impl Sized {
    let trace = traced();
    (in_span(), trace)
}

pub(crate) fn as_call() -> u64 {
    Registry::default().with(tracer::tracing::layer()).init();
    within(SPANS, in_traced_span, |_| span())
}

pub(crate) fn as_call_with_label() -> u64 {
    Registry::default().with(tracer::tracing::layer()).init();
    within(SPANS, in_traced_span, |_| span_with_field())
}

pub(crate) fn with_field() -> u64 {
    record_elsewhere();
    within(SPANS, in_span, |_| span_with_field())
}

pub(crate) fn with_no_trace() -> u64 {
    Registry::default().with(tracer::tracing::layer()).init();
    within(SPANS, in_span, |_| span())
}

/// A bare registry never frees its spans: it is told by a layer when they are closed.
pub(crate) fn with_empty_layer() -> u64 {
    struct Empty;
    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Empty {}

    Registry::default().with(Empty).init();
    within(SPANS, in_span, |_| span())
}

pub(crate) fn in_opentelemetry() -> u64 {
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(Nowhere)
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("spans"));
    Registry::default().with(layer).init();
    let times = within(SPANS, in_span, |_| span());
    drop(provider);
    times
}

#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(batch);
        Ok(())
    }
}
