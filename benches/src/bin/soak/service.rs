//! A service behind the layer, and clients that send requests over sockets as fast as they get
//! responses. Each client hangs up in the middle of a response after a thousand of them.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tracer::recorder::Recorder;
use tracer::tower::RecorderLayer;
use tracer::{call, traced};

use crate::watch::Watch;

const CLIENTS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(10);
/// More bytes than the sockets' buffers hold.
const ENDLESS: usize = 1 << 30;

#[traced]
async fn work() {
    for number in 0..3 {
        let _call = call!("{number}");
        tokio::task::yield_now().await;
    }
}

fn app(recorder: Recorder) -> Router {
    Router::new()
        .route("/orders/{id}", get(async || work().await))
        .route("/fails", get(async || StatusCode::BAD_GATEWAY))
        .route(
            "/endless",
            get(async || {
                let frame = Bytes::from_static(&[b'x'; 16 << 10]);
                let frames = std::iter::repeat_n(frame, ENDLESS / (16 << 10));
                let frames = frames.map(Ok::<_, Infallible>);
                Body::from_stream(futures_util::stream::iter(frames))
            }),
        )
        .layer(RecorderLayer::new(recorder))
}

pub(crate) fn run(recorder: &Recorder, watch: &Watch) -> u64 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = app(recorder.clone());
    runtime.spawn(async { axum::serve(listener, app).await });
    let sent = AtomicU64::new(0);
    std::thread::scope(|threads| {
        for _ in 0..CLIENTS {
            threads.spawn(|| {
                while !watch.is_over() {
                    client(address, &sent, watch);
                }
            });
        }
        watch.run(recorder);
    });
    // Requests whose clients have gone end when the service notices.
    let end = std::time::Instant::now() + PATIENCE;
    while recorder.statistics().in_flight > 0 && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    sent.into_inner()
}

/// Sends requests on one connection, and abandons the last in the middle of its response. Every request
/// has reached the service, because a part of its response has arrived.
fn client(address: SocketAddr, sent: &AtomicU64, watch: &Watch) {
    let mut stream = TcpStream::connect(address).expect("the service");
    let timeout = stream.set_read_timeout(Some(PATIENCE));
    timeout.expect("a socket");
    for number in 0_u64..1000 {
        let path = match number {
            _ if number % 100 == 99 => "/fails".to_owned(),
            _ => format!("/orders/{number}"),
        };
        ask(&mut stream, &path, sent);
        if watch.is_over() {
            return;
        }
    }
    ask(&mut stream, "/endless", sent);
}

/// Reads the head of the response. The only body is the one that is abandoned.
fn ask(stream: &mut TcpStream, path: &str, sent: &AtomicU64) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: soak\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).expect("answered");
    assert!(answer[..length].starts_with(b"HTTP/1.1 "), "{path}");
    sent.fetch_add(1, Relaxed);
}
