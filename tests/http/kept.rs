//! Telling the caller that its request is kept: in the head of the response if it is certain then, or else in the
//! trailers.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, Version};
use axum::response::Response;
use axum::routing::get;
use futures_util::StreamExt;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::runtime::Runtime;
use tower::{Layer, ServiceExt, service_fn};
use tracer::propagation::PropagationLayer;
use tracer::recorder::{Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::{Trace, call};

use crate::common::allocate;
use crate::server::{Server, app, request};

fn server(policy: Policy, app: Router) -> Server {
    Server::with(policy, |layer| app.layer(layer.tell_kept(true)))
}

/// Returns whether the head says that the request is kept.
fn is_told(answer: &str) -> bool {
    // Of a response that breaks off, not even the head may arrive.
    let head = answer
        .split_once("\r\n\r\n")
        .map_or(answer, |(head, _)| head);
    assert!(head.matches("tracer-kept").count() <= 1, "{head}");
    head.contains("tracer-kept: 1")
}

#[test]
fn the_head_says_what_is_certain() {
    let heavy = get(async || {
        allocate(1000);
        "heavy"
    });
    let slow = get(async || {
        tokio::time::sleep(Duration::from_millis(20)).await;
        "slow"
    });
    let late = get(async || {
        Body::from_stream(futures_util::stream::iter(0..3).map(|_| {
            allocate(1000);
            Ok::<_, Infallible>(Bytes::from_static(b"late"))
        }))
    });
    let passes_on = async || (StatusCode::BAD_GATEWAY, [("tracer-kept", "1")]);
    let app = || {
        app()
            .route("/heavy", heavy.clone())
            .route("/slow", slow.clone())
            .route("/late", late.clone())
            .route("/passes-on", get(passes_on))
    };
    let sampled: &[u8] =
        b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let none = Policy::none;
    for (policy, path, headers, told, kept) in [
        (none().failed(), "/broken", &b""[..], true, true),
        (none().failed(), "/passes-on", b"", true, true),
        (none().failed(), "/nothing", b"", false, false),
        (none().client_errors(), "/nowhere", b"", true, true),
        (
            none().slower_than(Duration::from_millis(10)),
            "/slow",
            b"",
            true,
            true,
        ),
        (
            none().slower_than(Duration::from_secs(100)),
            "/slow",
            b"",
            false,
            false,
        ),
        (none().allocates_over(999), "/heavy", b"", true, true),
        (none().bytes_over(999), "/heavy", b"", true, true),
        (none().allocates_over(2999), "/late", b"", false, true),
        (none().sampled_upstream(), "/stream", sampled, true, true),
        (none().sampled_upstream(), "/stream", b"", false, false),
        // Without a body all is known when the head is sent.
        (none().when("all", |_| true), "/nothing", b"", true, true),
        (none().peak_over(0), "/stream", b"", false, true),
        (none().when("all", |_| true), "/stream", b"", false, true),
        (
            none().slowest(1, Duration::from_secs(100)),
            "/stream",
            b"",
            false,
            true,
        ),
        // The failure comes with the body.
        (none().failed(), "/cut", b"", false, true),
    ] {
        let server = server(policy, app());
        let answer = server.send(&format!("GET {path}"), headers);
        assert_eq!(is_told(&answer), told, "{path}: {answer}");
        assert_eq!(server.ended(1).len(), usize::from(kept), "{path}");
    }
}

#[test]
fn nobody_is_told_by_default() {
    let server = Server::with(Policy::none().failed(), |layer| app().layer(layer));
    assert!(!is_told(&server.send("GET /broken", b"te: trailers\r\n")));
    assert_eq!(server.ended(1).len(), 1);
}

#[test]
fn the_trailers_say_the_rest_to_those_who_take_them() {
    let all = || Policy::none().when("all", |_| true);
    let end = "\r\n0\r\n\r\n";
    let told = "\r\n0\r\ntracer-kept: 1\r\n\r\n";
    for (policy, path, headers, expected) in [
        (all(), "/stream", "te: trailers\r\n", told),
        (all(), "/stream", "te: gzip, Trailers\r\n", told),
        (all(), "/stream", "te: gzip\r\n", end),
        (all(), "/stream", "", end),
        (Policy::none(), "/stream", "te: trailers\r\n", end),
        // HTTP/1.1 has no trailers behind a known length.
        (
            all(),
            "/orders/7",
            "te: trailers\r\nx-request-id: 7\r\n",
            "\r\n\r\n7",
        ),
    ] {
        let server = server(policy, app());
        let answer = server.send(&format!("GET {path}"), headers.as_bytes());
        assert!(answer.ends_with(expected), "{path} {headers}: {answer}");
        assert!(!is_told(&answer), "{answer}");
        server.ended(1);
    }
    // Not twice.
    let server = server(all().failed(), app());
    let answer = server.send("GET /broken", b"te: trailers\r\n");
    assert!(
        is_told(&answer) && answer.matches("tracer-kept").count() == 1,
        "{answer}"
    );
}

/// Returns the trailers of a body of these frames, asked for by a client that takes trailers.
fn trailers(frames: Vec<Frame<Bytes>>, te: bool) -> Option<HeaderMap> {
    let recorder = Recorder::builder().policy(Policy::none().when("all", |_| true));
    let layer = RecorderLayer::new(recorder.start().unwrap()).tell_kept(true);
    let mut frames = Some(frames);
    let service = layer.layer(service_fn(move |_| {
        let frames = frames.take().unwrap().into_iter().map(Ok::<_, Infallible>);
        let body = StreamBody::new(futures_util::stream::iter(frames));
        async { Ok::<_, Infallible>(Response::new(body)) }
    }));
    let mut request = Request::new(());
    if te {
        request
            .headers_mut()
            .insert("te", HeaderValue::from_static("trailers"));
    }
    Runtime::new().unwrap().block_on(async {
        let response = service.oneshot(request).await.unwrap();
        let collected = response.into_body().collect().await.unwrap();
        collected.trailers().cloned()
    })
}

#[test]
fn the_services_own_trailers_stay() {
    let data = || Frame::data(Bytes::from_static(b"data"));
    let status = || {
        let mut status = HeaderMap::new();
        status.insert("grpc-status", HeaderValue::from_static("0"));
        Frame::trailers(status)
    };
    let told = trailers(vec![data(), status()], true).unwrap();
    assert_eq!(
        (&told["grpc-status"], &told["tracer-kept"], told.len()),
        (
            &HeaderValue::from_static("0"),
            &HeaderValue::from_static("1"),
            2
        )
    );
    assert_eq!(trailers(vec![data(), status()], false).unwrap().len(), 1);
    assert_eq!(trailers(vec![data()], true).unwrap()["tracer-kept"], "1");
    assert_eq!(trailers(vec![data()], false), None);
}

#[test]
fn a_body_of_known_length_has_its_trailers_after_it() {
    // As with HTTP/2.
    let recorder = Recorder::builder().policy(Policy::none().when("all", |_| true));
    let recorder = recorder.start().unwrap();
    let layer = RecorderLayer::new(recorder.clone()).tell_kept(true);
    let app = Router::new().route("/", get(async || "whole")).layer(layer);
    let request = Request::get("/")
        .header("te", "trailers")
        .body(Body::empty())
        .unwrap();
    let collected = Runtime::new().unwrap().block_on(async {
        let response = app.oneshot(request).await.unwrap();
        assert!(!response.headers().contains_key("trailer"));
        response.into_body().collect().await.unwrap()
    });
    assert_eq!(collected.trailers().unwrap()["tracer-kept"], "1");
    assert_eq!(collected.to_bytes(), "whole");
}

/// Asks a service over a connection of HTTP/2, in a request with the rule `kept_downstream`. Returns the trailers, and
/// why that request is kept.
fn ask_over_http2(path: &str, te: Option<&str>) -> (Option<HeaderMap>, Vec<String>) {
    let own = || {
        let mut status = HeaderMap::new();
        status.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = [
            Frame::data(Bytes::from_static(b"data")),
            Frame::trailers(status),
        ];
        let frames = frames.map(Ok::<_, Infallible>);
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    };
    let app = app().route("/own", get(async move || own()));
    let server = server(Policy::none().when("all", |_| true), app);
    let policy = Policy::none().kept_downstream();
    let recorder = Recorder::builder().policy(policy).start().unwrap();
    let mut request = Request::get(format!("http://{}{path}", server.address));
    if let Some(te) = te {
        request = request.header("te", te);
    }
    let request = request.body(String::new()).unwrap();
    let work = recorder.begin("asks").instrument(async {
        let client = reqwest::Client::builder().http2_prior_knowledge();
        let client = client.build().unwrap();
        let client = service_fn(async |request: Request<String>| {
            let response = client.execute(request.try_into()?).await?;
            reqwest::Result::Ok(Response::<reqwest::Body>::from(response))
        });
        let client = PropagationLayer::new().layer(client);
        let response = client.oneshot(request).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert!(!response.headers().contains_key("tracer-kept"));
        response.into_body().collect().await.unwrap()
    });
    let collected = server.runtime.block_on(work);
    assert!(recorder.flush(crate::PATIENCE));
    let kept = recorder.kept();
    let reasons = kept
        .iter()
        .flat_map(|it| crate::server::request(it).reasons.clone());
    (collected.trailers().cloned(), reasons.collect())
}

#[test]
fn trailers_arrive_over_http2() {
    // Of unknown length, and of a known one.
    for path in ["/stream", "/orders/7"] {
        let (trailers, reasons) = ask_over_http2(path, Some("trailers"));
        let trailers = trailers.unwrap();
        assert_eq!(
            (trailers.len(), &trailers["tracer-kept"]),
            (1, &HeaderValue::from_static("1"))
        );
        assert_eq!(reasons, ["kept downstream"]);
        assert_eq!(ask_over_http2(path, None), (None, Vec::new()));
    }
    let (trailers, reasons) = ask_over_http2("/own", Some("trailers"));
    let trailers = trailers.unwrap();
    assert_eq!(
        (
            trailers.len(),
            &trailers["tracer-kept"],
            &trailers["grpc-status"]
        ),
        (
            2,
            &HeaderValue::from_static("1"),
            &HeaderValue::from_static("0")
        )
    );
    assert_eq!(reasons, ["kept downstream"]);
    let (trailers, reasons) = ask_over_http2("/own", None);
    assert_eq!((trailers.unwrap().len(), reasons), (1, Vec::new()));
}

/// Asks a service that answers with this header and trailer, in a request with the rule `kept_downstream`.
fn ask(header: Option<&'static str>, trailer: Option<&'static str>) -> Vec<String> {
    let policy = Policy::none().kept_downstream();
    let recorder = Recorder::builder().policy(policy).start().unwrap();
    let kept = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("tracer-kept", HeaderValue::from_static(value));
        headers
    };
    let client = service_fn(move |_: Request<()>| {
        let frames = trailer.map(kept).map(Frame::<Bytes>::trailers);
        let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
        let mut response = Response::new(StreamBody::new(frames));
        response
            .headers_mut()
            .extend(header.map(kept).unwrap_or_default());
        async { Ok::<_, Infallible>(response) }
    });
    let client = PropagationLayer::new().layer(client);
    let work = recorder.begin("asks").instrument(async {
        let _call = call!("asks");
        let response = client.oneshot(Request::new(())).await.unwrap();
        response.into_body().collect().await.unwrap();
    });
    Runtime::new().unwrap().block_on(work);
    assert!(recorder.flush(crate::PATIENCE));
    let kept = recorder.kept();
    kept.iter()
        .flat_map(|it| request(it).reasons.clone())
        .collect()
}

#[test]
fn the_client_takes_note_of_either() {
    assert_eq!(ask(Some("1"), None), ["kept downstream"]);
    assert_eq!(ask(None, Some("1")), ["kept downstream"]);
    assert_eq!(ask(Some("1"), Some("1")), ["kept downstream"]);
    for value in ["0", "", "true", "11"] {
        assert_eq!(ask(Some(value), Some(value)), [""; 0]);
    }
    assert_eq!(ask(None, None), [""; 0]);
}

#[test]
fn the_next_request_knows_nothing_of_it() {
    ask(Some("1"), None);
    assert_eq!(ask(None, None), [""; 0]);
    // Neither does a trace without a recorder, and nothing happens to it.
    let trace = Trace::new();
    let _scope = trace.inject();
    let mut headers = HeaderMap::new();
    headers.insert("tracer-kept", HeaderValue::from_static("1"));
    tracer::propagation::note_kept(&headers);
    assert_eq!(trace.report().request, None);
}

#[test]
fn a_request_that_failed_by_its_status_told_its_client_before() {
    let server = server(Policy::none().failed(), app());
    let answer = server.send("GET /deep", b"te: trailers\r\n");
    assert!(is_told(&answer), "{answer}");
    assert!(answer.starts_with(&format!("HTTP/1.1 {}", StatusCode::INTERNAL_SERVER_ERROR)));
}
