//! Bounds of a recorder: its memory, its names, the texts it keeps.

use std::time::Duration;

use tracer::recorder::{Policy, Recorder};
use tracer::{Limits, Outcome, call};

use crate::{LONG, PATIENCE, handle, kept, recorder, request};

#[test]
fn the_ring_drops_from_the_largest_group() {
    let recorder = Recorder::builder()
        .policy(Policy::none().failed().cancelled())
        .memory_bytes(64 << 10)
        .start()
        .unwrap();
    let end = |name: &str, outcome: Outcome| {
        let mut recording = recorder.begin(name);
        recording.outcome(outcome);
        drop(recording);
        assert!(recorder.flush(PATIENCE));
    };
    end("rare", Outcome::Cancelled);
    for _ in 0..300 {
        end("often", Outcome::Failed("again".to_owned()));
    }
    let statistics = recorder.statistics();
    assert_eq!((statistics.kept, statistics.dropped), (301, 0));
    assert!(statistics.in_memory_bytes <= 32 << 10);
    assert_eq!(statistics.in_memory as u64 + statistics.evicted, 301);
    assert!(statistics.evicted > 200, "{statistics:?}");
    let kept = kept(&recorder);
    assert_eq!(request(&kept[0]).name, "rare");
    assert_eq!(recorder.get(kept[0].trace).as_ref(), Some(&kept[0]));
    assert_eq!(recorder.get(u64::MAX), None);
}

#[test]
fn a_million_names_are_bounded() {
    let recorder = Recorder::builder()
        .policy(Policy::none())
        .names(3)
        .start()
        .unwrap();
    for name in 0..10_000 {
        drop(recorder.begin(&format!("{name}")));
    }
    drop(recorder.begin(&"x".repeat(1 << 20)));
    let names: Vec<_> = recorder
        .routes()
        .into_iter()
        .map(|it| (it.name, it.ended))
        .collect();
    let ended = |name: &str, ended| (name.to_owned(), ended);
    assert_eq!(
        names,
        [
            ended("(other)", 9998),
            ended("0", 1),
            ended("1", 1),
            ended("2", 1)
        ]
    );
}

#[test]
fn texts_from_outside_are_bounded() {
    let recorder = recorder(Policy::none().failed());
    let mut recording = recorder.begin(&"é".repeat(1 << 20));
    recording.id("é".repeat(1 << 20));
    recording.fail("é".repeat(1 << 20));
    for number in 0..100 {
        recording.label(format!("label {number}"), "x".repeat(1 << 20));
    }
    recording.label("label 0", "again");
    drop(recording);
    let kept = kept(&recorder);
    let request = request(&kept[0]);
    assert_eq!(request.name, "é".repeat(126) + "…");
    assert_eq!(request.id.as_deref(), Some(&*request.name));
    let Outcome::Failed(why) = &request.outcome else {
        panic!()
    };
    assert_eq!(why.len(), 1023);
    assert_eq!((request.labels.len(), request.labels[1].1.len()), (32, 256));
    assert_eq!(request.labels[0], ("label 0".into(), "again".to_owned()));
}

#[test]
fn the_largest_request_is_not_too_large() {
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .memory_bytes(1 << 20)
        .callback("counts", |_| ())
        .start()
        .unwrap();
    let strands = recorder.begin("strands");
    for _ in 0..200 {
        let _scope = strands.inject();
        call!().stop();
    }
    let mut strands = strands;
    strands.fail("each takes a page");
    drop(strands);
    let calls = recorder.begin("calls");
    let scope = calls.inject();
    (0..6000).for_each(|_| call!().stop());
    drop(scope);
    assert!(recorder.flush(PATIENCE));
    let mut calls = calls;
    calls.fail("a report of megabytes");
    drop(calls);
    assert!(recorder.flush(PATIENCE));
    let statistics = recorder.statistics();
    assert_eq!((statistics.kept, statistics.dropped), (2, 0));
    assert_eq!(statistics.sinks[0].taken, 2);
}

#[test]
fn a_recorder_of_nothing_still_counts() {
    let policy = Policy::none()
        .failed()
        .slowest(0, LONG)
        .heaviest(0, Duration::ZERO);
    let recorder = Recorder::builder()
        .policy(policy)
        .memory_bytes(0)
        .names(0)
        .window(Duration::ZERO)
        .trace(0, Limits::default().calls(0).strands(0).text_bytes(0))
        .start()
        .unwrap();
    recorder.record("job", || handle(3));
    recorder.begin("another").fail("why");
    let kept = kept(&recorder);
    assert_eq!((kept.len(), &*request(&kept[0]).name), (1, "(other)"));
    let it = recorder.statistics();
    assert_eq!((it.ended, it.not_kept, it.kept), (2, 1, 1));
}

#[test]
fn a_request_that_is_not_kept_counts_no_allocations() {
    let recorder = recorder(Policy::none());
    let once = || {
        tracer::alloc::measure(|| {
            let mut recording = recorder.begin("job");
            recording.id(7);
            recording.label("tenant", "acme");
            let _scope = recording.inject();
            handle(0);
        })
    };
    once();
    // All counts are 0: it frees nothing of the program's either.
    assert_eq!(once().counts, Some(tracer::alloc::Counts::ZERO));
}
