//! A server whose requests are recorded, and access to their reports.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::{BoxError, Router};
use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracer::recorder::{Policy, Recorder};
use tracer::report::Request as Recorded;
use tracer::tower::{RecorderLayer, RequestId};
use tracer::{Outcome, Report, call, traced};

use crate::PATIENCE;
use crate::common::allocate;

/// More bytes than the sockets' buffers hold.
pub(crate) const LARGE: usize = 32 << 20;

#[traced]
fn work(allocations: u64) {
    allocate(allocations);
}

#[traced]
async fn sleeps() {
    std::future::pending::<()>().await;
}

/// Returns a body of `count` frames of a kilobyte, each made in a call.
fn frames(count: usize) -> Body {
    Body::from_stream(futures_util::stream::iter(0..count).map(|number| {
        let _call = call!("{number}");
        Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1024]))
    }))
}

pub(crate) fn app() -> Router {
    let fails = async || -> (StatusCode, &str) {
        call!("inside").fail("no database");
        (StatusCode::BAD_REQUEST, "yours")
    };
    Router::new()
        .route(
            "/orders/{id}",
            get(async |id: RequestId| {
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

pub(crate) fn recorder() -> Recorder {
    let policy = Policy::none().when("all", |_| true);
    Recorder::builder().policy(policy).start().unwrap()
}

/// A server with the recorder of all its requests.
pub(crate) struct Server {
    pub(crate) runtime: Runtime,
    pub(crate) recorder: Recorder,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn of(make: impl FnOnce(RecorderLayer) -> Router) -> Self {
        Self::with(Policy::none().when("all", |_| true), make)
    }

    pub(crate) fn with(policy: Policy, make: impl FnOnce(RecorderLayer) -> Router) -> Self {
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

    pub(crate) fn new() -> Self {
        Self::of(|layer| app().layer(layer))
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request by hand and reads the whole response.
    pub(crate) fn send(&self, request: &str, headers: &[u8]) -> String {
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

    /// Waits until `count` requests have ended, and returns their reports, the oldest first.
    pub(crate) fn ended(&self, count: u64) -> Vec<Arc<Report>> {
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

    /// Returns the report of the only request.
    pub(crate) fn only(&self) -> Arc<Report> {
        self.ended(1).remove(0)
    }
}

pub(crate) fn request(report: &Report) -> &Recorded {
    report.request.as_deref().unwrap()
}

pub(crate) fn label<'a>(report: &'a Report, name: &str) -> &'a str {
    let labels = &request(report).labels;
    labels
        .iter()
        .find(|(it, _)| it == name)
        .map_or("", |(_, value)| value)
}

pub(crate) fn outcome(report: &Report) -> &Outcome {
    &request(report).outcome
}

pub(crate) fn failed(why: &str) -> Outcome {
    Outcome::Failed(why.to_owned())
}
