//! The outcome of a request: ok, failed, cancelled by the client, or panicked.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request};
use axum::response::Response;
use axum::routing::any;
use tokio::runtime::Runtime;
use tower::{Layer, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tracer::recorder::{Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::{Outcome, Report};

use crate::PATIENCE;
use crate::server::{LARGE, Server, app, failed, label, outcome, request};

#[test]
fn a_server_error_is_a_failure_and_a_clients_is_not() {
    let server = Server::new();
    server.send("GET /broken", b"");
    server.send("GET /fails", b"");
    server.send("GET /cut", b"");
    server.send("GET /deep", b"");
    let reports = server.ended(4);
    let why = "500 Internal Server Error: deadlock on 7";
    assert_eq!(*outcome(&reports[3]), failed(why));
    assert_eq!(*outcome(&reports[0]), failed("502 Bad Gateway"));
    assert_eq!(
        (outcome(&reports[1]), label(&reports[1], "status")),
        (&Outcome::Ok, "400")
    );
    assert_eq!(reports[1].calls[0].outcome, failed("no database"));
    assert_eq!(*outcome(&reports[2]), failed("lost the disk"));
    assert_eq!(
        (label(&reports[2], "sent"), label(&reports[2], "frames")),
        ("4", "1")
    );
}

#[test]
fn a_rule_keeps_responses_by_status() {
    let policy = Policy::none()
        .client_errors()
        .when("no content", |ended| ended.status == Some(204));
    let server = Server::with(policy, |layer| app().layer(layer));
    for path in ["/orders/7", "/nothing", "/fails", "/broken", "/nowhere"] {
        server.send(&format!("GET {path}"), b"");
    }
    let end = Instant::now() + PATIENCE;
    while server.recorder.statistics().ended < 5 {
        assert!(Instant::now() < end, "{:?}", server.recorder.statistics());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(server.recorder.flush(PATIENCE));
    let kept = server.recorder.kept();
    let kept: Vec<_> = { kept.iter().rev() }
        .map(|it| (label(it, "status"), &*request(it).reasons[0], outcome(it)))
        .collect();
    assert_eq!(
        kept,
        [
            ("204", "no content", &Outcome::Ok),
            ("400", "answered with 400", &Outcome::Ok),
            ("404", "answered with 404", &Outcome::Ok)
        ]
    );
}

#[test]
fn an_error_of_the_service_is_a_failure() {
    let runtime = Runtime::new().unwrap();
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .start()
        .unwrap();
    let refuses = tower::service_fn(async |_: Request<()>| Err::<Response, _>("no more room"));
    let service = RecorderLayer::new(recorder.clone()).layer(refuses);
    assert_eq!(
        runtime
            .block_on(service.oneshot(Request::new(())))
            .unwrap_err(),
        "no more room"
    );
    assert!(recorder.flush(PATIENCE));
    assert_eq!(*outcome(&recorder.kept()[0]), failed("no more room"));
}

#[test]
fn a_panic_in_the_handler() {
    let server = Server::new();
    assert_eq!(server.send("GET /panics", b""), "");
    assert_eq!(*outcome(&server.only()), Outcome::Panicked);
    let server = Server::of(|layer| app().layer(CatchPanicLayer::new()).layer(layer));
    assert!(server.send("GET /panics", b"").starts_with("HTTP/1.1 500"));
    assert_eq!(
        *outcome(&server.only()),
        failed("500 Internal Server Error")
    );
}

#[test]
fn a_grpc_request_fails_by_its_trailers() {
    let grpc = |status: &'static str| {
        any(async move || {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static(status));
            trailers.insert(
                "grpc-message",
                HeaderValue::from_static("no%20such%20%E2%82%AC"),
            );
            let frames = [
                Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(b"data"))),
                Ok(http_body::Frame::trailers(trailers)),
            ];
            Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(
                frames,
            )))
        })
    };
    let app = Router::new()
        .route("/shop.Orders/{*rest}", grpc("5"))
        .route("/ok/Get", grpc("0"));
    let server = Server::of(|layer| app.layer(layer.grpc(true)));
    let headers = b"content-type: application/grpc+proto\r\nte: trailers\r\n";
    server.send("POST /shop.Orders/Get", headers);
    server.send("POST /ok/Get", headers);
    let reports = server.ended(2);
    assert_eq!(request(&reports[0]).name, "POST /shop.Orders/Get");
    assert_eq!(*outcome(&reports[0]), failed("grpc-status 5: no such €"));
    assert_eq!(*outcome(&reports[1]), Outcome::Ok);
}

#[test]
fn a_client_that_hangs_up_in_the_middle_is_recorded() {
    let server = Server::new();
    let mut stream = server.connect();
    write!(stream, "GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut some = vec![0; 256 << 10];
    stream.read_exact(&mut some).unwrap();
    drop(stream);
    let report = server.only();
    assert_eq!(*outcome(&report), Outcome::Cancelled);
    let sent: u64 = label(&report, "sent").parse().unwrap();
    let frames: u64 = label(&report, "frames").parse().unwrap();
    assert!(sent >= 200 << 10, "{sent}");
    assert_eq!(sent, frames * 1024);
    assert_eq!(
        report.calls.len() as u64 + report.folded.iter().map(|it| it.calls).sum::<u64>(),
        frames
    );
}

#[test]
fn a_client_that_hangs_up_before_the_response_is_recorded() {
    let server = Server::new();
    let mut stream = server.connect();
    write!(stream, "GET /sleeps HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    while server
        .recorder
        .in_flight()
        .iter()
        .all(|it| it.now.open.is_empty())
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(stream);
    let report = server.only();
    assert_eq!(
        (outcome(&report), label(&report, "status")),
        (&Outcome::Cancelled, "")
    );
    assert_eq!(report.calls[0].outcome, Outcome::Cancelled);
}

#[test]
fn a_slow_reader_gets_all_of_it() {
    let server = Server::new();
    let mut stream = server.connect();
    write!(
        stream,
        "GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut total = 0;
    let mut some = vec![0; 1 << 20];
    loop {
        match stream.read(&mut some).unwrap() {
            0 => break,
            length => total += length,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(total > LARGE);
    let report = server.only();
    assert_eq!(
        (outcome(&report), label(&report, "sent")),
        (&Outcome::Ok, &*LARGE.to_string())
    );
}

#[test]
fn a_response_without_a_body_ends_with_its_head() {
    let server = Server::new();
    server.send("HEAD /stream", b"");
    server.send("GET /nothing", b"");
    server.send("GET /upgrade", b"connection: upgrade\r\nupgrade: echo\r\n");
    let reports = server.ended(3);
    let told: Vec<_> = reports
        .iter()
        .map(|it| (&*request(it).name, label(it, "status"), outcome(it)))
        .collect();
    assert_eq!(
        told,
        [
            ("HEAD /stream", "200", &Outcome::Ok),
            ("GET /nothing", "204", &Outcome::Ok),
            ("GET /upgrade", "101", &Outcome::Ok)
        ]
    );
}

#[test]
fn the_work_of_the_body_belongs_to_the_request() {
    let server = Server::new();
    let answer = server.send("GET /stream", b"");
    assert_eq!(answer.matches('x').count(), 10 * 1024);
    let report = server.only();
    assert_eq!(
        (label(&report, "sent"), label(&report, "frames")),
        ("10240", "10")
    );
    assert_eq!((outcome(&report), report.calls.len()), (&Outcome::Ok, 10));
    let bytes = |call: &tracer::CallReport| call.total.unwrap().bytes_allocated;
    assert!(report.calls.iter().all(|call| bytes(call) >= 1024));
}

#[test]
fn many_requests_at_once_on_one_connection_of_http_2() {
    let server = Server::new();
    let client = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge();
    let client = client.build().unwrap();
    let url = format!("http://{}/orders/", server.address);
    let requests = (0..50).map(|number| {
        let sent = client
            .get(format!("{url}{number}"))
            .header("x-request-id", number)
            .send();
        async move {
            let answer = sent.await.unwrap();
            assert_eq!(answer.version(), reqwest::Version::HTTP_2);
            assert_eq!(answer.text().await.unwrap(), number.to_string());
        }
    });
    server
        .runtime
        .block_on(futures_util::future::join_all(requests));
    let mut answer = server.runtime.block_on(async {
        let url = format!("http://{}/endless", server.address);
        client.get(url).send().await.unwrap()
    });
    let first = server.runtime.block_on(answer.chunk()).unwrap().unwrap();
    assert!(!first.is_empty());
    // Resets the stream; the connection stays open.
    drop(answer);
    let reports = server.ended(51);
    assert_eq!(*outcome(&reports[50]), Outcome::Cancelled);
    assert!(
        reports[..50]
            .iter()
            .all(|it| *outcome(it) == Outcome::Ok && it.calls.len() == 1)
    );
    let allocates = |report: &Report| report.calls[0].total.unwrap().allocates();
    assert!(reports[..50].iter().all(|it| allocates(it) == 5));
}

#[test]
fn the_response_has_the_server_timing() {
    let server = Server::of(|layer| app().layer(layer.server_timing(true)));
    let answer = server.send("GET /orders/7", b"").to_lowercase();
    let told = answer
        .lines()
        .find_map(|line| line.strip_prefix("server-timing: "))
        .unwrap();
    let (total, heap) = told.split_once(", ").unwrap();
    let total: f64 = total.strip_prefix("total;dur=").unwrap().parse().unwrap();
    assert!(total > 0.0);
    let heap = heap
        .strip_prefix("heap;desc=\"")
        .unwrap()
        .strip_suffix(" allocations\"")
        .unwrap();
    assert!(heap.parse::<u64>().unwrap() >= 5);
}
