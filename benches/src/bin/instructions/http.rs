//! A request to an axum router, and the cost that a layer around its routes adds. There is neither a
//! socket nor a runtime, because nothing waits.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use tower::layer::layer_fn;
use tower::util::MapResponse;
use tower_http::trace::TraceLayer;
use tracer::tower::RecorderLayer;
use tracer_benches::requests::answer;
use tracer_benches::workload;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::each;
use crate::requests::{assert_none_kept, recorder};

/// Requests in a portion.
const REQUESTS: u64 = 32;

pub(crate) fn plain() -> u64 {
    answers(router(nothing))
}

pub(crate) fn empty_middleware() -> u64 {
    answers(router(nothing).layer(from_fn(pass)))
}

/// What every layer costs that has a body of its own: axum boxes the service, its future and the body.
pub(crate) fn empty_layer() -> u64 {
    let wrap = |response: Response| response.map(Wrapped);
    answers(router(nothing).layer(layer_fn(move |inner| MapResponse::new(inner, wrap))))
}

/// A body around a body.
struct Wrapped(Body);

impl HttpBody for Wrapped {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

pub(crate) fn trace_layer() -> u64 {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(std::io::sink)
        .init();
    answers(router(nothing).layer(TraceLayer::new_for_http()))
}

pub(crate) fn spans_printed() -> u64 {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(std::io::sink)
        .init();
    answers(router(nine_spans).layer(TraceLayer::new_for_http()))
}

pub(crate) fn spans_recorded() -> u64 {
    let recorder = recorder();
    let layer = tracer::tracing::layer().recorder(recorder.clone());
    tracing_subscriber::registry()
        .with(layer.with_filter(LevelFilter::DEBUG))
        .init();
    let times = answers(router(nine_spans).layer(TraceLayer::new_for_http()));
    assert_none_kept(&recorder);
    times
}

pub(crate) fn recorded() -> u64 {
    in_recorder(router(nothing))
}

pub(crate) fn recorded_with_caller() -> u64 {
    recorded_with("traceparent")
}

pub(crate) fn recorded_with_header() -> u64 {
    recorded_with("x-forwarded")
}

/// Each request has a `traceparent`, under this name.
fn recorded_with(name: &'static str) -> u64 {
    let recorder = recorder();
    let mut router = router(nothing).layer(RecorderLayer::new(recorder.clone()));
    let with_caller = || {
        let mut request = request();
        let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let caller = HeaderValue::from_static(caller);
        request.headers_mut().insert(name, caller);
        request
    };
    let times = each(REQUESTS, with_caller, |request| {
        assert_eq!(answer(&mut router, request), "nothing".len());
    });
    assert_none_kept(&recorder);
    times
}

pub(crate) fn recorded_with_calls() -> u64 {
    in_recorder(router(nine_calls))
}

pub(crate) fn recorded_with_two_checkpoints() -> u64 {
    in_recorder(router(nine_calls_and_two_checkpoints))
}

fn in_recorder(router: Router) -> u64 {
    let recorder = recorder();
    let times = answers(router.layer(RecorderLayer::new(recorder.clone())));
    assert_none_kept(&recorder);
    times
}

fn router<T: 'static>(handler: impl Handler<T, ()>) -> Router {
    Router::new().route("/orders/{id}", get(handler))
}

async fn nothing() -> &'static str {
    "nothing"
}

async fn nine_calls() -> &'static str {
    workload::traced::root();
    "nothing"
}

async fn nine_calls_and_two_checkpoints() -> &'static str {
    workload::traced_with_two_checkpoints::root();
    "nothing"
}

async fn nine_spans() -> &'static str {
    workload::in_tracing::root();
    "nothing"
}

async fn pass(request: Request, next: Next) -> Response {
    next.run(request).await
}

fn answers(mut router: Router) -> u64 {
    each(REQUESTS, request, |request| {
        assert_eq!(answer(&mut router, request), "nothing".len());
    })
}

fn request() -> Request {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = "/orders/42".parse().expect("a path");
    let id = HeaderValue::from_static("ca7a87c4-58d0-4fdf-857c-ef49fc3bf271");
    request.headers_mut().insert("x-request-id", id);
    request
}
