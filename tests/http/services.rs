//! Several services in one trace, over HTTP; and the layer around a client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};

use axum::Router;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceExt, service_fn};
use tracer::propagation::{PropagationLayer, inject, note_kept};
use tracer::recorder::{Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::{Outcome, Report, Trace, call, fetch};

use crate::PATIENCE;
use crate::server::{self, Server, request};

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "1234567890123456";

/// Serves an app, and returns its address.
fn serve(runtime: &Runtime, app: Router) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, app).await });
    address
}

/// A client of reqwest as a service of `http` requests.
fn client() -> BoxCloneService<Request<String>, Response<reqwest::Body>, reqwest::Error> {
    let client = reqwest::Client::new();
    BoxCloneService::new(service_fn(move |request: Request<String>| {
        let client = client.clone();
        async move {
            let response = client.execute(request.try_into()?).await?;
            Ok(Response::from(response))
        }
    }))
}

/// Three services: the first asks the second by reqwest, the second asks the third through the layer.
struct Three {
    runtime: Runtime,
    recorders: [Recorder; 3],
    first: SocketAddr,
}

impl Three {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let policies = [
            Policy::none().kept_downstream(),
            Policy::none().kept_downstream(),
            Policy::none().failed(),
        ];
        let recorders = policies.map(|policy| Recorder::builder().policy(policy).start().unwrap());
        let layer = |place: usize| RecorderLayer::new(recorders[place].clone()).tell_kept(true);
        let third = Router::new()
            .route("/fine", get(async || "fine"))
            .route("/broken", get(async || StatusCode::BAD_GATEWAY));
        let third = serve(&runtime, third.layer(layer(2)));
        let second = async move |uri: axum::http::Uri| {
            let _around = call!("second");
            let request = Request::get(format!("http://{third}{uri}"));
            let request = request.body(String::new()).unwrap();
            let client = PropagationLayer::new().layer(client());
            let answer = client.oneshot(request).await.unwrap();
            answer.status().to_string()
        };
        let second = Router::new().fallback(second).layer(layer(1));
        let second = serve(&runtime, second);
        let first = async move |uri: axum::http::Uri| {
            let client = reqwest::Client::new();
            let asks = call!("asks");
            let mut headers = HeaderMap::new();
            inject(&mut headers);
            let request = client.get(format!("http://{second}{uri}")).headers(headers);
            let answer = asks.instrument(request.send()).await.unwrap();
            note_kept(answer.headers());
            answer.text().await.unwrap()
        };
        let first = Router::new().fallback(first).layer(layer(0));
        let first = serve(&runtime, first);
        Self {
            runtime,
            recorders,
            first,
        }
    }

    fn ask(&self, path: &str) -> String {
        let answer = async {
            reqwest::get(format!("http://{}{path}", self.first))
                .await?
                .text()
                .await
        };
        self.runtime.block_on(answer).unwrap()
    }

    /// Returns the reports that each has kept of this many requests.
    fn kept(&self, ended: u64) -> [Vec<Arc<Report>>; 3] {
        self.recorders.each_ref().map(|recorder| {
            let end = std::time::Instant::now() + PATIENCE;
            while recorder.statistics().ended < ended {
                assert!(
                    std::time::Instant::now() < end,
                    "{:?}",
                    recorder.statistics()
                );
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            assert!(recorder.flush(PATIENCE));
            recorder.kept()
        })
    }
}

#[test]
fn three_services_share_a_trace_and_a_failure_below_keeps_all_three() {
    let services = Three::new();
    assert_eq!(services.ask("/fine"), "200 OK");
    assert!(services.kept(1).iter().all(Vec::is_empty));
    assert_eq!(services.ask("/broken"), "502 Bad Gateway");
    let [first, second, third] = services.kept(2).map(|mut kept| kept.remove(0));
    assert_eq!(
        (first.trace_id, first.trace_id),
        (second.trace_id, third.trace_id)
    );
    assert_eq!(first.parent_span, None);
    let span = |report: &Report, name: &str| {
        let mut calls = report.calls.iter();
        calls
            .find(|it| it.name == name || it.id.as_deref() == Some(name))
            .unwrap()
            .span_id
    };
    assert_eq!(second.parent_span, span(&first, "asks"));
    assert_eq!(third.parent_span, span(&second, "outgoing"));
    let reasons = |report: &Report| request(report).reasons.join(", ");
    assert_eq!(
        [&first, &second, &third].map(|it| reasons(it)),
        ["kept downstream", "kept downstream", "failed"]
    );
    let outgoing = second
        .calls
        .iter()
        .find(|it| it.name == "outgoing")
        .unwrap();
    assert_eq!(outgoing.id.as_deref(), Some("GET 127.0.0.1"));
    assert_eq!(outgoing.checkpoints[0].name, "502 Bad Gateway");
    assert_eq!(outgoing.parent, Some(0));
    assert!(
        first.to_string().contains("kept: kept downstream"),
        "{first}"
    );
}

#[test]
fn the_flag_of_the_caller_is_a_rule() {
    let server = Server::with(Policy::none().sampled_upstream(), |layer| {
        server::app().layer(layer)
    });
    for flags in ["01", "00", "03", "02"] {
        let headers =
            format!("traceparent: 00-{TRACE}-{PARENT}-{flags}\r\nx-request-id: {flags}\r\n");
        server.send("GET /orders/7", headers.as_bytes());
    }
    server.send("GET /orders/7", b"");
    let kept = server.ended(5);
    let kept = kept
        .iter()
        .map(|it| (request(it).id.as_deref().unwrap(), &*request(it).reasons[0]));
    assert_eq!(
        kept.collect::<Vec<_>>(),
        [("01", "sampled upstream"), ("03", "sampled upstream")]
    );
}

#[test]
fn an_error_of_the_client_fails_the_call() {
    let trace = Trace::new();
    let client =
        service_fn(async |_: Request<String>| Err::<Response<String>, _>("connection refused"));
    let client = PropagationLayer::new().layer(client);
    let request = Request::get("/")
        .header("host", "inventory:80")
        .body(String::new())
        .unwrap();
    let asked = trace.instrument(async { client.oneshot(request).await.unwrap_err() });
    assert_eq!(
        Runtime::new().unwrap().block_on(asked),
        "connection refused"
    );
    let call = &trace.report().calls[0];
    assert_eq!(call.id.as_deref(), Some("GET inventory:80"));
    assert_eq!(call.outcome, server::failed("connection refused"));
}

#[test]
fn requests_at_the_same_time_have_different_parents() {
    let trace = Trace::new();
    let client = service_fn(async |request: Request<String>| {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Response::new(
            request.headers()["traceparent"]
                .to_str()
                .unwrap()
                .to_owned(),
        ))
    });
    let client = PropagationLayer::new().layer(client);
    let ask = || client.oneshot(Request::new(String::new()));
    let both = trace.instrument(async { tokio::join!(ask(), ask()) });
    let (left, right) = Runtime::new().unwrap().block_on(both);
    let sent = [left, right].map(|it| it.unwrap().into_body().into_inner());
    let report = trace.report();
    let expected = report.calls.iter().map(|call| {
        format!(
            "00-{}-{}-02",
            report.trace_id.unwrap(),
            call.span_id.unwrap()
        )
    });
    assert_eq!(sent.to_vec(), expected.collect::<Vec<_>>());
    assert!(report.calls.iter().all(|call| call.parent.is_none()));
    assert_eq!(fetch().trace_id(), None);
}

#[test]
fn clients_without_a_trace_send_requests_as_they_are() {
    let client = service_fn(async |request: Request<String>| {
        assert!(request.headers().is_empty());
        Ok::<_, Infallible>(().into_response())
    });
    let client = PropagationLayer::new().layer(client);
    let asked = client.oneshot(Request::new(String::new()));
    assert_eq!(
        Runtime::new().unwrap().block_on(asked).unwrap().status(),
        StatusCode::OK
    );
}

#[test]
fn a_request_that_is_given_up_is_cancelled() {
    let trace = Trace::new();
    let client = service_fn(async |_: Request<String>| {
        std::future::pending::<Result<Response<String>, Infallible>>().await
    });
    let mut client = PropagationLayer::new().layer(client);
    let mut asks = Box::pin(trace.instrument(async move {
        let _ = client.call(Request::new(String::new())).await;
    }));
    let mut context = Context::from_waker(Waker::noop());
    assert!(asks.as_mut().poll(&mut context).is_pending());
    drop(asks);
    assert_eq!(trace.report().calls[0].outcome, Outcome::Cancelled);
}
