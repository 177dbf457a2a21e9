//! A collector that fails in one way.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracer_benches::http::receive;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Nobody listens.
    Absent,
    /// 429 and 503 in turn, to be tried again after a second.
    Busy,
    /// Answers after five seconds.
    Slow,
    /// A response that never ends.
    Endless,
    /// Closes all in the middle of the turn.
    Killed,
    /// Speaks no TLS, behind `https`.
    Plain,
}

pub(crate) const FAULTS: [(&str, Fault); 6] = [
    ("absent", Fault::Absent),
    ("429 and 503, `Retry-After: 1`", Fault::Busy),
    ("answers after 5 s", Fault::Slow),
    ("a response that never ends", Fault::Endless),
    ("killed in the middle", Fault::Killed),
    ("refuses TLS", Fault::Plain),
];

pub(crate) struct Collector {
    fault: Fault,
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_over: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Collector {
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        if fault != Fault::Absent {
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { continue };
                    if shared.is_over.load(Relaxed) {
                        return;
                    }
                    shared.streams().extend(stream.try_clone());
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || serve(stream, fault, &shared));
                }
            });
        }
        Self {
            fault,
            address,
            state,
        }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.fault == Fault::Plain {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// The middle of the turn has come.
    pub(crate) fn middle(&self) {
        if self.fault == Fault::Killed {
            self.end();
        }
    }

    fn end(&self) {
        if !self.state.is_over.swap(true, Relaxed) {
            // Closes the port.
            drop(TcpStream::connect(self.address));
            for stream in self.state.streams().drain(..) {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.end();
    }
}

impl State {
    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(stream: TcpStream, fault: Fault, state: &State) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    if fault == Fault::Plain {
        return out.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    }
    let mut input = BufReader::new(stream);
    for number in 0.. {
        if !receive(&mut input)? {
            break;
        }
        if fault == Fault::Slow {
            std::thread::sleep(Duration::from_secs(5));
        }
        match fault {
            Fault::Busy => {
                let status = ["429 Too Many Requests", "503 Service Unavailable"][number % 2];
                let head = format!("HTTP/1.1 {status}\r\nretry-after: 1\r\n");
                out.write_all(head.as_bytes())?;
                out.write_all(b"content-length: 0\r\n\r\n")?;
            }
            Fault::Endless => {
                out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                while !state.is_over.load(Relaxed) {
                    out.write_all(b"1\r\nx\r\n")?;
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            _ => out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?,
        }
    }
    Ok(())
}
