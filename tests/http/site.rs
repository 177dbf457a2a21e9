//! A server of the page only, and a client for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracer::call;
use tracer::recorder::{Policy, Recorder};
use tracer::web::Page;

use crate::PATIENCE;
use crate::common::allocate;

const HOSTILE: &str = "<script>alert(1)</script>\u{1b}[2J\n\"'&";

pub(crate) struct Site {
    _runtime: Runtime,
    pub(crate) recorder: Recorder,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

pub(crate) fn recorder() -> Recorder {
    let policy = Policy::none()
        .failed()
        .heaviest(1, Duration::from_secs(60 * 60));
    Recorder::builder().policy(policy).start().unwrap()
}

impl Site {
    pub(crate) fn of(mount: impl FnOnce(Router) -> Router, knows_peers: bool) -> Self {
        Self::with(recorder(), mount, knows_peers)
    }

    pub(crate) fn with(
        recorder: Recorder,
        mount: impl FnOnce(Router) -> Router,
        knows_peers: bool,
    ) -> Self {
        let page = Page::new(recorder.clone()).unwrap();
        let app = mount(page.router());
        let token = page.token().to_owned();
        Self {
            token,
            ..Self::serve(recorder, app, knows_peers)
        }
    }

    pub(crate) fn serve(recorder: Recorder, app: Router, knows_peers: bool) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            if knows_peers {
                let service = app.into_make_service_with_connect_info::<SocketAddr>();
                axum::serve(listener, service).await
            } else {
                axum::serve(listener, app).await
            }
        });
        Self {
            _runtime: runtime,
            recorder,
            address,
            token: String::new(),
        }
    }

    pub(crate) fn new() -> Self {
        Self::mounted(recorder())
    }

    /// Serves the page of a recorder below `/debug/traces`.
    pub(crate) fn mounted(recorder: Recorder) -> Self {
        let mount = |page| Router::new().nest("/debug/traces", page);
        Self::with(recorder, mount, true)
    }

    /// Sends a request with the token, and returns the head and the body of the response.
    pub(crate) fn get(&self, path: &str, headers: &str) -> (String, String) {
        let token = &self.token;
        self.ask(
            &format!("GET {path}"),
            &format!("{headers}authorization: Bearer {token}\r\n"),
        )
    }

    /// Sends a request, and returns the head and the body of the response.
    pub(crate) fn ask(&self, request: &str, headers: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = if headers.to_lowercase().contains("host:") {
            ""
        } else {
            "host: localhost\r\n"
        };
        write!(
            stream,
            "{request} HTTP/1.1\r\n{host}connection: close\r\n{headers}\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        // All responses but compressed profiles are text.
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    pub(crate) fn status(&self, path: &str, headers: &str) -> String {
        status(&self.get(path, headers).0)
    }

    /// Records two hundred requests with hostile names. The last one has many queries, and fails.
    pub(crate) fn work(&self) {
        for number in 0..200 {
            let mut recording = self.recorder.begin(&format!("GET /{HOSTILE}"));
            recording.id(format_args!("{number}{HOSTILE}"));
            recording.label("tenant", HOSTILE);
            let _scope = recording.inject();
            let handle = call!("{HOSTILE}", label = HOSTILE);
            handle.checkpoint(HOSTILE);
            for _ in 0..if number == 199 { 37 } else { 1 } {
                let _query = call!("query");
                allocate(3);
            }
            if number == 199 {
                handle.fail(HOSTILE);
            }
        }
        assert!(self.recorder.flush(PATIENCE));
    }
}

pub(crate) fn status(head: &str) -> String {
    head.split(' ').nth(1).unwrap().to_owned()
}

/// Returns the values of an attribute in a page.
pub(crate) fn values<'a>(page: &'a str, attribute: &'a str) -> impl Iterator<Item = String> + 'a {
    let parts = page.split(&*format!("{attribute}=\"").leak()).skip(1);
    parts.map(|part| part.split(['"', '#']).next().unwrap().replace("&amp;", "&"))
}
