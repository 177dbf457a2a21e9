//! A service with a recorder and its page, over a socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tracer::recorder::{Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::traced;
use tracer::web::Page;

pub(crate) const TOKEN: &str = "c8de56fa4deed248";
/// A message that would clear the screen and turn the text round.
const HOSTILE: &str = "no \u{1b}[2Jspace \u{202e}left\r\n漢字";

#[traced("{id}")]
async fn order(Path(id): Path<u64>) -> String {
    let lines: Vec<_> = (0..3).map(line).collect();
    format!("{id}: {lines:?}")
}

#[traced]
fn line(number: usize) -> String {
    format!("line {number}")
}

#[traced]
async fn new_order() -> StatusCode {
    match insert() {
        Ok(()) => StatusCode::CREATED,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[traced(err)]
fn insert() -> Result<(), String> {
    Err(HOSTILE.to_owned())
}

#[traced]
async fn wait_for_lock(go_on: &Notify) {
    go_on.notified().await;
}

pub(crate) struct Service {
    runtime: Runtime,
    recorder: Recorder,
    address: SocketAddr,
    go_on: Arc<Notify>,
}

impl Service {
    /// Starts a service at a port; at 0, at any.
    pub(crate) fn start(port: u16) -> Self {
        let policy = Policy::default().slower_than(Duration::ZERO);
        let recorder = Recorder::builder().policy(policy).start().unwrap();
        let page = Page::with_token(recorder.clone(), TOKEN).unwrap();
        let go_on = Arc::new(Notify::new());
        let waiting = Arc::clone(&go_on);
        let app = Router::new()
            .route("/orders/{id}", get(order))
            .route("/orders", post(new_order))
            .route("/wait", get(async move || wait_for_lock(&waiting).await))
            .layer(RecorderLayer::new(recorder.clone()))
            .nest_service("/debug/traces", page.router());
        let (runtime, address) = serve(app, port);
        Self {
            runtime,
            recorder,
            address,
            go_on,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the page's address without the token.
    pub(crate) fn page(&self) -> String {
        format!("http://{}/debug/traces", self.address)
    }

    pub(crate) fn ask(&self, method: &str, path: &str, id: &str) {
        ask(self.address, method, path, id);
        assert!(self.recorder.flush(Duration::from_secs(60)));
    }

    /// Begins a request that stays in flight until `go_on`.
    pub(crate) fn wait(&self) {
        let address = self.address;
        std::thread::spawn(move || ask(address, "GET", "/wait", "waits"));
        while self.recorder.statistics().in_flight == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn go_on(&self) {
        self.go_on.notify_one();
    }

    pub(crate) fn stop(self) {
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

/// Serves an application until the runtime ends.
pub(crate) fn serve(app: Router, port: u16) -> (Runtime, SocketAddr) {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(async move {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        // The port may have just been in use.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], port).into()).unwrap();
        let listener: TcpListener = socket.listen(64).unwrap();
        listener
    });
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    runtime.spawn(async move { axum::serve(listener, app).await });
    (runtime, address)
}

fn ask(address: SocketAddr, method: &str, path: &str, id: &str) {
    use std::io::{Read as _, Write as _};
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nx-request-id: {id}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
}
