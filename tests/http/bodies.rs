//! The end of a recorded response, and the figures of its body.

use std::convert::Infallible;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use axum::routing::get;
use futures_util::stream;
use http_body::{Frame, SizeHint};
use tokio::net::TcpListener;
use tower::{Layer, Service, service_fn};
use tracer::alloc::measure;
use tracer::recorder::Recorder;
use tracer::tower::RecorderLayer;
use tracer::{Outcome, Report, call};

use crate::PATIENCE;
use crate::common::allocate;
use crate::server::{failed, label, outcome, recorder};

/// Waits until `count` requests have ended, and returns the report of the last.
fn last(recorder: &Recorder, count: u64) -> Arc<Report> {
    let end = Instant::now() + PATIENCE;
    while recorder.statistics().ended < count {
        assert!(Instant::now() < end, "{:?}", recorder.statistics());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(recorder.flush(PATIENCE));
    recorder.kept().remove(0)
}

/// Returns a body of these frames, of unknown length.
fn frames(frames: Vec<Frame<Bytes>>) -> Body {
    let frames = frames.into_iter().map(Ok::<_, Infallible>);
    Body::new(http_body_util::StreamBody::new(stream::iter(frames)))
}

fn data(bytes: &'static [u8]) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(bytes))
}

fn with_length(length: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let length = HeaderValue::from_static(length);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length);
    response
}

fn trailers(status: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    trailers
}

/// A body of known length, with trailers after it.
struct Exact(Vec<Frame<Bytes>>, u64);

impl http_body::Body for Exact {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frames = &mut self.0;
        Poll::Ready((!frames.is_empty()).then(|| Ok(frames.remove(0))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.1)
    }
}

/// A body that panics when it is polled.
struct Panics;

impl http_body::Body for Panics {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::panic::resume_unwind(Box::new(()))
    }
}

#[test]
fn over_a_socket() {
    let recorder = recorder();
    let app = Router::new()
        .route(
            "/length",
            get(async || with_length("8", frames(vec![data(b"half"), data(b"half")]))),
        )
        .route("/empty", get(async || with_length("0", frames(vec![]))))
        .route(
            "/short",
            get(async || with_length("9", frames(vec![data(b"half")]))),
        )
        .route("/panics", get(async || Body::new(Panics)))
        .layer(RecorderLayer::new(recorder.clone()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    runtime.spawn(async { axum::serve(listener, app).await });
    let mut count = 0;
    let mut told = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        count += 1;
        let report = last(&recorder, count);
        (
            outcome(&report).clone(),
            label(&report, "sent").to_owned(),
            label(&report, "frames").to_owned(),
        )
    };
    let of =
        |outcome: Outcome, sent: &str, frames: &str| (outcome, sent.to_owned(), frames.to_owned());
    // HTTP/1 polls the body for no more bytes than the head promises.
    assert_eq!(told("/length"), of(Outcome::Ok, "8", "2"));
    assert_eq!(told("/empty"), of(Outcome::Ok, "0", "0"));
    // The connection is cut off: the client gets an error.
    let why = failed("the body ended after 4 of 9 bytes");
    assert_eq!(told("/short"), of(why, "4", "1"));
    assert_eq!(told("/panics"), of(Outcome::Panicked, "0", "0"));
}

/// Calls a service, and polls its response's body `asks` times.
fn run<S, B>(service: &mut S, asks: usize)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes>,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut answer = pin!(service.call(Request::new(())));
    let Poll::Ready(Ok(answer)) = answer.as_mut().poll(&mut context) else {
        unreachable!("it waits for nothing")
    };
    let mut body = pin!(answer.into_body());
    for _ in 0..asks {
        let _ = body.as_mut().poll_frame(&mut context);
    }
}

/// Returns the outcome of a request whose body is polled `asks` times and then dropped.
fn ends(response: impl Fn() -> Response<Body> + Clone, asks: usize) -> (Outcome, usize) {
    let recorder = recorder();
    let service = service_fn(move |_: Request<()>| {
        let response = response();
        async { Ok::<_, Infallible>(response) }
    });
    run(
        &mut RecorderLayer::new(recorder.clone()).layer(service),
        asks,
    );
    let report = last(&recorder, 1);
    (
        outcome(&report).clone(),
        label(&report, "frames").parse().unwrap(),
    )
}

#[test]
fn trailers_after_the_last_byte_are_seen_if_polled() {
    let exact = || {
        Response::new(Body::new(Exact(
            vec![data(b"data"), Frame::trailers(trailers("5"))],
            4,
        )))
    };
    assert_eq!(ends(exact, 2), (failed("grpc-status 5"), 1));
    // A client that has all the bytes may hang up.
    assert_eq!(ends(exact, 1), (Outcome::Ok, 1));
}

#[test]
fn a_body_of_another_length_than_promised_has_failed() {
    let promised = |length: &'static str, body: &'static [u8]| {
        move || with_length(length, frames(vec![data(body)]))
    };
    let short = failed("the body ended after 4 of 10 bytes");
    assert_eq!(ends(promised("10", b"four"), 2), (short.clone(), 1));
    // The head's length wins over the body's own.
    let exact = || with_length("10", Body::from("four"));
    assert_eq!(ends(exact, 1), (short.clone(), 1));
    let by_itself = || Response::new(Body::new(Exact(vec![data(b"four")], 10)));
    assert_eq!(ends(by_itself, 2), (short, 1));
    let empty = || with_length("10", Body::empty());
    let why = failed("the body ended after 0 of 10 bytes");
    assert_eq!(ends(empty, 0), (why, 0));
    let trailers = || {
        let frames = frames(vec![data(b"four"), Frame::trailers(trailers("0"))]);
        with_length("10", frames)
    };
    let why = failed("the body ended after 4 of 10 bytes");
    assert_eq!(ends(trailers, 2), (why, 1));
    let why = failed("the body has more bytes than its content-length, which is 3");
    assert_eq!(ends(promised("3", b"four"), 1), (why, 1));
    // A more specific failure is kept.
    let grpc = || {
        let frames = vec![data(b"four"), Frame::trailers(self::trailers("5"))];
        with_length("10", self::frames(frames))
    };
    assert_eq!(ends(grpc, 2), (failed("grpc-status 5"), 1));
    // Dropped in the middle it is cancelled; dropped after the last byte it is ok.
    assert_eq!(ends(promised("10", b"four"), 1), (Outcome::Cancelled, 1));
    assert_eq!(ends(promised("4", b"four"), 1), (Outcome::Ok, 1));
    assert_eq!(ends(promised("4", b"four"), 2), (Outcome::Ok, 1));
    // A status without a body promises no bytes.
    let not_modified = || {
        let mut response = with_length("10", Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    };
    assert_eq!(ends(not_modified, 0), (Outcome::Ok, 0));
}

#[test]
fn a_grpc_status_in_the_head_is_seen() {
    let only_trailers = || {
        let mut response = Response::new(Body::empty());
        response.headers_mut().extend(trailers("7"));
        response
    };
    assert_eq!(ends(only_trailers, 0), (failed("grpc-status 7"), 0));
}

#[test]
fn a_body_that_is_never_polled_is_not_cancelled() {
    let refused = || {
        let mut response = Response::new(frames(vec![data(b"later")]));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response
    };
    assert_eq!(ends(refused, 0), (Outcome::Ok, 0));
    assert_eq!(ends(refused, 1), (Outcome::Cancelled, 1));
}

/// A service that allocates, and holds memory after it has responded.
fn busy(
    status: StatusCode,
) -> impl Service<Request<()>, Response = Response<Body>, Error = Infallible> {
    service_fn(move |_: Request<()>| {
        let kept = black_box(vec![0_u8; 1 << 20]);
        // Boxed, so that the memory is freed only with the future.
        Box::pin(async move {
            let _call = call!("busy");
            allocate(3);
            black_box(&kept);
            let mut response = Response::new(frames(vec![data(b"x"), data(b"y")]));
            *response.status_mut() = status;
            Ok(response)
        })
    })
}

#[test]
fn memory_freed_by_the_service_is_freed_in_the_request() {
    let recorder = recorder();
    let mut service = RecorderLayer::new(recorder.clone()).layer(busy(StatusCode::OK));
    run(&mut service, 3);
    let total = last(&recorder, 1).total.unwrap();
    assert!(total.bytes_allocated > 1 << 20, "{total:?}");
    assert_eq!(total.net_bytes(), 0, "{total:?}");
}

#[test]
fn the_layer_allocates_nothing_in_the_counts_around_it() {
    let recorder = recorder();
    for (status, asks) in [(200, 0), (200, 1), (200, 3), (502, 3), (404, 0)] {
        let status = StatusCode::from_u16(status).unwrap();
        let mut layered = RecorderLayer::new(recorder.clone()).layer(busy(status));
        let mut bare = busy(status);
        let with = measure(|| run(&mut layered, asks)).counts.unwrap();
        let without = measure(|| run(&mut bare, asks)).counts.unwrap();
        assert_eq!(with, without, "{status}, {asks}");
    }
}
