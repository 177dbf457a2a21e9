//! Spans of `tracing`, with the layer that makes calls of them and with others.

use std::future::{Future as _, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracer_benches::requests::{in_span, record_elsewhere, traced};
use tracing::Instrument as _;
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

pub(crate) fn as_call_in_wrapped() -> u64 {
    tracer::tracing::subscriber(Registry::default().with(tracer::tracing::layer())).init();
    within(SPANS, in_traced_span, |_| span())
}

pub(crate) fn in_wrapped_with_no_trace() -> u64 {
    tracer::tracing::subscriber(Registry::default().with(tracer::tracing::layer())).init();
    within(SPANS, in_span, |_| span())
}

struct Empty;
impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Empty {}

/// A bare registry never frees its spans: it is told by a layer when they are closed.
pub(crate) fn with_empty_layer() -> u64 {
    Registry::default().with(Empty).init();
    within(SPANS, in_span, |_| span())
}

/// Entered at each poll, and once more to drop the future.
fn pending_in_span() {
    let mut is_ready = false;
    let future = poll_fn(move |_| {
        if std::mem::replace(&mut is_ready, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    let mut future = pin!(future.instrument(tracing::info_span!("span")));
    let mut context = Context::from_waker(Waker::noop());
    while future.as_mut().poll(&mut context).is_pending() {}
}

pub(crate) fn around_future() -> u64 {
    Registry::default().with(tracer::tracing::layer()).init();
    within(SPANS, in_traced_span, |_| pending_in_span())
}

pub(crate) fn around_future_with_empty_layer() -> u64 {
    Registry::default().with(Empty).init();
    within(SPANS, in_span, |_| pending_in_span())
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
