//! A recorder at full load for a while: is its memory flat, and is no request lost?
//!
//! ```text
//! cargo run --release -p tracer-benches --example soak [-- SECONDS]
//! ```
//!
//! Each processor's thread ends one request after the other, of names that come and go, with calls on
//! a thousand paths; one in a hundred is kept, and goes to a file that is rotated and to a callback
//! that is too slow. Each tenth of the time is a line. It fails where the tracer's own memory grows in
//! the second half by more than a mebibyte, or where the sum does not come out.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use tracer::recorder::{Policy, Recorder, Rotation};
use tracer::{Counting, call, memory};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const STEPS: u32 = 10;
const MOST_GROWTH: i64 = 1 << 20;

/// A thousand paths: three levels of ten.
fn work(number: u64) {
    macro_rules! level {
        ($digit:expr, $inside:expr) => {
            match $digit % 10 {
                0 => level!(@ $inside), 1 => level!(@ $inside), 2 => level!(@ $inside),
                3 => level!(@ $inside), 4 => level!(@ $inside), 5 => level!(@ $inside),
                6 => level!(@ $inside), 7 => level!(@ $inside), 8 => level!(@ $inside),
                _ => level!(@ $inside),
            }
        };
        (@ $inside:expr) => {{
            let _call = call!();
            $inside;
        }};
    }
    fn outer(number: u64) {
        level!(number, middle(number / 10));
    }
    fn middle(number: u64) {
        level!(number, inner(number / 10));
    }
    fn inner(number: u64) {
        level!(number, drop(black_box(Box::new(number))));
    }
    outer(number);
    let limit = number % 7;
    (0..limit).for_each(|_| inner(number));
}

fn request(recorder: &Recorder, number: u64) {
    let mut recording = recorder.begin(&format!("job {}", number % 400));
    recording.id(number);
    let _scope = recording.inject();
    let call = call!("{number}");
    work(number);
    if number.is_multiple_of(100) {
        call.fail("each hundredth");
    }
}

/// What the tracer holds for itself, its records included, in bytes.
fn own_bytes() -> i64 {
    memory().own.map_or(0, |own| own.net_bytes())
}

/// What the process has in memory, in mebibytes, where the system tells.
fn resident_mebibytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages
        .as_deref()
        .and_then(|it| it.split(' ').nth(1)?.parse::<u64>().ok());
    (pages.unwrap_or(0) * 4096) >> 20
}

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).map_or(Ok(60), |it| it.parse());
    let Ok(seconds) = seconds else {
        eprintln!("soak: expected a number of seconds");
        return ExitCode::from(2);
    };
    let directory = std::env::temp_dir().join(format!("tracer-soak-{}", std::process::id()));
    std::fs::create_dir(&directory).expect("a directory for the reports");
    let recorder = Recorder::builder()
        .policy(Policy::default())
        .window(Duration::from_secs(2))
        .file(
            directory.join("kept.jsonl"),
            Rotation::default().max_bytes(8 << 20),
        )
        .callback("slow", |_| std::thread::sleep(Duration::from_millis(1)))
        .start()
        .expect("a recorder");
    let (is_over, begun) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut growth = 0;
    std::thread::scope(|threads| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            threads.spawn(|| {
                while !is_over.load(Relaxed) {
                    request(&recorder, begun.fetch_add(1, Relaxed));
                }
            });
        }
        let start = Instant::now();
        let mut half = 0;
        for step in 1..=STEPS {
            let next = Duration::from_secs(seconds) * step / STEPS;
            std::thread::sleep(next.saturating_sub(start.elapsed()));
            let own = own_bytes();
            if step == STEPS / 2 {
                half = own;
            }
            growth = own - half;
            let it = recorder.statistics();
            println!(
                "{next:?}: ended {}, kept {}, not kept {}, dropped {}, own memory {own} bytes, resident {} MiB",
                it.ended,
                it.kept,
                it.not_kept,
                it.dropped,
                resident_mebibytes()
            );
        }
        is_over.store(true, Relaxed);
    });
    let is_flushed = recorder.flush(Duration::from_secs(30));
    let statistics = recorder.statistics();
    println!("{statistics:#?}");
    drop(recorder);
    let _ = std::fs::remove_dir_all(&directory);
    let sum = statistics.kept + statistics.not_kept + statistics.dropped;
    let begun = begun.into_inner();
    let is_exact = sum == begun && statistics.ended == begun && statistics.in_flight == 0;
    let of_sinks =
        { statistics.sinks.iter() }.all(|it| it.taken + it.failed + it.dropped == statistics.kept);
    println!("begun {begun}, in all {sum}; grown by {growth} bytes in the second half");
    if is_flushed && is_exact && of_sinks && growth <= MOST_GROWTH {
        ExitCode::SUCCESS
    } else {
        eprintln!("soak: the figures above do not come out");
        ExitCode::FAILURE
    }
}
