//! A connection to the collector, by hyper on a runtime of the sender's own.

use std::fmt::{self, Display};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::endpoint::Endpoint;
use super::tasks::Tasks;
use super::tls::Tls;

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
    Tls(io::Error),
    Exchange(hyper::Error),
    Late(Duration),
    Ended,
}

/// Connects when something is to be sent, and again after an error.
pub(super) struct Client {
    endpoint: Endpoint,
    tls: Option<Tls>,
    is_http2: bool,
    sender: Option<Sender>,
    /// Of the sender's connection.
    tasks: Tasks,
    resolving: Option<std::thread::JoinHandle<io::Result<Vec<SocketAddr>>>>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A longer answer is not read to its end. Those of collectors have some hundred bytes.
const MAX_ANSWER: usize = 64 << 10;

impl Client {
    pub(super) fn new(endpoint: Endpoint, tls: Option<Tls>, is_http2: bool) -> Self {
        Self {
            endpoint,
            tls,
            is_http2,
            sender: None,
            tasks: Tasks::default(),
            resolving: None,
        }
    }

    /// Sends a request and reads the answer, within this time, and unless it ends before.
    pub(super) async fn exchange(
        &mut self,
        request: &Request<Full<Bytes>>,
        limit: Duration,
        ended: impl Future<Output = ()>,
    ) -> Result<Answer, NoAnswer> {
        let mut answer = None;
        let exchange = timeout(limit, self.exchange_into(request, limit, &mut answer));
        let outcome = match unless(ended, exchange).await {
            Some(late) => late.unwrap_or(Err(NoAnswer::Late(limit))),
            None => Err(NoAnswer::Ended),
        };
        // What went wrong after the head shows in the answer.
        if outcome.is_err() || answer.as_ref().is_none_or(|it| !it.is_whole) {
            self.hang_up().await;
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
        limit: Duration,
        answer: &mut Option<Answer>,
    ) -> Result<(), NoAnswer> {
        let response = self.respond(request, limit).await?;
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
        limit: Duration,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let started = Instant::now();
        if let Some(sender) = &mut self.sender
            && let Ok(response) = sender.send(request).await
        {
            return Ok(response);
        }
        self.hang_up().await;
        let sender = self.connect(started, limit).await?;
        let sender = self.sender.insert(sender);
        sender.send(request).await.map_err(NoAnswer::Exchange)
    }

    async fn connect(&mut self, started: Instant, limit: Duration) -> Result<Sender, NoAnswer> {
        let addresses = self.resolve().await.map_err(NoAnswer::Name)?;
        let left = limit.saturating_sub(started.elapsed());
        let stream = connect_to_one(&addresses, left).await;
        let stream = stream.map_err(NoAnswer::Connect)?;
        // It would only delay.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.speak(stream).await,
            Some(tls) => {
                self.speak(tls.connect(stream).await.map_err(NoAnswer::Tls)?)
                    .await
            }
        }
    }

    /// Begins to speak HTTP.
    async fn speak<S>(&self, stream: S) -> Result<Sender, NoAnswer>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        if self.is_http2 {
            let handshake = http2::handshake(self.tasks.clone(), io).await;
            let (sender, connection) = handshake.map_err(NoAnswer::Exchange)?;
            self.tasks.spawn(connection);
            Ok(Sender::Http2(sender))
        } else {
            let mut builder = http1::Builder::new();
            let handshake = builder.max_buf_size(MAX_ANSWER).handshake(io).await;
            let (sender, connection) = handshake.map_err(NoAnswer::Exchange)?;
            self.tasks.spawn(connection);
            Ok(Sender::Http1(sender))
        }
    }

    /// Closes the connection.
    async fn hang_up(&mut self) {
        self.sender = None;
        self.tasks.end().await;
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

/// Waits for some work, unless it ends before.
async fn unless<T>(ended: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let (mut ended, mut work) = (pin!(ended), pin!(work));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => ended.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// Connects to the first of these addresses that accepts. One that does not answer takes no more than its share
/// of the time, so that the others have theirs: a name may have an IPv6 address that leads nowhere. The last one
/// has all that is left, and the caller ends it.
async fn connect_to_one(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let started = Instant::now();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (address, others) in addresses.iter().zip((0..addresses.len()).rev()) {
        let connecting = TcpStream::connect(address);
        let connected = if others == 0 {
            connecting.await
        } else {
            let left = limit.saturating_sub(started.elapsed());
            let shares = u32::try_from(others + 1).unwrap_or(u32::MAX);
            let late = |_| Err(io::ErrorKind::TimedOut.into());
            timeout(left / shares, connecting)
                .await
                .unwrap_or_else(late)
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
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
            Self::Tls(error) => write!(f, "TLS: {error}"),
            Self::Exchange(error) => {
                write!(f, "{error}")?;
                match std::error::Error::source(error) {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
            Self::Late(limit) => write!(f, "no answer within {} ms", limit.as_millis()),
            Self::Ended => f.write_str("no answer"),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// Returns a listener whose queue is full, so that Linux drops whatever else wants to connect.
    async fn dead() -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) =
            timeout(Duration::from_millis(100), TcpStream::connect(address)).await
        {
            queue.push(stream.unwrap());
        }
        (listener, queue)
    }

    #[test]
    fn addresses_that_do_not_answer_leave_time_for_the_others() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let (dead, _queue) = dead().await;
            let dead = dead.local_addr().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let alive = listener.local_addr().unwrap();

            let limit = Duration::from_secs(3);
            let started = Instant::now();
            let stream = timeout(limit, connect_to_one(&[dead, dead, alive], limit)).await;
            assert_eq!(stream.unwrap().unwrap().peer_addr().unwrap(), alive);
            assert!(started.elapsed() >= Duration::from_secs(2));

            // One address has the whole time.
            let limit = Duration::from_millis(200);
            let alone = timeout(limit, connect_to_one(&[dead], Duration::ZERO)).await;
            assert!(alone.is_err());
            let error = connect_to_one(&[], limit).await.unwrap_err();
            assert_eq!(error.to_string(), "the name has no address");
        });
    }
}
