//! The recorder around a service: real sockets, real clients.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::Extension;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{BoxError, Router};
use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tracer::recorder::{Policy, Recorder};
use tracer::report::Request as Recorded;
use tracer::tower::{RecorderLayer, RequestId};
use tracer::{Outcome, Report, call, traced};

use crate::common::allocate;

const PATIENCE: Duration = Duration::from_secs(20);
/// More than sockets hold.
const LARGE: usize = 32 << 20;

#[traced]
fn work(allocations: u64) {
    allocate(allocations);
}

#[traced]
async fn sleeps() {
    std::future::pending::<()>().await;
}

/// So many frames of a kilobyte, each made in a call.
fn frames(count: usize) -> Body {
    Body::from_stream(futures_util::stream::iter(0..count).map(|number| {
        let _call = call!("{number}");
        Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1024]))
    }))
}

fn app() -> Router {
    let fails = async || -> (StatusCode, &str) {
        call!("inside").fail("no database");
        (StatusCode::BAD_REQUEST, "yours")
    };
    Router::new()
        .route(
            "/orders/{id}",
            get(async |Extension(id): Extension<RequestId>| {
                work(5);
                id.to_string()
            }),
        )
        .route("/broken", get(async || StatusCode::BAD_GATEWAY))
        .route(
            "/deep",
            get(async || {
                let _outer = call!("outer");
                call!("inner").fail("deadlock on 7");
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .route("/fails", get(fails))
        .route("/stream", get(async || frames(10)))
        .route("/endless", get(async || frames(usize::MAX)))
        .route("/large", get(async || vec![b'x'; LARGE]))
        .route(
            "/cut",
            get(async || {
                let error = Err::<Bytes, BoxError>("lost the disk".into());
                let parts = [Ok(Bytes::from_static(b"half")), error];
                Body::from_stream(futures_util::stream::iter(parts))
            }),
        )
        .route(
            "/panics",
            get(async || -> Response { panic!("at the disco") }),
        )
        .route("/sleeps", get(sleeps))
        .route("/nothing", get(async || StatusCode::NO_CONTENT))
        .route(
            "/upgrade",
            get(async || {
                let headers = [("connection", "upgrade"), ("upgrade", "echo")];
                (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
            }),
        )
}

fn recorder() -> Recorder {
    let policy = Policy::none().when("all", |_| true);
    Recorder::builder().policy(policy).start().unwrap()
}

/// A server, and the recorder of all its requests.
struct Server {
    runtime: Runtime,
    recorder: Recorder,
    address: SocketAddr,
}

impl Server {
    fn of(make: impl FnOnce(RecorderLayer) -> Router) -> Self {
        Self::with(Policy::none().when("all", |_| true), make)
    }

    fn with(policy: Policy, make: impl FnOnce(RecorderLayer) -> Router) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let recorder = Recorder::builder().policy(policy).start().unwrap();
        let app = make(RecorderLayer::new(recorder.clone()));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async { axum::serve(listener, app).await });
        Self {
            runtime,
            recorder,
            address,
        }
    }

    fn new() -> Self {
        Self::of(|layer| app().layer(layer))
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request by hand and reads all that comes.
    fn send(&self, request: &str, headers: &[u8]) -> String {
        let mut stream = self.connect();
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
        )
        .unwrap();
        stream.write_all(headers).unwrap();
        stream.write_all(b"\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The requests that are over, so many, the first first.
    fn ended(&self, count: u64) -> Vec<Arc<Report>> {
        let end = Instant::now() + PATIENCE;
        while self.recorder.statistics().ended < count {
            assert!(Instant::now() < end, "{:?}", self.recorder.statistics());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(self.recorder.flush(PATIENCE));
        let statistics = self.recorder.statistics();
        assert_eq!((statistics.ended, statistics.in_flight), (count, 0));
        let mut kept = self.recorder.kept();
        kept.reverse();
        kept
    }

    /// The only one.
    fn only(&self) -> Arc<Report> {
        self.ended(1).remove(0)
    }
}

fn request(report: &Report) -> &Recorded {
    report.request.as_deref().unwrap()
}

fn label<'a>(report: &'a Report, name: &str) -> &'a str {
    let labels = &request(report).labels;
    labels
        .iter()
        .find(|(it, _)| it == name)
        .map_or("", |(_, value)| value)
}

fn outcome(report: &Report) -> &Outcome {
    &request(report).outcome
}

fn failed(why: &str) -> Outcome {
    Outcome::Failed(why.to_owned())
}

#[test]
fn a_request_goes_by_method_and_route_and_has_its_id() {
    let server = Server::new();
    let answer = server.send("GET /orders/7?secret=1", b"x-request-id: ca7a87c4\r\n");
    assert!(answer.ends_with("\r\n\r\nca7a87c4"), "{answer}");
    let report = server.only();
    let recorded = request(&report);
    assert_eq!(
        (&*recorded.name, recorded.id.as_deref()),
        ("GET /orders/{id}", Some("ca7a87c4"))
    );
    let labels: Vec<_> = recorded
        .labels
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(
        labels,
        [
            ("path", "/orders/7"),
            ("status", "200"),
            ("sent", "8"),
            ("frames", "1")
        ]
    );
    assert_eq!(recorded.outcome, Outcome::Ok);
    let calls: Vec<_> = report
        .calls
        .iter()
        .map(|call| (&*call.name, call.total.unwrap().allocates()))
        .collect();
    assert_eq!(calls, [("work", 5)]);
}

#[test]
fn an_id_that_is_no_text_is_replaced() {
    let server = Server::new();
    for header in [
        &b"x-request-id: \xff\xfe\r\n"[..],
        b"x-request-id: \r\n",
        b"",
    ] {
        let answer = server.send("GET /orders/7", header);
        let (_, id) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(id.len(), 16);
        assert!(id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    }
    server.send(
        "GET /orders/7",
        format!("x-request-id: {}\r\n", "é".repeat(10_000)).as_bytes(),
    );
    let mut ids: Vec<_> = server
        .ended(4)
        .iter()
        .map(|it| request(it).id.clone().unwrap())
        .collect();
    assert_eq!(ids.pop().unwrap(), "é".repeat(126) + "…");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn on_one_connection_each_request_is_one() {
    let server = Server::new();
    let mut stream = server.connect();
    for number in 0..3 {
        write!(stream, "GET /orders/{number} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut answer = [0; 16 << 10];
        let length = stream.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    }
    let reports = server.ended(3);
    let paths: Vec<_> = reports.iter().map(|it| label(it, "path")).collect();
    assert_eq!(paths, ["/orders/0", "/orders/1", "/orders/2"]);
    assert!(reports.iter().all(|it| it.calls.len() == 1));
}

#[test]
fn without_a_route_it_says_so() {
    let server = Server::new();
    server.send("GET /wp-admin.php", b"");
    let report = server.only();
    assert_eq!(
        (&*request(&report).name, label(&report, "path")),
        ("GET (no route)", "/wp-admin.php")
    );
    assert_eq!(
        (label(&report, "status"), outcome(&report)),
        ("404", &Outcome::Ok)
    );
    let named = |parts: &axum::http::request::Parts| {
        parts
            .uri
            .path()
            .strip_prefix("/tenant/")
            .map(|_| "tenant".to_owned())
    };
    let server = Server::of(|layer| Router::new().layer(layer.name_by(named)));
    server.send("GET /tenant/7", b"");
    assert_eq!(request(&server.only()).name, "tenant");
}

#[test]
fn on_a_nested_router_the_path_is_whole() {
    let inside = |layer| {
        let deeper = Router::new().nest("/v1", app().layer(layer));
        Router::new().nest("/t/{tenant}", deeper)
    };
    let server = Server::of(inside);
    server.send("GET /t/acme/v1/orders/7?secret=1", b"");
    let report = server.only();
    assert_eq!(
        (&*request(&report).name, label(&report, "path")),
        ("GET /t/{tenant}/v1/orders/{id}", "/t/acme/v1/orders/7")
    );
    let server = Server::of(|layer| Router::new().nest_service("/api", app().layer(layer)));
    server.send("GET /api/orders/7", b"");
    assert_eq!(label(&server.only(), "path"), "/api/orders/7");
}

#[test]
fn what_knows_no_routes_does_not_say_that_there_is_none() {
    let recorder = recorder();
    let service =
        tower::service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let service = RecorderLayer::new(recorder.clone()).layer(service);
    let runtime = Runtime::new().unwrap();
    let request = Request::builder().uri("/a/b").body(()).unwrap();
    drop(runtime.block_on(service.oneshot(request)).unwrap());
    assert!(recorder.flush(PATIENCE));
    let report = &recorder.kept()[0];
    assert_eq!(
        (&*self::request(report).name, label(report, "path")),
        ("GET", "/a/b")
    );
}

#[test]
fn a_rule_keeps_what_was_answered_with_a_status() {
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
    // Those that layers above answered themselves did not come to the recorder.
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

    // With `ServiceBuilder` alone, as in front of hyper.
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
fn a_long_path_is_cut() {
    let server = Server::new();
    server.send(&format!("GET /orders/{}", "x".repeat(1000)), b"");
    let report = server.only();
    let path = format!("/orders/{}…", "x".repeat(256 - 8 - 3));
    assert_eq!(label(&report, "path"), path);
}

#[test]
fn a_client_does_not_make_names() {
    let server = Server::new();
    server.send("BREW /orders/7", b"");
    server.send("M7 /", b"");
    let grpc = b"content-type: application/grpc\r\n";
    server.send("POST /a.B/C", grpc);
    let reports = server.ended(3);
    let told = |report: &Report| {
        (
            request(report).name.clone(),
            label(report, "method").to_owned(),
        )
    };
    let told: Vec<_> = reports.iter().map(|it| told(it)).collect();
    let of = |name: &str, method: &str| (name.to_owned(), method.to_owned());
    // A route knows its methods, but not this one.
    let expected = [
        of("HTTP /orders/{id}", "BREW"),
        of("HTTP (no route)", "M7"),
        of("POST (no route)", ""),
    ];
    assert_eq!(told, expected);
    // Where paths are names, only what looks like one is.
    let server = Server::of(|layer| app().layer(layer.grpc(true)));
    for path in [
        "/a.B/C",
        "/orders/7",
        "/a.B/C/D",
        "/a.B/",
        "/a%20b/C",
        "/a.B",
    ] {
        server.send(&format!("POST {path}"), grpc);
    }
    let reports = server.ended(6);
    let names: Vec<_> = reports.iter().map(|it| &*request(it).name).collect();
    let expected = [
        "POST /a.B/C",
        "POST /orders/{id}",
        "POST (no route)",
        "POST (no route)",
        "POST (no route)",
        "POST (no route)",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_rule_for_names_that_panics_has_said_nothing() {
    let server =
        Server::of(|layer| app().layer(layer.name_by(|_| std::panic::resume_unwind(Box::new(())))));
    assert!(
        server
            .send("GET /orders/7", b"")
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(request(&server.only()).name, "GET /orders/{id}");
}

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
fn what_the_body_does_is_of_the_request() {
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
fn a_client_that_hangs_up_in_the_middle_is_told() {
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
fn a_client_that_hangs_up_before_the_answer_is_told() {
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
fn what_has_no_body_is_over_with_its_head() {
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
    // Resets its stream; the connection goes on.
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
fn what_the_browser_is_told() {
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

/// Tries once more where the first attempt failed.
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
