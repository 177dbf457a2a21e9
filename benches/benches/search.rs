//! The cost of pages over many requests: with all memory for kept requests in use, and with 100 MB of files.

use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tracer::recorder::{Policy, Recorder, Rotation};
use tracer::{Counting, Outcome, call};
use tracer_benches::processor::process_time;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const FILES_BYTES: u64 = 100_000_000;
const FILE_BYTES: u64 = 25_000_000;
/// A page takes too long for turns.
const TIMES: usize = 21;

/// What is searched for, and the query.
const QUERIES: [(&str, &str); 7] = [
    ("by id", "id=request-77777777"),
    ("by text", "text=nothing+like+that"),
    ("by text of each request", "text=tenant"),
    ("by text of each call", "text=orders"),
    ("by route", "route=GET+/7"),
    ("failures of the last hour", "outcome=failure&since=1h"),
    ("all, by size", "sort=bytes"),
];

/// A request of ten calls, each tenth of which fails.
fn request(recorder: &Recorder, number: u64) {
    let mut recording = recorder.begin(&format!("GET /{}", number % 50));
    recording.id(format_args!("request-{number:08}"));
    recording.label("tenant", format_args!("tenant-{}", number % 97));
    let scope = recording.inject();
    let handle = call!("{number}");
    for row in 0..9 {
        call!("row {row}", table = "orders").stop();
    }
    drop((handle, scope));
    if number.is_multiple_of(10) {
        let message = format!("CHECK constraint 'c{number}' failed for order {number}");
        recording.outcome(Outcome::Failed(message));
    }
    recording.finish();
}

fn recorder(file: Option<&Path>) -> Recorder {
    let mut builder = Recorder::builder().policy(Policy::none().when("all", |_| true));
    if let Some(path) = file {
        let rotation = Rotation::default().max_bytes(FILE_BYTES).files(5);
        builder = builder.file(path, rotation);
    }
    builder.start().expect("a recorder")
}

/// Gets a page, and returns its length.
fn get(runtime: &Runtime, pages: &Router, path: &str) -> usize {
    let request = Request::get(path).body(Body::empty()).expect("a path");
    runtime.block_on(async {
        let Ok(page) = pages.clone().oneshot(request).await;
        assert!(page.status().is_success(), "{path}: {}", page.status());
        let body = to_bytes(page.into_body(), usize::MAX).await;
        body.expect("a page").len()
    })
}

fn in_memory(runtime: &Runtime) {
    let recorder = recorder(None);
    let mut numbers = 0..;
    while recorder.statistics().evicted == 0 {
        numbers
            .by_ref()
            .take(100)
            .for_each(|number| request(&recorder, number));
        recorder.flush(Duration::from_secs(5));
    }
    let pages = tracer::web::router_for::<()>(recorder, |_| true);
    println!("| a page, memory full | median ms | processor ms |");
    println!("|---|--:|--:|");
    for (name, path) in [("overview", "/"), ("failures", "/failures")] {
        time(runtime, &pages, name, path);
    }
    for (name, query) in QUERIES {
        let path = format!("/search?{query}");
        time(runtime, &pages, &format!("search {name}"), &path);
    }
    println!();
}

/// Prints how long a page takes, and how much time of the processor.
fn time(runtime: &Runtime, pages: &Router, name: &str, path: &str) {
    let (mut times, mut of_processor) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let (start, used) = (Instant::now(), process_time());
        get(runtime, pages, path);
        times.push(start.elapsed());
        of_processor.push(process_time().saturating_sub(used));
    }
    let [times, of_processor] = [times, of_processor].map(|mut it| {
        it.sort();
        it[TIMES / 2].as_secs_f64() * 1e3
    });
    println!("| {name} | {times:.1} | {of_processor:.1} |");
}

fn in_files(runtime: &Runtime) {
    let folder = std::env::temp_dir().join(format!("tracer-search-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let recorder = recorder(Some(&folder.join("traces.jsonl")));
    let written = || {
        let files = std::fs::read_dir(&folder).expect("a folder");
        files
            .filter_map(|it| it.ok()?.metadata().ok())
            .map(|it| it.len())
            .sum::<u64>()
    };
    let mut numbers = 0..;
    while written() < FILES_BYTES {
        numbers
            .by_ref()
            .take(500)
            .for_each(|number| request(&recorder, number));
        recorder.flush(Duration::from_secs(5));
    }
    let pages = tracer::web::router_for::<()>(recorder.clone(), |_| true);
    println!("| a search, 100 MB of files | median ms | processor ms |");
    println!("|---|--:|--:|");
    for (name, query) in QUERIES {
        time(runtime, &pages, name, &format!("/search?{query}"));
    }
    println!();
    drop((pages, recorder));
    // Nothing depends on it.
    let _ = std::fs::remove_dir_all(&folder);
}

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    in_memory(&runtime);
    in_files(&runtime);
}
