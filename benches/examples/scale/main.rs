//! How costs and memory grow: requests in flight, threads, and the memory for kept requests, up to 1 GiB.
//!
//! ```text
//! cargo run --release -p tracer-benches --example scale [-- short] [in-flight] [threads] [ring]
//! ```
//!
//! Prints tables in Markdown, for `benches/put scale`: all of them, or those that are named. It takes two minutes, and
//! 5 GiB of memory at most; `short` does a hundredth, to see that it works. It fails if memory exceeds its bound, or if
//! requests are not counted.

mod in_flight;
mod ring;
mod threads;

use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tracer::recorder::Recorder;
use tracer::{Counting, call};
use tracer_benches::processor::{process_time, thread_time};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const CALLS: u32 = 10;

/// A request of ten calls. Each hundredth fails.
fn request(recorder: &Recorder, number: u64) {
    let mut recording = recorder.begin(&format!("GET /{}", number % 50));
    recording.id(format_args!("request-{number:08}"));
    let scope = recording.inject();
    let handle = call!("{number}");
    for row in 1..CALLS {
        call!("row {row}", table = "orders").stop();
    }
    drop((handle, scope));
    if number.is_multiple_of(100) {
        recording.fail(format_args!("no row of order {number}"));
    }
    recording.finish();
}

/// The pages of a recorder.
struct Pages {
    runtime: Runtime,
    pages: Router,
}

impl Pages {
    fn of(recorder: &Recorder) -> Self {
        Self {
            runtime: Runtime::new().expect("a runtime"),
            pages: tracer::web::router_for::<()>(recorder.clone(), |_| true),
        }
    }

    fn get(&self, path: &str) -> usize {
        let request = Request::get(path).body(Body::empty()).expect("a path");
        self.runtime.block_on(async {
            let Ok(page) = self.pages.clone().oneshot(request).await;
            assert!(page.status().is_success(), "{path}: {}", page.status());
            let body = to_bytes(page.into_body(), usize::MAX).await;
            body.expect("a page").len()
        })
    }

    /// Returns the median processor time of a page, in milliseconds.
    fn milliseconds(&self, path: &str) -> f64 {
        median(|| {
            self.get(path);
        }) * 1e3
    }
}

/// Returns the median of the processor times of five runs, in seconds.
fn median(mut work: impl FnMut()) -> f64 {
    let mut times = [(); 5].map(|()| {
        let start = process_time();
        work();
        process_time().saturating_sub(start)
    });
    times.sort();
    times[2].as_secs_f64()
}

/// Returns the processor time of each of `times` runs on this thread, in nanoseconds.
fn each(times: u32, work: impl FnMut(u32)) -> f64 {
    let start = thread_time();
    (0..times).for_each(work);
    thread_time().saturating_sub(start).as_secs_f64() * 1e9 / f64::from(times)
}

/// Runs requests one after the other, while another thread does something else again and again. Returns the time
/// that 999 of 1,000 requests did not exceed, and the longest, in microseconds.
fn beside(recorder: &Recorder, time: Duration, other: impl Fn() + Sync) -> (f64, f64) {
    let is_over = AtomicBool::new(false);
    let mut times = std::thread::scope(|threads| {
        threads.spawn(|| {
            while !is_over.load(Relaxed) {
                other();
            }
        });
        let begun = Instant::now();
        let mut times = Vec::new();
        while begun.elapsed() < time {
            let start = Instant::now();
            request(recorder, 1 + times.len() as u64);
            times.push(start.elapsed());
            // A service has other things to do.
            std::thread::sleep(Duration::from_micros(50));
        }
        is_over.store(true, Relaxed);
        times
    });
    times.sort();
    let at = |place: usize| times[place].as_secs_f64() * 1e6;
    (at(times.len() * 999 / 1000), at(times.len() - 1))
}

/// Whether it is a short run, to see that it works.
fn is_short() -> bool {
    std::env::args().any(|it| it == "short")
}

/// Returns whether a table is wanted.
fn wants(table: &str) -> bool {
    let named: Vec<_> = std::env::args()
        .skip(1)
        .filter(|it| it != "short")
        .collect();
    named.is_empty() || named.iter().any(|it| it == table)
}

fn main() -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores:\n");
    let is_well = [
        ("in-flight", in_flight::run as fn() -> bool),
        ("threads", threads::run),
        ("ring", ring::run),
    ]
    .into_iter()
    .filter(|(table, _)| wants(table))
    .fold(true, |is_well, (_, run)| is_well & run());
    if is_well {
        ExitCode::SUCCESS
    } else {
        eprintln!("scale: figures above exceed their bounds, or do not agree");
        ExitCode::FAILURE
    }
}
