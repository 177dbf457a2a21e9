//! The recorder's layer with other layers above and below it, and retries.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use axum::response::Response;
use tokio::runtime::Runtime;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tracer::recorder::{Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::{Outcome, call};

use crate::PATIENCE;
use crate::server::{Server, app, failed, label, outcome, recorder, request};

#[test]
fn layers_that_make_responses_stand_above_it() {
    let cors = CorsLayer::permissive;
    let timeout =
        || TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(200));
    let json = || ValidateRequestHeaderLayer::accept("application/json");
    let above = |layer| {
        let layers = ServiceBuilder::new()
            .layer(cors())
            .layer(timeout())
            .layer(json())
            .layer(layer);
        app().layer(layers)
    };
    let server = Server::of(above);
    let preflight = server.send(
        "OPTIONS /orders/7",
        b"origin: http://a\r\naccess-control-request-method: GET\r\n",
    );
    assert!(preflight.starts_with("HTTP/1.1 200"), "{preflight}");
    assert!(
        preflight.contains("access-control-allow-origin: *"),
        "{preflight}"
    );
    assert!(preflight.ends_with("\r\n\r\n"), "{preflight}");
    let refused = server.send("GET /orders/7", b"accept: text/html\r\n");
    assert!(refused.starts_with("HTTP/1.1 406"), "{refused}");
    assert!(refused.ends_with("\r\n\r\n"), "{refused}");
    let late = server.send("GET /sleeps", b"");
    assert!(late.starts_with("HTTP/1.1 504"), "{late}");
    let fine = server.send("GET /orders/7", b"x-request-id: 7\r\n");
    assert!(fine.ends_with("\r\n\r\n7"), "{fine}");
    // Requests that the layers above responded to did not reach the recorder.
    let reports = server.ended(2);
    let told: Vec<_> = { reports.iter() }
        .map(|it| (&*request(it).name, outcome(it)))
        .collect();
    assert_eq!(
        told,
        [
            ("GET /sleeps", &Outcome::Cancelled),
            ("GET /orders/{id}", &Outcome::Ok)
        ]
    );

    // With `ServiceBuilder` only, as in front of hyper.
    let recorder = recorder();
    let service = ServiceBuilder::new()
        .layer(cors())
        .layer(timeout())
        .layer(json())
        .layer(RecorderLayer::new(recorder.clone()))
        .service(app());
    let runtime = Runtime::new().unwrap();
    let request = Request::builder().method("OPTIONS").uri("/orders/7");
    let request = request.header("origin", "http://a");
    let request = request.header("access-control-request-method", "GET");
    let answer = runtime.block_on(service.oneshot(request.body(Body::empty()).unwrap()));
    let body = answer.unwrap().into_body();
    assert!(http_body::Body::is_end_stream(&body));
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(0));
    let body = runtime.block_on(axum::body::to_bytes(Body::new(body), 100));
    assert_eq!(body.unwrap(), "");
    let statistics = recorder.statistics();
    assert_eq!((statistics.ended, statistics.in_flight), (0, 0));
}

#[test]
fn timeouts_below_and_above() {
    let timeout =
        || TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(200));
    let server = Server::of(|layer| app().layer(timeout()).layer(layer));
    server.send("GET /sleeps", b"");
    let report = server.only();
    assert_eq!(*outcome(&report), failed("504 Gateway Timeout"));
    assert_eq!(report.calls[0].outcome, Outcome::Cancelled);
    let server = Server::of(|layer| app().layer(layer).layer(timeout()));
    server.send("GET /sleeps", b"");
    let report = server.only();
    assert_eq!(
        (outcome(&report), label(&report, "status")),
        (&Outcome::Cancelled, "")
    );
}

/// Retries once if the first attempt failed.
#[derive(Clone)]
struct Again;

impl<R: Clone, E> tower::retry::Policy<R, Response, E> for Again {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut R, result: &mut Result<Response, E>) -> Option<Self::Future> {
        let is_error = result
            .as_ref()
            .is_ok_and(|it| it.status().is_server_error());
        is_error.then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &R) -> Option<R> {
        Some(request.clone())
    }
}

#[test]
fn retries_below_are_in_one_trace_and_above_each_in_its_own() {
    let runtime = Runtime::new().unwrap();
    let policy = Policy::none().when("all", |_| true);
    let recorder = Recorder::builder().policy(policy).start().unwrap();
    let has_failed = Arc::new(AtomicBool::new(false));
    let flaky = tower::service_fn(move |_: Request<String>| {
        let is_first = !has_failed.fetch_xor(true, Relaxed);
        async move {
            let _call = call!("attempt");
            let status = if is_first {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::OK
            };
            Ok::<_, Infallible>(status.into_response())
        }
    });
    let record = RecorderLayer::new(recorder.clone());
    let below = ServiceBuilder::new()
        .layer(record.clone())
        .retry(Again)
        .service(flaky.clone());
    let answer = runtime
        .block_on(below.oneshot(Request::new(String::new())))
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    drop(answer);
    let as_before = tower::util::MapResponseLayer::new(|it: Response<_>| it.map(Body::new));
    let above = ServiceBuilder::new()
        .retry(Again)
        .layer(as_before)
        .layer(record)
        .service(flaky);
    let answer = runtime
        .block_on(above.oneshot(Request::new(String::new())))
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    drop(answer);
    assert!(recorder.flush(PATIENCE));
    let mut kept = recorder.kept();
    kept.reverse();
    let told: Vec<_> = kept
        .iter()
        .map(|it| (outcome(it), it.calls.len()))
        .collect();
    assert_eq!(
        told,
        [
            (&Outcome::Ok, 2),
            (&failed("503 Service Unavailable"), 1),
            (&Outcome::Ok, 1)
        ]
    );
}
