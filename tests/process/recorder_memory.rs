//! The memory of a recorder under a load that fills every part of it stays within its limit.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tracer::recorder::{Policy, Recorder, Rotation};
use tracer::{call, memory};

const GIVEN: i64 = 2 << 20;
/// The number of threads that make requests at once.
const THREADS: u64 = 4;
const REQUESTS: u64 = 20_000;
/// The memory of traces in flight, and each thread's memory to read them.
const IN_FLIGHT: i64 = 256 << 10;

fn own_bytes() -> i64 {
    let own = memory().overhead;
    own.expect("`Counting` is installed").net_bytes()
}

/// Opens calls on one of a hundred paths, with texts that do not fit into a record. They keep memory.
fn work(number: u64) {
    let bytes = 1 << (number % 12);
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
            let call = call!("{:>100}", number, label = "x".repeat(50));
            call.checkpoint(&"y".repeat(50));
            $inside;
        }};
    }
    let made;
    level!(number, level!(number / 10, made = vec![0_u8; bytes]));
    drop(black_box(made));
}

fn request(recorder: &Recorder, number: u64) {
    let mut recording = recorder.begin(&format!("{:>200}", number % 5000));
    recording.id("i".repeat(300));
    for label in 0..number % 20 {
        recording.label(format!("label {label}"), "v".repeat(300));
    }
    let _scope = recording.inject();
    // A few requests are large.
    let times = if number.is_multiple_of(997) { 50 } else { 1 };
    (0..times).for_each(|time| work(number + time));
    if number.is_multiple_of(2) {
        recording.fail("w".repeat(2000));
    }
}

pub(crate) fn never_more_than_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let before = own_bytes();
    let recorder = Recorder::builder()
        .policy(Policy::default().allocates_over(100))
        .memory_bytes(GIVEN.unsigned_abs().try_into().unwrap())
        .names(usize::MAX)
        .file(
            directory.path().join("kept.jsonl"),
            Rotation::default().max_bytes(1 << 20).files(2),
        )
        .callback("slow", |_| std::thread::sleep(Duration::from_millis(1)))
        .start()
        .unwrap();
    let is_over = AtomicBool::new(false);
    let highest = std::thread::scope(|threads| {
        let watch = threads.spawn(|| {
            let mut highest = 0;
            while !is_over.load(Relaxed) {
                highest = highest.max(own_bytes() - before);
                std::thread::yield_now();
            }
            highest
        });
        let workers = (0..THREADS).map(|worker| {
            let recorder = &recorder;
            let numbers = (worker..REQUESTS).step_by(usize::try_from(THREADS).unwrap());
            threads.spawn(|| {
                for number in numbers {
                    request(recorder, number);
                }
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.join().unwrap();
        }
        is_over.store(true, Relaxed);
        watch.join().unwrap()
    });
    assert!(recorder.flush(Duration::from_secs(60)));
    let statistics = recorder.statistics();
    assert_eq!((statistics.ended, statistics.in_flight), (REQUESTS, 0));
    assert_eq!(
        statistics.ended,
        statistics.kept + statistics.not_kept + statistics.dropped
    );
    // Every part is full.
    assert!(
        statistics.evicted > 0 && statistics.not_compared > 0,
        "{statistics:?}"
    );
    assert!(recorder.routes().iter().any(|it| it.name == "(other)"));
    assert!(
        highest <= GIVEN + IN_FLIGHT,
        "{highest} bytes of {GIVEN}: {statistics:?}"
    );
    // The stated bytes of reports in memory are right, but for some per cent of lists.
    let full = own_bytes();
    let (held, said) = (memory().held_bytes, statistics.in_memory_bytes);
    drop(recorder);
    assert_eq!(memory().held_bytes, held);
    let given_back = usize::try_from(full - own_bytes()).unwrap();
    assert!(
        (said..said * 2).contains(&given_back),
        "{given_back} bytes, {said} of them reports"
    );
}
