//! An HTTP service over a database that records every request.
//!
//! `POST /message` decodes a JSON body and stores it in a database. When a request ends, in whatever
//! way, its trace is printed: one line a call, then as a tree. A page shows the traces as well.
//!
//! ```text
//! cargo run -p tracer-examples --example service -- [OPTIONS]
//!
//!                             sends three requests, and ends
//! FILE                        sends this file as a request's body, and ends
//! --serve [ADDR] [--load]     serves until Ctrl-C, with generated load
//! ```
//!
//! The tracer needs the counting allocator, a recorder around every request and its page ([`service`]), a
//! line at the top of each function to trace ([`handle`], [`fetch_data`], [`store_into_database`]), and
//! [`in_current_trace`] around work that moves to another thread.
//!
//! Only Rust code's allocations are counted. The database is written in C and allocates by `malloc`.

use std::error::Error;
use std::fmt::{self, Display};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use rusqlite::Connection;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, spawn_blocking};
use tracer::recorder::{Policy, Recorder};
use tracer::tower::{RecorderLayer, RequestId};
use tracer::web::Page;
use tracer::{Counting, Report, call, in_current_trace, traced};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// The timeout of everything that waits.
const PATIENCE: Duration = Duration::from_secs(5);

// ---- The service ----

fn service(database: Database, recorder: Recorder, page: &Page) -> Router {
    let layer = RecorderLayer::new(recorder);
    let message = axum::routing::post(handle).route_layer(layer);
    Router::new()
        .route("/message", message)
        .with_state(database)
        .nest_service("/debug/traces", page.router())
}

async fn handle(
    State(database): State<Database>,
    request_id: RequestId,
    body: Body,
) -> Result<(StatusCode, String), Refusal> {
    let call = call!("{request_id}");
    let failed = |why: &Refusal| call.fail(why);
    let body = receive(body).await.inspect_err(failed)?;

    call.checkpoint("serialize");
    let message = fetch_data(&body).inspect_err(failed)?;

    call.checkpoint("store");
    let stored = store_into_database(database, message).await;
    let number = stored.inspect_err(failed)?;

    Ok((StatusCode::CREATED, format!("message {number}\n")))
}

#[traced(err)]
fn fetch_data(body: &[u8]) -> Result<Message, Refusal> {
    serde_json::from_slice(body).map_err(Refusal::Malformed)
}

#[traced(err)]
async fn store_into_database(database: Database, message: Message) -> Result<i64, Refusal> {
    let insert = in_current_trace(move || database.insert(&message));
    let inserted = spawn_blocking(insert).await.map_err(Refusal::Lost)?;
    inserted.map_err(Refusal::Database)
}

#[derive(Deserialize)]
struct Message {
    author: String,
    text: String,
    #[serde(default)]
    tags: Vec<String>,
}

const MAX_BODY_BYTES: usize = 64 * 1024;

/// Reads the whole body, even one that is too long: a client that is still sending would miss the response.
async fn receive(body: Body) -> Result<Vec<u8>, Refusal> {
    let (mut kept, mut length) = (Vec::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(Refusal::CutOff)? {
        length += chunk.len();
        if length <= MAX_BODY_BYTES {
            kept.extend_from_slice(&chunk);
        }
    }
    match length {
        ..=MAX_BODY_BYTES => Ok(kept),
        _ => Err(Refusal::TooLong),
    }
}

/// The reason why a message was refused. The trace has all of it; the client does not see internal errors.
enum Refusal {
    CutOff(axum::Error),
    TooLong,
    Malformed(serde_json::Error),
    Database(rusqlite::Error),
    Lost(JoinError),
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutOff(error) => error.fmt(f),
            Self::TooLong => write!(f, "the body is longer than {MAX_BODY_BYTES} bytes"),
            Self::Malformed(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
            Self::Lost(error) => error.fmt(f),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, reason) = match self {
            Self::Database(_) | Self::Lost(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the message could not be stored".to_owned(),
            ),
            _ => (StatusCode::BAD_REQUEST, self.to_string()),
        };
        (status, reason + "\n").into_response()
    }
}

#[derive(Clone)]
struct Database(Arc<Mutex<Connection>>);

impl Database {
    fn create(file: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(PATIENCE)?;
        connection.execute_batch(
            "CREATE TABLE messages (author TEXT CHECK (author <> ''), text TEXT, tags TEXT)",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Stores the message, and returns its number.
    fn insert(&self, message: &Message) -> rusqlite::Result<i64> {
        let Message { author, text, tags } = message;
        let connection = lock(&self.0);
        connection.execute(
            "INSERT INTO messages (author, text, tags) VALUES (?1, ?2, ?3)",
            (author, text, tags.join(" ")),
        )?;
        Ok(connection.last_insert_rowid())
    }
}

// ---- Its traces ----

/// Keeps and prints every request. Under load it prints nothing, and keeps only requests that stand out.
fn recorder(is_under_load: bool) -> Result<Recorder, Box<dyn Error>> {
    let builder = Recorder::builder();
    // If a request allocates much more than usual, the next ones of its route record which lines do.
    #[cfg(feature = "sites")]
    let builder = builder.arm(tracer::recorder::Arming::default());
    let recorder = if is_under_load {
        builder.policy(Policy::default().slower_than(Duration::from_millis(50)))
    } else {
        let everything = Policy::none().when("everything", |_| true);
        builder.policy(everything).callback("print", explain)
    };
    Ok(recorder.start()?)
}

/// Prints a request: its heading, its calls one a line, then as a tree.
fn explain(report: &Arc<Report>) {
    let mut report = Report::clone(report);
    if let Some(request) = report.request.take() {
        let tree = report.tree().colour_for(&std::io::stdout());
        print(format_args!("{request}\n\n{report}\n\n{tree}\n"));
    }
}

/// Ignores poisoning: a panic leaves nothing behind these locks half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints in one piece, so that requests do not mix. Ignores a closed standard output.
fn print(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

// ---- Its clients ----

const GOOD: &str = r#"{"author": "gopher", "text": "dead simple", "tags": ["go", "rust"]}"#;
const MALFORMED: &str = r#"{"author": "gopher", "text": "dead si"#;

async fn demonstrate(
    address: SocketAddr,
    file: &Path,
    recorder: &Recorder,
) -> Result<(), Box<dyn Error>> {
    print("A good request.");
    post(address, "ca7a87c4-58d0-4fdf-857c-ef49fc3bf271", GOOD).await?;
    recorder.flush(PATIENCE);

    print("A malformed body.");
    post(address, "6c1f3a52-0b7e-4b9a-9d0e-3f5a1c2e8d47", MALFORMED).await?;
    recorder.flush(PATIENCE);

    print("A client that hangs up while the database works.");
    let other_writer = Connection::open(file)?;
    other_writer.execute_batch("BEGIN IMMEDIATE")?;
    tokio::select! {
        answer = post(address, "e2b8d0c4-91a6-4c35-8a7f-5d4b6e1f2093", GOOD) => {
            return answer.and(Err("the insert did not wait for the other writer".into()));
        }
        // If this branch is ready first, the request is dropped, which closes its connection.
        waits = until("insert", || is_storing(recorder)) => waits?,
    }
    until("end of the request", || {
        recorder.statistics().in_flight == 0
    })
    .await?;
    Ok(other_writer.execute_batch("ROLLBACK")?)
}

fn is_storing(recorder: &Recorder) -> bool {
    let in_flight = recorder.in_flight();
    let mut open = in_flight.iter().flat_map(|request| &request.now.open);
    open.any(|call| call.name == "store_into_database")
}

/// Sends requests without end. A few are slow, allocate much, fail, or are abandoned.
async fn load(address: SocketAddr, file: &Path) -> Result<(), Box<dyn Error>> {
    let other_writer = Connection::open(file)?;
    other_writer.busy_timeout(PATIENCE)?;
    let message = |author: &str, tags: usize| {
        let tags = vec![r#""tag""#; tags].join(",");
        format!(r#"{{"author": "{author}", "text": "dead simple", "tags": [{tags}]}}"#)
    };
    for number in 1_u64.. {
        let id = format!("load-{number}");
        let post = async |body: String| post(address, &id, body).await;
        match number {
            _ if number.is_multiple_of(211) => {
                other_writer.execute_batch("BEGIN IMMEDIATE")?;
                let release = async {
                    tokio::time::sleep(Duration::from_millis(80)).await;
                    other_writer.execute_batch("ROLLBACK")
                };
                let is_abandoned = number.is_multiple_of(2);
                let patience = if is_abandoned {
                    PATIENCE / 500
                } else {
                    PATIENCE
                };
                let asked = tokio::time::timeout(patience, post(message("gopher", 2)));
                let (released, _) = tokio::join!(release, asked);
                released?;
            }
            _ if number.is_multiple_of(307) => post(message("gopher", 5_000)).await?,
            _ if number.is_multiple_of(101) => post(message("", 2)).await?,
            _ if number.is_multiple_of(37) => post(MALFORMED.to_owned()).await?,
            _ => post(message("gopher", 2)).await?,
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn until(what: &str, is_there: impl Fn() -> bool) -> Result<(), String> {
    let watch = async {
        while !is_there() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let watched = tokio::time::timeout(PATIENCE, watch).await;
    watched.map_err(|_| format!("no {what} within {PATIENCE:?}"))
}

/// Sends a request on a connection of its own, which closes if the future is dropped. An HTTP client from a
/// crate would double what this example compiles.
async fn post(
    address: SocketAddr,
    request_id: &str,
    body: impl AsRef<[u8]>,
) -> Result<(), Box<dyn Error>> {
    let body = body.as_ref();
    let head = format!(
        "POST /message HTTP/1.1\r\nHost: {address}\r\nX-Request-Id: {request_id}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len(),
    );
    let exchange = async {
        let mut connection = TcpStream::connect(address).await?;
        connection
            .write_all(&[head.as_bytes(), body].concat())
            .await?;
        connection.read_to_end(&mut Vec::new()).await
    };
    tokio::time::timeout(PATIENCE * 2, exchange).await??;
    Ok(())
}

// ---- The command line ----

const USAGE: &str = "\
Usage: service [FILE | --serve [ADDR] [--load]]

Starts a service, sends it three requests, and prints their traces.

  FILE            send one request instead, with this file as its body
  --serve [ADDR]  send none, and serve until Ctrl-C, on 127.0.0.1:3000 by default
  --load          send requests without end and print no traces; a few requests are
                  slow, allocate much, fail, or are abandoned
  --help          print this help";

enum Task {
    Demonstrate,
    Send(Vec<u8>),
    Serve { address: String, load: bool },
}

impl Task {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let (arguments, load) = match arguments {
            [arguments @ .., "--load"] if arguments.first() == Some(&"--serve") => {
                (arguments, true)
            }
            arguments => (arguments, false),
        };
        let serve = |address: &str| Self::Serve {
            address: address.to_owned(),
            load,
        };
        match arguments {
            [] => Ok(Self::Demonstrate),
            ["--serve"] => Ok(serve("127.0.0.1:3000")),
            ["--serve", address] => Ok(serve(address)),
            [file] if !file.starts_with('-') => match std::fs::read(file) {
                Ok(body) => Ok(Self::Send(body)),
                Err(error) => Err(format!("cannot read {file:?}: {error}")),
            },
            _ => Err(format!(
                "unknown arguments {arguments:?}: expected one FILE, --serve [ADDR] [--load], or \
                 nothing"
            )),
        }
    }

    fn run(self) -> Result<(), Box<dyn Error>> {
        // The first trace of a process calibrates the clock. Do that before a request waits for it.
        drop(tracer::Trace::new());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let now = UNIX_EPOCH.elapsed()?.as_micros();
        let directory = format!("tracer-service-{}-{now}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        std::fs::create_dir(&directory)
            .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
        let result = runtime.block_on(self.serve(&directory.join("messages.sqlite")));
        // Waits for the last insert, whose request may have ended.
        drop(runtime);
        std::fs::remove_dir_all(&directory)?;
        result
    }

    async fn serve(self, file: &Path) -> Result<(), Box<dyn Error>> {
        let (address, is_under_load) = match &self {
            Self::Serve { address, load } => (&**address, *load),
            Self::Demonstrate | Self::Send(_) => ("127.0.0.1:0", false),
        };
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| format!("cannot listen on {address}: {error}"))?;
        let address = listener.local_addr()?;
        let url = format!("http://{address}/message");
        let recorder = recorder(is_under_load)?;
        let page = Page::new(recorder.clone())?;
        let service = service(Database::create(file)?, recorder.clone(), &page);
        // The page checks the client's address.
        let service = service.into_make_service_with_connect_info::<SocketAddr>();
        let clients = async {
            match self {
                Self::Demonstrate => demonstrate(address, file, &recorder).await,
                Self::Send(body) => post(address, "file", body).await,
                Self::Serve { .. } => {
                    let file = file.display();
                    // The address has the page's token: keep it secret.
                    let traces = page.url(&format!("http://{address}/debug/traces"));
                    print(format_args!(
                        "listening on {url} until Ctrl-C, storing in {file} until then\n\
                         traces: {traces}\n\
                         try: curl {url} -H 'X-Request-Id: 1' -d '{GOOD}'\n"
                    ));
                    Ok(tokio::signal::ctrl_c().await?)
                }
            }
        };
        let loaded = async {
            if is_under_load {
                load(address, file).await
            } else {
                std::future::pending().await
            }
        };
        let result = tokio::select! {
            served = async { axum::serve(listener, service).await } => Ok(served?),
            loaded = loaded => loaded,
            done = clients => done,
        };
        recorder.flush(PATIENCE);
        result
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
    let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
    if arguments == ["--help"] {
        print(USAGE);
        return ExitCode::SUCCESS;
    }
    let (error, code) = match Task::parse(&arguments).map(Task::run) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => (error.to_string(), 1),
        Err(error) => (error, 2),
    };
    eprintln!("service: {error}");
    ExitCode::from(code)
}
