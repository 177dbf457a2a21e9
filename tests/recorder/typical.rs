//! Typical requests, to compare others with.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracer::recorder::{Policy, Recorder};
use tracer::{Report, call};

use crate::common::allocate;
use crate::{LONG, PATIENCE, kept, request};

fn job(recorder: &Recorder, allocations: u64, time: Duration) {
    let recording = recorder.begin("job");
    let _scope = recording.inject();
    let _call = call!();
    allocate(allocations);
    std::thread::sleep(time);
}

/// Records requests until one of them is typical: two in three take a millisecond and allocate three times.
fn until_typical(recorder: &Recorder) -> Arc<Report> {
    let end = Instant::now() + PATIENCE;
    loop {
        job(recorder, 90, Duration::ZERO);
        job(recorder, 3, Duration::from_millis(1));
        job(recorder, 3, Duration::from_millis(1));
        assert!(recorder.flush(PATIENCE));
        if let Some(typical) = recorder.typical("job").first() {
            return Arc::clone(typical);
        }
        assert!(Instant::now() < end, "{:?}", recorder.routes());
    }
}

#[test]
fn a_typical_request_is_near_the_median_and_in_no_list() {
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let recorder = Recorder::builder()
        .policy(Policy::none())
        .window(LONG)
        .callback("count", move |_| {
            counter.fetch_add(1, Relaxed);
        })
        .start()
        .unwrap();
    let report = until_typical(&recorder);
    assert_eq!(report.total.unwrap().allocates(), 3);
    assert_eq!((&*report.calls[0].name, report.calls.len()), ("job", 1));
    assert!(request(&report).reasons.is_empty());
    assert!(request(&report).wall >= Duration::from_millis(1));
    assert_eq!(recorder.get(report.trace), Some(Arc::clone(&report)));
    // One in a window.
    for _ in 0..50 {
        job(&recorder, 3, Duration::from_millis(1));
    }
    assert_eq!(kept(&recorder), []);
    assert_eq!(recorder.typical("job"), [report]);
    assert_eq!(recorder.typical("another"), []);
    let statistics = recorder.statistics();
    assert_eq!(
        (statistics.kept, statistics.dropped, statistics.in_memory),
        (0, 0, 0)
    );
    assert_eq!(statistics.ended, statistics.not_kept);
    assert_eq!((statistics.sinks[0].taken, taken.load(Relaxed)), (0, 0));
}

#[test]
fn a_kept_request_may_be_typical_too() {
    let everything = Policy::none().when("everything", |_| true);
    let recorder = Recorder::builder().policy(everything).start().unwrap();
    let report = until_typical(&recorder);
    assert_eq!(request(&report).reasons, ["everything"]);
    assert_eq!(
        kept(&recorder).iter().filter(|it| **it == report).count(),
        1
    );
    let statistics = recorder.statistics();
    assert_eq!(statistics.ended, statistics.kept);
}

#[test]
fn a_failure_is_not_typical() {
    let recorder = Recorder::builder().policy(Policy::none()).start().unwrap();
    for _ in 0..100 {
        let mut recording = recorder.begin("job");
        std::thread::sleep(Duration::from_millis(1));
        recording.fail("always");
    }
    assert!(recorder.flush(PATIENCE));
    assert_eq!(recorder.typical("job"), []);
}
