//! Collectors of OpenTelemetry: a plain server of HTTP that behaves as told, and one for gRPC.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use crate::otlp::Ask;

/// What the server does with one request.
pub(crate) enum Reply {
    /// Answers with this status, these headers and this body.
    Status(&'static str, &'static str, Vec<u8>),
    /// Answers with a head, and a body that goes on for ever.
    Endless,
    /// Closes the connection without an answer.
    Close,
    /// Answers well, as soon as something is sent, or the sender is gone.
    When(mpsc::Receiver<()>),
}

impl Reply {
    pub(crate) fn ok() -> Self {
        Self::Status("200 OK", "", Vec::new())
    }
}

/// A server in threads of this process. It ends with the process.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Ask>>>,
}

impl Collector {
    /// Starts a server that behaves as `reply` says of the request with this number, from 0.
    pub(crate) fn start(reply: impl FnMut(usize) -> Reply + Send + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), reply)
    }

    /// Starts a server here that takes all.
    pub(crate) fn serve_on(listener: TcpListener) -> Self {
        Self::start_on(listener, |_| Reply::ok())
    }

    fn start_on(listener: TcpListener, reply: impl FnMut(usize) -> Reply + Send + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let reply = Arc::new(Mutex::new(reply));
        let to = Arc::clone(&asked);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (asked, reply) = (Arc::clone(&to), Arc::clone(&reply));
                std::thread::spawn(move || serve(connection.unwrap(), &asked, &reply));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes the requests that have come.
    pub(crate) fn take(&self) -> Vec<Ask> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(
    stream: TcpStream,
    asked: &Mutex<Vec<Ask>>,
    reply: &Mutex<impl FnMut(usize) -> Reply>,
) -> Option<()> {
    let mut out = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if input.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let head = head.to_lowercase();
        let length = head.split_once("content-length: ").unwrap().1;
        let length = length.split_once("\r\n").unwrap().0.parse().unwrap();
        let mut body = vec![0; length];
        input.read_exact(&mut body).ok()?;
        let number = {
            let mut asked = asked.lock().unwrap();
            asked.push(Ask {
                head,
                body,
                at: Instant::now(),
            });
            asked.len() - 1
        };
        let reply = (reply.lock().unwrap())(number);
        match reply {
            Reply::Status(status, headers, body) => {
                let length = body.len();
                write!(
                    out,
                    "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n"
                )
                .ok()?;
                out.write_all(&body).ok()?;
            }
            Reply::Endless => {
                write!(out, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").ok()?;
                loop {
                    out.write_all(b"1\r\nx\r\n").ok()?;
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            Reply::Close => return None,
            Reply::When(told) => {
                let _ = told.recv();
                write!(out, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
            }
        }
    }
}

/// What a server was asked.
pub(crate) type Asked = Arc<Mutex<Vec<Ask>>>;

/// Starts a server for gRPC in a thread of its own. Its first answer has the status UNAVAILABLE if it is `busy`.
pub(crate) fn grpc(busy: bool) -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let app = app(busy, Arc::clone(&asked));
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            ready.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
    });
    (is_ready.recv().unwrap(), asked)
}

/// Returns what answers, over gRPC and HTTP.
pub(crate) fn app(busy: bool, to: Asked) -> axum::Router {
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use axum::http::Response;

    let handler = move |request: Request| {
        let to = Arc::clone(&to);
        async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
            let head = format!(
                "{} {:?} {:?}",
                parts.uri.path(),
                parts.version,
                parts.headers
            );
            let is_first = {
                let mut asked = to.lock().unwrap();
                let at = Instant::now();
                asked.push(Ask { head, body, at });
                asked.len() == 1
            };
            if parts.version < axum::http::Version::HTTP_2 {
                return Ok(Response::new(Body::empty()));
            }
            let response = Response::builder().header("content-type", "application/grpc");
            if busy && is_first {
                let response = response.header("grpc-status", "14");
                return response
                    .header("grpc-message", "try%20later")
                    .body(Body::empty());
            }
            let mut trailers = axum::http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            // An empty message. The status comes behind it.
            let body = http_body_util::Full::new(axum::body::Bytes::from_static(&[0; 5]));
            let body = http_body_util::BodyExt::with_trailers(body, async { Some(Ok(trailers)) });
            response.body(Body::new(body))
        }
    };
    axum::Router::new().fallback(|request| async move { handler(request).await.unwrap() })
}

/// Decodes a request, by types that others have generated.
pub(crate) fn decode(body: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(body).unwrap()
}
