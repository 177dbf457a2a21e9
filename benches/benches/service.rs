//! The cost of the tracer for a service: requests per second and latencies with it and without.
//!
//! The service is that of `examples/service.rs`, behind a real socket and with a real database file.
//! Beside it there is a handler that only responds, of which the tracer's share is as large as possible.
//!
//! The rivals take turns in one process. Two executables would also differ in the addresses that the
//! loader and the allocator choose, which alone may be worth a per cent. So the global allocator counts
//! or not by a switch at run time. The switch costs a load and a branch for each allocation, in every
//! turn alike. Blocks may be freed in another turn, because [`Counting`] passes them to [`System`]
//! unchanged.
//!
//! The database does not wait for the disk, which would take a hundred times as long as all the rest.

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::post;
use rusqlite::Connection;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_blocking};
use tower_http::trace::TraceLayer;
use tracer::alloc::Sites;
use tracer::recorder::Recorder;
use tracer::tower::RecorderLayer;
use tracer::{Counting, Trace, call, traced};
use tracer_benches::processor::process_time;

// ---- The allocator ----

#[global_allocator]
static ALLOCATOR: Switched = Switched;

static COUNTING: Counting = Counting::system();
static COUNTS: AtomicBool = AtomicBool::new(false);

/// Counts while the switch is on.
struct Switched;

#[expect(unsafe_code, reason = "an allocator is called directly")]
// SAFETY: both allocators pass requests to `System` unchanged, so each frees the other's blocks; and
// both are correct.
unsafe impl GlobalAlloc for Switched {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds what is asked of it.
        unsafe {
            if COUNTS.load(Relaxed) {
                COUNTING.alloc(layout)
            } else {
                System.alloc(layout)
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds what is asked of it.
        unsafe {
            if COUNTS.load(Relaxed) {
                COUNTING.alloc_zeroed(layout)
            } else {
                System.alloc_zeroed(layout)
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds what is asked of it.
        unsafe {
            if COUNTS.load(Relaxed) {
                COUNTING.dealloc(block, layout);
            } else {
                System.dealloc(block, layout);
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller upholds what is asked of it.
        unsafe {
            if COUNTS.load(Relaxed) {
                COUNTING.realloc(block, layout, size)
            } else {
                System.realloc(block, layout, size)
            }
        }
    }
}

// ---- The service ----

/// Each handler without the tracer, and with it: behind a middleware that makes the trace, and making
/// it itself. An empty middleware shows the cost of a middleware.
fn service(database: Database, recorder: Recorder, sampling: Recorder) -> Router {
    let plain = Router::new()
        .route("/store", post(plain::store))
        .route("/nothing", post(plain::nothing));
    let traced = Router::new()
        .route("/store", post(explained::store))
        .route("/nothing", post(explained::nothing))
        .route_layer(from_fn(trace_request));
    let with_recorder = Router::new()
        .route("/store", post(explained::store))
        .route("/nothing", post(explained::nothing))
        .route_layer(RecorderLayer::new(recorder.clone()));
    let sampled = Router::new()
        .route("/store", post(explained::store))
        .route("/nothing", post(explained::nothing))
        .route_layer(RecorderLayer::new(sampling));
    let only = plain.clone().route_layer(RecorderLayer::new(recorder));
    let spans = plain.clone().route_layer(TraceLayer::new_for_http());
    let inside = Router::new()
        .route("/store", post(explained::store_inside))
        .route("/nothing", post(explained::nothing_inside));
    Router::new()
        .nest("/plain", plain.clone())
        .nest("/passed", plain.route_layer(from_fn(pass)))
        .nest("/traced", traced)
        .nest("/inside", inside)
        .nest("/recorded", with_recorder)
        .nest("/sampled", sampled)
        .nest("/only", only)
        .nest("/spans", spans)
        .with_state(database)
}

async fn pass(request: Request, next: Next) -> Response {
    next.run(request).await
}

/// Puts a trace around a request. No report is made.
async fn trace_request(request: Request, next: Next) -> Response {
    let trace = Trace::with_capacity(10);
    trace.instrument(next.run(request)).await
}

type Answer = Result<(StatusCode, String), (StatusCode, String)>;

mod plain {
    use super::{
        Answer, Bytes, Database, HeaderMap, Message, State, StatusCode, malformed, not_stored,
        request_id, spawn_blocking,
    };

    pub(super) async fn nothing() -> &'static str {
        "nothing\n"
    }

    pub(super) async fn store(
        State(database): State<Database>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Answer {
        let _request_id = request_id(&headers);
        let message = fetch_data(&body).map_err(|why| malformed(&why))?;
        let number = store_into_database(database, message).await;
        let number = number.map_err(|why| not_stored(&why))?;
        Ok((StatusCode::CREATED, format!("message {number}\n")))
    }

    fn fetch_data(body: &[u8]) -> serde_json::Result<Message> {
        serde_json::from_slice(body)
    }

    async fn store_into_database(database: Database, message: Message) -> rusqlite::Result<i64> {
        let insert = move || database.insert(&message);
        spawn_blocking(insert).await.expect("an insert that ends")
    }
}

mod explained {
    use super::{
        Answer, Bytes, Database, HeaderMap, Message, State, StatusCode, Trace, call, malformed,
        not_stored, request_id, spawn_blocking, traced,
    };

    pub(super) async fn store_inside(
        database: State<Database>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Answer {
        let trace = Trace::with_capacity(10);
        trace.instrument(store(database, headers, body)).await
    }

    pub(super) async fn nothing_inside() -> &'static str {
        Trace::with_capacity(10).instrument(nothing()).await
    }

    #[traced]
    pub(super) async fn nothing() -> &'static str {
        "nothing\n"
    }

    pub(super) async fn store(
        State(database): State<Database>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Answer {
        let request_id = request_id(&headers);
        let call = call!("{request_id}");
        call.checkpoint("serialize");
        let message = fetch_data(&body).map_err(|why| malformed(&why))?;
        call.checkpoint("store");
        let number = store_into_database(database, message).await;
        let number = number.map_err(|why| not_stored(&why))?;
        Ok((StatusCode::CREATED, format!("message {number}\n")))
    }

    #[traced(err)]
    fn fetch_data(body: &[u8]) -> serde_json::Result<Message> {
        serde_json::from_slice(body)
    }

    #[traced(err)]
    async fn store_into_database(database: Database, message: Message) -> rusqlite::Result<i64> {
        let trace = tracer::fetch();
        let insert = move || {
            let _scope = trace.inject();
            database.insert(&message)
        };
        spawn_blocking(insert).await.expect("an insert that ends")
    }
}

#[derive(Deserialize)]
struct Message {
    author: String,
    text: String,
    #[serde(default)]
    tags: Vec<String>,
}

fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    given.unwrap_or_default().to_owned()
}

fn malformed(why: &serde_json::Error) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, why.to_string())
}

fn not_stored(why: &rusqlite::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, why.to_string())
}

#[derive(Clone)]
struct Database(Arc<Mutex<Connection>>);

impl Database {
    fn create(file: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(file)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = OFF;
             CREATE TABLE messages (author TEXT, text TEXT, tags TEXT)",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    fn insert(&self, message: &Message) -> rusqlite::Result<i64> {
        let Message { author, text, tags } = message;
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.execute(
            "INSERT INTO messages (author, text, tags) VALUES (?1, ?2, ?3)",
            (author, text, tags.join(" ")),
        )?;
        Ok(connection.last_insert_rowid())
    }
}

// ---- Its clients ----

/// A client that keeps its connection. It allocates nothing for a request and does little else, so the
/// service dominates the figures.
struct Client {
    connection: TcpStream,
    answer: [u8; 1024],
}

impl Client {
    async fn request(&mut self, request: &[u8]) -> std::io::Result<()> {
        self.connection.write_all(request).await?;
        let mut length = 0;
        loop {
            let more = self.connection.read(&mut self.answer[length..]).await?;
            length += more;
            let answer = &self.answer[..length];
            // All bodies here have one line.
            let head = answer.windows(4).position(|end| end == b"\r\n\r\n");
            if head.is_some_and(|end| answer.len() > end + 4) && answer.ends_with(b"\n") {
                assert!(answer.starts_with(b"HTTP/1.1 20"), "{answer:?}");
                return Ok(());
            }
            assert!(more > 0, "the service hung up");
        }
    }

    /// Sends requests until then, and returns the time of each.
    async fn requests(mut self, request: Arc<[u8]>, until: Instant) -> std::io::Result<Share> {
        let mut latencies = Vec::with_capacity(8_192);
        let mut start = Instant::now();
        while start < until {
            self.request(&request).await?;
            let end = Instant::now();
            latencies.push(end - start);
            start = end;
        }
        Ok((self, latencies))
    }
}

/// One client's share of a turn.
type Share = (Client, Vec<Duration>);

const CLIENTS: usize = 8;
const BODY: &str = r#"{"author": "gopher", "text": "dead simple", "tags": ["go", "rust"]}"#;

fn request(path: &str) -> Arc<[u8]> {
    let length = BODY.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         x-request-id: ca7a87c4-58d0-4fdf-857c-ef49fc3bf271\r\ncontent-length: {length}\r\n\r\n{BODY}"
    )
    .into_bytes()
    .into()
}

// ---- The race ----

/// Long enough for some dozens of requests of each client, and short enough that a disturbance affects
/// several turns.
const TURN: Duration = Duration::from_millis(20);
const TURNS: usize = 360;

struct Rival {
    name: &'static str,
    counts: bool,
    request: Arc<[u8]>,
    turns: Vec<Turn>,
}

/// Requests per second, processor time per request with the client, and latencies. Times are in
/// microseconds.
struct Turn {
    rate: f64,
    cpu: f64,
    median: f64,
    p99: f64,
}

impl Rival {
    fn new(name: &'static str, counts: bool, path: &str) -> Self {
        Self {
            name,
            counts,
            request: request(path),
            turns: Vec::with_capacity(TURNS),
        }
    }

    async fn turn(&self, clients: &mut Vec<Client>) -> Result<Turn, Box<dyn Error>> {
        COUNTS.store(self.counts, Relaxed);
        let counted = || tracer::alloc::process().map_or(0, |all| all.counts.allocates());
        let before = counted();
        let (start, cpu) = (Instant::now(), process_time());
        let mut running = JoinSet::new();
        for client in clients.drain(..) {
            running.spawn(client.requests(Arc::clone(&self.request), start + TURN));
        }
        let mut latencies = Vec::new();
        while let Some(share) = running.join_next().await {
            let (client, some) = share??;
            clients.push(client);
            latencies.extend(some);
        }
        let (time, cpu) = (start.elapsed(), process_time().saturating_sub(cpu));
        COUNTS.store(false, Relaxed);
        let each = (counted() - before) / (latencies.len() as u64);
        assert_eq!(each > 0, self.counts, "{} counted {each}", self.name);
        latencies.sort_unstable();
        let quantile = |of_hundred: usize| {
            let latency = latencies[latencies.len() * of_hundred / 100];
            latency.as_secs_f64() * 1e6
        };
        Ok(Turn {
            rate: count(latencies.len()) / time.as_secs_f64(),
            cpu: cpu.as_secs_f64() * 1e6 / count(latencies.len()),
            median: quantile(50),
            p99: quantile(99),
        })
    }
}

async fn race(title: &str, handler: &str, clients: &mut Vec<Client>) -> Result<(), Box<dyn Error>> {
    let mut rivals = [
        ("System", false, "plain"),
        ("System, empty middleware", false, "passed"),
        ("Counting", true, "plain"),
        ("Counting and trace", true, "inside"),
        ("Counting and trace, in a middleware", true, "traced"),
        ("Counting and recorder, no calls", true, "only"),
        ("Counting and recorder", true, "recorded"),
        ("the same, with sites sampled at 512 KiB", true, "sampled"),
        ("tower-http's TraceLayer, into nowhere", false, "spans"),
        ("System, once more", false, "plain"),
    ]
    .map(|(name, counts, way)| Rival::new(name, counts, &format!("/{way}/{handler}")));
    for rival in &rivals {
        rival.turn(clients).await?;
    }
    for turn in 0..TURNS {
        for place in 0..rivals.len() {
            // Forth and back, from each place in turn, so that no rival always follows the same one.
            let place = if turn % 2 == 0 {
                place
            } else {
                rivals.len() - 1 - place
            };
            let index = (place + turn / 2) % rivals.len();
            let turn = rivals[index].turn(clients).await?;
            rivals[index].turns.push(turn);
        }
    }
    println!(
        "| {title} | req/s | ratio | quartiles | CPU µs | ratio | quartiles | p50 µs | ratio | p99 µs | ratio |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let first = &rivals[0].turns;
    for Rival { name, turns, .. } in &rivals {
        print!("| {name} |");
        let median = |of: fn(&Turn) -> f64| quartiles(turns.iter().map(of))[1];
        // Turn by turn, because a disturbance affects neighbouring turns alike.
        let ratios = |of: fn(&Turn) -> f64| {
            let pairs = turns.iter().zip(first);
            quartiles(pairs.map(|(turn, first)| of(turn) / of(first)))
        };
        let rate: fn(&Turn) -> f64 = |turn| turn.rate;
        let cpu: fn(&Turn) -> f64 = |turn| turn.cpu;
        for (figure, places) in [(rate, 0), (cpu, 2)] {
            let (median, [lower, ratio, upper]) = (median(figure), ratios(figure));
            print!(" {median:.places$} | {ratio:.3} | {lower:.3}–{upper:.3} |");
        }
        let p50: fn(&Turn) -> f64 = |turn| turn.median;
        let p99: fn(&Turn) -> f64 = |turn| turn.p99;
        for figure in [p50, p99] {
            let (median, [_, ratio, _]) = (median(figure), ratios(figure));
            print!(" {median:.0} | {ratio:.3} |");
        }
        println!();
    }
    println!();
    Ok(())
}

fn quartiles(figures: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| figures[figures.len() * quarter / 4])
}

#[expect(clippy::cast_precision_loss, reason = "a number of requests")]
fn count(requests: usize) -> f64 {
    requests as f64
}

fn main() -> Result<(), Box<dyn Error>> {
    // Calibrates the clock.
    drop(Trace::new());
    // A subscriber that writes text, as most do, into a sink that costs nothing.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(std::io::sink)
        .init();
    let directory = std::env::temp_dir().join(format!("tracer-bench-{}", std::process::id()));
    std::fs::create_dir(&directory)?;
    let database = Database::create(&directory.join("messages.sqlite"))?;

    let serving = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let listener = serving.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let recorder = Recorder::builder().start()?;
    let sampled = Sites::sampled(512 << 10);
    let sampling = Recorder::builder().sites(sampled).start()?;
    let service = service(database, recorder.clone(), sampling);
    serving.spawn(async { axum::serve(listener, service).await });

    let measuring = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = measuring.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let connection = TcpStream::connect(address).await?;
            connection.set_nodelay(true)?;
            let answer = [0; 1024];
            clients.push(Client { connection, answer });
        }
        race("a message stored", "store", &mut clients).await?;
        race("nothing but an answer", "nothing", &mut clients).await
    });
    drop(serving);
    let statistics = recorder.statistics();
    assert_eq!(
        statistics.ended,
        statistics.kept + statistics.not_kept + statistics.dropped
    );
    std::fs::remove_dir_all(&directory)?;
    result
}
