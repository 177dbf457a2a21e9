//! The figures of each minute.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracer::Outcome;
use tracer::recorder::{Minute, Policy, Recorder};

use crate::common::allocate;
use crate::{PATIENCE, kept, recorder, request};

const MINUTE: Duration = Duration::from_secs(60);

fn sum(minutes: &[Minute], figure: fn(&Minute) -> u64) -> u64 {
    minutes.iter().map(figure).sum()
}

#[test]
fn every_request_is_in_one_minute_however_often_they_are_read() {
    let recorder = recorder(Policy::none());
    let before = SystemTime::now();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let recorder = &recorder;
            scope.spawn(move || {
                for number in 0..500 {
                    let mut recording = recorder.begin("job");
                    match (thread, number % 5) {
                        (_, 0) => recording.outcome(Outcome::Failed("no".to_owned())),
                        (1, 1) => recording.outcome(Outcome::Panicked),
                        (2, 1) => recording.outcome(Outcome::Cancelled),
                        _ => {}
                    }
                    let _scope = recording.inject();
                    allocate(3);
                }
            });
        }
        // Reading moves the sums of the present minute.
        let mut last = 0;
        while last < 2000 {
            let now = sum(&recorder.minutes("job"), |it| it.requests);
            assert!((last..=2000).contains(&now), "{last}, and then {now}");
            last = now;
        }
    });
    let minutes = recorder.minutes("job");
    assert_eq!(sum(&minutes, |it| it.requests), 2000);
    assert_eq!(sum(&minutes, |it| it.failed), 400);
    assert_eq!(sum(&minutes, |it| it.panicked), 100);
    assert_eq!(sum(&minutes, |it| it.cancelled), 100);
    assert_eq!(sum(&minutes, |it| it.allocates.unwrap()), 6000);
    assert_eq!(sum(&minutes, |it| it.bytes_allocated.unwrap()), 6000);
    for minute in &minutes {
        let since_epoch = minute.started.duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(since_epoch.as_nanos() % MINUTE.as_nanos(), 0);
        assert!(before < minute.started + MINUTE && minute.started <= SystemTime::now());
    }
    assert!(minutes.is_sorted_by_key(|it| it.started));
    assert_eq!(recorder.minutes("job"), minutes);
    assert_eq!(recorder.minutes("another"), []);
}

#[test]
fn times_are_those_of_the_requests() {
    let recorder = recorder(Policy::none().when("all", |_| true));
    for number in 0..60 {
        let recording = recorder.begin("job");
        std::thread::sleep(Duration::from_micros(number));
        recording.finish();
    }
    let walls: Vec<_> = kept(&recorder).iter().map(|it| request(it).wall).collect();
    let minutes = recorder.minutes("job");
    let wall: Duration = minutes.iter().map(|it| it.wall).sum();
    assert_eq!(wall, walls.iter().sum::<Duration>());
    let longest = minutes.iter().map(|it| it.max_wall).max();
    assert_eq!(longest, walls.iter().max().copied());
    // Of fewer than a hundred.
    for minute in &minutes {
        assert_eq!(
            (minute.p99_wall, minute.p99_is_bound),
            (minute.max_wall, false)
        );
    }
}

#[test]
fn a_request_counts_for_its_last_name() {
    let recorder = Recorder::builder().names(1).start().unwrap();
    let mut recording = recorder.begin("first");
    recording.name("too many");
    recording.finish();
    assert!(recorder.flush(PATIENCE));
    let requests = |name| sum(&recorder.minutes(name), |it| it.requests);
    assert_eq!((requests("first"), requests("(other)")), (0, 1));
}
