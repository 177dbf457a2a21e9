//! Whether the request of a `TraceLayer` was answered.

use std::future::pending;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::get;
use futures_util::{StreamExt, stream};
use tokio::task::JoinSet;
use tower::ServiceExt;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tracer::recorder::{Policy, Recorder};
use tracing::{Dispatch, Instrument, Level, Subscriber, info_span, instrument};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;

use crate::names;

#[instrument]
async fn slow() {
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

fn router() -> Router {
    let answer = async |Path(status): Path<u16>| StatusCode::from_u16(status).unwrap();
    Router::new()
        .route("/{status}", get(answer))
        .route("/wait", get(pending::<()>))
}

/// Serves requests one after the other, each dropped after 400 ms, with the whole subscriber wrapped. Returns
/// the trees of what was recorded.
fn recorded(router: &Router, filter: &str, paths: &[&str]) -> Vec<String> {
    recorded_with(router, filter, paths, |subscriber| {
        Dispatch::new(tracer::tracing::subscriber(subscriber))
    })
}

fn recorded_with(
    router: &Router,
    filter: &str,
    paths: &[&str],
    dispatch: impl FnOnce(Box<dyn Subscriber + Send + Sync>) -> Dispatch,
) -> Vec<String> {
    let policy = Policy::none().when("all", |_| true);
    let recorder = Recorder::builder().policy(policy).start().unwrap();
    let layer = tracer::tracing::layer().recorder(recorder.clone());
    let subscriber = tracing_subscriber::registry()
        .with(EnvFilter::new(filter))
        .with(layer);
    let _default = tracing::dispatcher::set_default(&dispatch(Box::new(subscriber)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for path in paths {
            let request = Request::get(*path).body(Body::empty()).unwrap();
            let mut served = tokio::spawn(serve(router.clone(), request));
            let wait = Duration::from_millis(400);
            if tokio::time::timeout(wait, &mut served).await.is_err() {
                served.abort();
                let _ = served.await;
            }
        }
    });
    drop(runtime);
    assert!(recorder.flush(Duration::from_secs(10)));
    recorder.kept().iter().rev().map(|it| names(it)).collect()
}

/// As hyper does, reads no body that is known to be empty.
async fn serve(router: Router, request: Request<Body>) {
    let body = router.oneshot(request).await.unwrap().into_body();
    if !http_body::Body::is_end_stream(&body) {
        let mut body = body.into_data_stream();
        while body.next().await.is_some() {}
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
}

const PATHS: &[&str] = &["/wait", "/200", "/500", "/404", "/wait"];
const OUTCOMES: &[&str] = &[
    "request cancelled",
    "request",
    "request failed",
    "request",
    "request cancelled",
];

#[test]
fn requests_that_are_dropped_are_cancelled() {
    let router = router().layer(TraceLayer::new_for_http());
    assert_eq!(recorded(&router, "debug", PATHS), OUTCOMES);
}

/// As `sqlx` does with each query: the span of the request is cloned, and entered inside itself.
#[test]
fn a_future_in_the_current_span_is_no_response() {
    let waits = async || pending::<()>().in_current_span().await;
    let answers = async || async {}.in_current_span().await;
    let router = Router::new()
        .route("/wait", get(waits))
        .route("/200", get(answers))
        .layer(TraceLayer::new_for_http());
    assert_eq!(
        recorded(&router, "debug", &["/wait", "/200", "/wait"]),
        ["request cancelled", "request", "request cancelled"]
    );
}

/// A layer is not told of handles, so it does not know that `/wait` was not answered.
#[test]
fn without_the_wrapper_dropped_requests_look_answered() {
    let router = router().layer(TraceLayer::new_for_http());
    let shown = recorded_with(&router, "debug", PATHS, Dispatch::new);
    let failed = "request failed";
    assert_eq!(shown, ["request", "request", failed, "request", "request"]);
}

/// The event of a response has the level `DEBUG`, and that of a failure `ERROR`.
#[test]
fn a_filter_hides_the_responses() {
    let span = DefaultMakeSpan::new().level(Level::INFO);
    let layer = TraceLayer::new_for_http().make_span_with(span);
    assert_eq!(recorded(&router().layer(layer), "info", PATHS), OUTCOMES);
}

#[test]
fn a_layer_tells_no_responses() {
    let layer = TraceLayer::new_for_http().on_response(());
    let other = Router::new().route("/other/200", get(async || ()));
    let router = router()
        .layer(TraceLayer::new_for_http())
        .merge(other.layer(layer));
    let shown = recorded(&router, "debug", &["/other/200", "/200", "/other/200"]);
    assert_eq!(shown, ["request"; 3]);
}

/// The layer drops its future after the response, outside of its span.
#[test]
fn a_handler_is_dropped_after_a_response() {
    let too_late = StatusCode::REQUEST_TIMEOUT;
    let layer = TimeoutLayer::with_status_code(too_late, Duration::from_millis(20));
    let router = Router::new().route("/", get(slow)).layer(layer);
    let body = async |response: Response| response.map(|_| Body::from("too late"));
    let with_body = router.clone().layer(axum::middleware::map_response(body));
    for router in [router, with_body] {
        let router = router.layer(TraceLayer::new_for_http());
        assert_eq!(
            recorded(&router, "debug", &["/"]),
            ["request\n  slow cancelled"]
        );
    }
}

/// The response is there, and its body is dropped.
#[test]
fn a_body_is_dropped() {
    async fn body() -> Body {
        let rest = stream::once(async {
            slow().await;
            Ok::<_, std::io::Error>("rest")
        });
        Body::from_stream(stream::once(async { Ok("first") }).chain(rest))
    }
    let router = Router::new().route("/", get(body));
    let router = router.layer(TraceLayer::new_for_http());
    let shown = recorded(&router, "debug", &["/"]);
    assert_eq!(shown, ["request cancelled\n  slow cancelled"]);
}

#[instrument]
async fn first() -> &'static str {
    let mut set = JoinSet::new();
    set.spawn(async { "fast" }.instrument(info_span!("fast")));
    let slow = async {
        slow().await;
        "slow"
    };
    set.spawn(slow.instrument(info_span!("slow_one")));
    set.join_next().await.unwrap().unwrap()
    // The other task is aborted here, and its future dropped later.
}

#[instrument]
async fn leaves() {
    let task = tokio::spawn(pending::<()>().instrument(info_span!("task")));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        task.abort();
    });
}

/// Tasks that a handler has left, and that are aborted.
#[test]
fn tasks_are_aborted_after_a_response() {
    let router = Router::new()
        .route("/first", get(first))
        .route("/leaves", get(leaves))
        .layer(TraceLayer::new_for_http());
    let shown = recorded(&router, "debug", &["/first", "/leaves"]);
    assert_eq!(
        shown,
        [
            "request\n  first\n    fast\n    slow_one cancelled\n      slow cancelled",
            "request\n  leaves\n    task cancelled",
        ]
    );
}
