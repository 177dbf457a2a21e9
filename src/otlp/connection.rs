//! A connection to the collector, by hyper on a runtime of the sender's own.

use std::fmt::{self, Display};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::endpoint::Endpoint;

/// What the collector answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
    /// Whether the body ended in time, and was not too long.
    pub(super) is_whole: bool,
}

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    Name(io::Error),
    Connect(io::Error),
    Exchange(hyper::Error),
    Late(Duration),
}

/// Connects when something is to be sent, and again after an error.
pub(super) struct Client {
    endpoint: Endpoint,
    is_http2: bool,
    sender: Option<Sender>,
    resolving: Option<std::thread::JoinHandle<io::Result<Vec<SocketAddr>>>>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A longer answer is not read to its end. Those of collectors have some hundred bytes.
const MAX_ANSWER: usize = 64 << 10;

impl Client {
    pub(super) fn new(endpoint: Endpoint, is_http2: bool) -> Self {
        Self {
            endpoint,
            is_http2,
            sender: None,
            resolving: None,
        }
    }

    /// Sends a request and reads the answer, within this time.
    pub(super) async fn exchange(
        &mut self,
        request: &Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        let mut answer = None;
        let late = timeout(limit, self.exchange_into(request, &mut answer)).await;
        let outcome = late.unwrap_or(Err(NoAnswer::Late(limit)));
        // What went wrong after the head shows in the answer.
        if outcome.is_err() || answer.as_ref().is_none_or(|it| !it.is_whole) {
            self.sender = None;
        }
        match (answer, outcome) {
            (Some(answer), _) => Ok(answer),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(NoAnswer::Late(limit)),
        }
    }

    async fn exchange_into(
        &mut self,
        request: &Request<Full<Bytes>>,
        answer: &mut Option<Answer>,
    ) -> Result<(), NoAnswer> {
        let response = self.respond(request).await?;
        let (head, mut body) = response.into_parts();
        let answer = answer.insert(Answer {
            status: head.status,
            headers: head.headers,
            body: Vec::new(),
            trailers: HeaderMap::new(),
            is_whole: false,
        });
        while let Some(frame) = body.frame().await {
            match frame.map_err(NoAnswer::Exchange)?.into_data() {
                Ok(data) => {
                    if answer.body.len() + data.len() > MAX_ANSWER {
                        return Ok(());
                    }
                    answer.body.extend_from_slice(&data);
                }
                Err(frame) => answer
                    .trailers
                    .extend(frame.into_trailers().ok().into_iter().flatten()),
            }
        }
        answer.is_whole = true;
        Ok(())
    }

    /// Sends a request on the connection that is there. If the collector has closed it meanwhile, or there
    /// is none, on a new one.
    async fn respond(
        &mut self,
        request: &Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        if let Some(sender) = &mut self.sender
            && let Ok(response) = sender.send(request).await
        {
            return Ok(response);
        }
        self.sender = None;
        let sender = self.connect().await?;
        let sender = self.sender.insert(sender);
        sender.send(request).await.map_err(NoAnswer::Exchange)
    }

    async fn connect(&mut self) -> Result<Sender, NoAnswer> {
        let addresses = self.resolve().await.map_err(NoAnswer::Name)?;
        let stream = TcpStream::connect(&*addresses);
        let stream = stream.await.map_err(NoAnswer::Connect)?;
        // It would only delay.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(stream);
        if self.is_http2 {
            let handshake = http2::handshake(TokioExecutor::new(), io).await;
            let (sender, connection) = handshake.map_err(NoAnswer::Exchange)?;
            tokio::spawn(connection);
            Ok(Sender::Http2(sender))
        } else {
            let mut builder = http1::Builder::new();
            let handshake = builder.max_buf_size(MAX_ANSWER).handshake(io).await;
            let (sender, connection) = handshake.map_err(NoAnswer::Exchange)?;
            tokio::spawn(connection);
            Ok(Sender::Http1(sender))
        }
    }

    /// Looks the collector's name up, on a thread of its own: there is no other way not to wait for longer
    /// than is allowed. Tokio's panics if it can't spawn one.
    async fn resolve(&mut self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.endpoint.host.parse::<IpAddr>() {
            return Ok(vec![(address, self.endpoint.port).into()]);
        }
        // That of the last attempt, if it did not wait for it.
        let thread = if let Some(thread) = self.resolving.take() {
            thread
        } else {
            let (host, port) = (self.endpoint.host.clone(), self.endpoint.port);
            let look_up = move || {
                alloc_counter::exclude(|| Ok((host.as_str(), port).to_socket_addrs()?.collect()))
            };
            let thread = std::thread::Builder::new().name("tracer-resolve".to_owned());
            thread.spawn(look_up)?
        };
        let thread = self.resolving.insert(thread);
        while !thread.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
        let thread = self.resolving.take();
        let result = thread.and_then(|thread| thread.join().ok());
        result.unwrap_or_else(|| Err(io::Error::other("the look-up panicked")))
    }
}

impl Sender {
    async fn send(&mut self, request: &Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request.clone()).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                let mut request = request.clone();
                *request.version_mut() = Version::HTTP_2;
                sender.send_request(request).await
            }
        }
    }
}

impl Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => write!(f, "looking the name up: {error}"),
            Self::Connect(error) => write!(f, "connecting: {error}"),
            Self::Exchange(error) => {
                write!(f, "{error}")?;
                match std::error::Error::source(error) {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
            Self::Late(limit) => write!(f, "no answer within {} ms", limit.as_millis()),
        }
    }
}
