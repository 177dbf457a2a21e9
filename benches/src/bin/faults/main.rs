//! A service whose requests are all kept and sent to a collector that fails in some way: its latency and its memory,
//! beside those with a good collector.
//!
//! ```text
//! cargo run --release -p tracer-benches --no-default-features --bin faults [-- ROUNDS]
//! ```
//!
//! Prints a table in Markdown, for `benches/put faults`. A client sends a thousand requests of twenty calls a second,
//! in turns of three seconds: one with each fault, and between them one with the good collector. Each turn has a
//! recorder with the default settings, which has one second at its end. It fails if a kept request is counted in none
//! or several of the last three columns.

mod collector;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tracer::otlp::Exporter;
use tracer::recorder::{Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::{Counting, call, memory};

use collector::{Collector, FAULTS, Fault};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const TURN: Duration = Duration::from_secs(3);
const A_SECOND: u32 = 1000;
const CALLS: u32 = 20;

/// What has come out with one kind of collector.
#[derive(Default)]
struct Outcome {
    latencies: Vec<Duration>,
    own_bytes: i64,
    kept: u64,
    taken: u64,
    failed: u64,
    dropped: u64,
}

async fn handle() -> &'static str {
    let _handle = call!("handle");
    for number in 1..CALLS {
        let _call = call!("{number}");
        std::hint::black_box(vec![0_u8; 100]);
    }
    "done"
}

/// Runs a turn. Returns whether the counts agree.
fn turn(fault: Option<Fault>, outcome: &mut Outcome) -> bool {
    let builder = Recorder::builder().policy(Policy::none().when("all", |_| true));
    let collector = fault.map(Collector::start);
    let builder = match &collector {
        Some(collector) => {
            let exporter = Exporter::builder().endpoint(&collector.url());
            builder.otlp(exporter.build().expect("an exporter"))
        }
        None => builder,
    };
    let recorder = builder.start().expect("a recorder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    let layer = RecorderLayer::new(recorder.clone());
    let app = Router::new()
        .route("/orders/{id}", get(handle))
        .layer(layer);
    runtime.spawn(async { axum::serve(listener, app).await });
    let is_over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let watch = threads.spawn(|| {
            let mut highest = 0;
            while !is_over.load(Relaxed) {
                highest = highest.max(memory().overhead.map_or(0, |own| own.net_bytes()));
                std::thread::sleep(Duration::from_millis(20));
            }
            highest
        });
        outcome
            .latencies
            .append(&mut requests(address, collector.as_ref()));
        is_over.store(true, Relaxed);
        outcome.own_bytes = outcome.own_bytes.max(watch.join().expect("a figure"));
    });
    drop(runtime);
    recorder.shut_down(Duration::from_secs(1));
    let it = recorder.statistics();
    outcome.kept += it.kept;
    let Some(sink) = it.sinks.first() else {
        return true;
    };
    outcome.taken += sink.taken;
    outcome.failed += sink.failed;
    outcome.dropped += sink.dropped;
    sink.taken + sink.failed + sink.dropped == it.kept
}

/// Sends requests on one connection, and returns how long each took.
fn requests(address: SocketAddr, collector: Option<&Collector>) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).expect("the service");
    stream.set_nodelay(true).expect("a socket");
    let start = Instant::now();
    let mut latencies = Vec::new();
    let mut answer = [0; 1024];
    for number in 1.. {
        let due = Duration::from_secs(1) / A_SECOND * number;
        if due > TURN {
            break;
        }
        if due > TURN / 2
            && let Some(collector) = collector
        {
            collector.middle();
        }
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        let sent = Instant::now();
        let request = format!("GET /orders/{number} HTTP/1.1\r\nhost: faults\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let length = stream.read(&mut answer).expect("answered");
        latencies.push(sent.elapsed());
        assert!(answer[..length].ends_with(b"done"), "{number}");
    }
    latencies
}

fn main() -> ExitCode {
    let rounds = std::env::args().nth(1).map_or(Ok(5), |it| it.parse());
    let Ok(rounds) = rounds else {
        eprintln!("faults: expected a number of rounds");
        return ExitCode::from(2);
    };
    let kinds = [("no sink", None), ("good", Some(Fault::None))];
    let faults = FAULTS.map(|(name, fault)| (name, Some(fault)));
    let kinds: Vec<_> = kinds.into_iter().chain(faults).collect();
    let mut outcomes: Vec<_> = kinds.iter().map(|_| Outcome::default()).collect();
    let mut agree = true;
    for _ in 0..rounds {
        for (place, (_, fault)) in kinds.iter().enumerate() {
            agree &= turn(*fault, &mut outcomes[place]);
            if place > 1 {
                agree &= turn(Some(Fault::None), &mut outcomes[1]);
            }
        }
    }
    println!("| collector | p50 µs | p99 µs | own memory, MB | kept | taken | failed | dropped |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for ((name, fault), mut it) in kinds.into_iter().zip(outcomes) {
        it.latencies.sort();
        let at = |of_hundred: usize| {
            let place = (it.latencies.len() - 1) * of_hundred / 100;
            it.latencies[place].as_micros()
        };
        let counts = match fault {
            None => "– | – | –".to_owned(),
            Some(_) => format!("{} | {} | {}", it.taken, it.failed, it.dropped),
        };
        let megabytes = it.own_bytes / 100_000;
        println!(
            "| {name} | {} | {} | {}.{} | {} | {counts} |",
            at(50),
            at(99),
            megabytes / 10,
            megabytes % 10,
            it.kept
        );
    }
    if agree {
        ExitCode::SUCCESS
    } else {
        eprintln!("faults: the counts do not agree");
        ExitCode::FAILURE
    }
}
