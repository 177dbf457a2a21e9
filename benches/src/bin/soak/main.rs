//! A recorder at full load for a while: checks that its memory is flat and bounded, and that no request
//! is lost.
//!
//! ```text
//! cargo run --release -p tracer-benches --no-default-features --bin soak [-- SECONDS]
//! ```
//!
//! Two fifths of the time it runs [jobs], as fast as the processors can, and as long a [service] behind the
//! layer, whose clients hang up now and then. The rest of the time it [sends](export) a thousand kept requests
//! a second to a collector, of which none may be lost. Before, kept requests go to a file that is rotated
//! and to a callback that is too slow. It fails if the tracer's own memory exceeds its limit or grows in
//! the second half by more than a mebibyte, or if the sums don't agree: each request that was begun, or
//! that a client has sent, is kept, not kept or dropped.

mod export;
mod jobs;
mod service;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tracer::Counting;
use tracer::recorder::{Policy, Recorder, Rotation};

use watch::Watch;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const MOST_GROWTH: i64 = 1 << 20;

fn start(file: &Path, memory_bytes: i64) -> Recorder {
    Recorder::builder()
        .policy(Policy::default())
        .memory_bytes(usize::try_from(memory_bytes).expect("a size"))
        .window(Duration::from_secs(2))
        .file(file, Rotation::default().max_bytes(8 << 20))
        .callback("slow", |_| std::thread::sleep(Duration::from_millis(1)))
        .start()
        .expect("a recorder")
}

/// Runs a load, and returns whether the figures are right.
fn soak(name: &str, time: Duration, given: i64, load: fn(&Recorder, &Watch) -> u64) -> bool {
    println!("{name}:");
    let directory = format!("tracer-soak-{}-{name}", std::process::id());
    let directory = std::env::temp_dir().join(directory);
    std::fs::create_dir(&directory).expect("a directory for the reports");
    let recorder = start(&directory.join("kept.jsonl"), given);
    let watch = Watch::new(time);
    let begun = load(&recorder, &watch);
    let is_flushed = recorder.flush(Duration::from_secs(30));
    let it = recorder.statistics();
    println!("{it:#?}");
    drop(recorder);
    let _ = std::fs::remove_dir_all(&directory);
    let sum = it.kept + it.not_kept + it.dropped;
    let is_exact = sum == begun && it.ended == begun && it.in_flight == 0;
    let of_sinks =
        { it.sinks.iter() }.all(|sink| sink.taken + sink.failed + sink.dropped == it.kept);
    let (growth, highest) = (watch.growth(), watch.highest());
    println!(
        "begun {begun}, in all {sum}; own memory {highest} bytes at most, grown by {growth} in the second half\n"
    );
    is_flushed && is_exact && of_sinks && highest <= given && growth <= MOST_GROWTH
}

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).map_or(Ok(60), |it| it.parse());
    let Ok(seconds) = seconds else {
        eprintln!("soak: expected a number of seconds");
        return ExitCode::from(2);
    };
    let fifth = Duration::from_secs(seconds) / 5;
    // The service gets less memory, so that all of it is used within a second or two.
    let is_well = soak("jobs", fifth * 2, 16 << 20, jobs::run)
        & soak("service", fifth * 2, 4 << 20, service::run)
        & export::run(fifth);
    if is_well {
        ExitCode::SUCCESS
    } else {
        eprintln!("soak: the figures above do not come out");
        ExitCode::FAILURE
    }
}
