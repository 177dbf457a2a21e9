//! Counts of all requests: statistics, routes, hotspots, requests in flight.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tracer::call;
use tracer::recorder::{Policy, Recorder};

use crate::baseline::with_queries;
use crate::{PATIENCE, allocating, handle, recorder};

#[test]
fn the_number_in_flight_is_plausible_whenever_it_is_read() {
    const READINGS: u32 = 20_000;
    let policy = Policy::none().failed();
    let recorder = Recorder::builder().policy(policy).memory_bytes(1 << 20);
    let recorder = recorder.start().unwrap();
    let _held = ["held", "a"].map(|name| recorder.begin(name));
    let done = AtomicBool::new(false);
    let (mut read, mut read_by_route) = (Vec::new(), Vec::new());
    let begun: u64 = std::thread::scope(|threads| {
        let work = || {
            let names = ["a", "b", "c"].iter().cycle();
            let begin = |(number, name): (u64, &&str)| {
                let mut recording = recorder.begin(name);
                if number.is_multiple_of(5) {
                    recording.fail("why");
                }
            };
            let until = names.take_while(|_| !done.load(Relaxed));
            (0..).zip(until).map(begin).count() as u64
        };
        let threads = [(); 3].map(|()| threads.spawn(work));
        for _ in 0..READINGS {
            read.push(recorder.statistics());
        }
        for _ in 0..READINGS / 20 {
            read_by_route.push(recorder.routes());
        }
        done.store(true, Relaxed);
        threads.map(|it| it.join().unwrap()).iter().sum()
    });
    for it in read {
        assert!((2..=5).contains(&it.in_flight), "{}", it.in_flight);
        assert_eq!(it.ended, it.kept + it.not_kept + it.dropped);
    }
    for routes in read_by_route {
        let in_flight: u64 = routes.iter().map(|it| it.in_flight).sum();
        assert!((2..=5).contains(&in_flight), "{in_flight}");
    }
    let it = recorder.statistics();
    assert_eq!((it.ended, it.in_flight), (begun, 2));
}

#[test]
fn nothing_is_lost_when_many_threads_end_requests_at_once() {
    let recorder = recorder(Policy::none().when("each third", |ended| {
        ended
            .id
            .and_then(|id| id.parse().ok())
            .is_some_and(|id: u64| id.is_multiple_of(3))
    }));
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| (0..3000).for_each(|id| allocating(&recorder, id, 1)));
        }
    });
    assert!(recorder.flush(PATIENCE));
    let statistics = recorder.statistics();
    assert_eq!(
        (statistics.ended, statistics.not_kept, statistics.in_flight),
        (12_000, 8000, 0)
    );
    assert_eq!(statistics.kept + statistics.dropped, 4000);
    let routes = recorder.routes();
    assert_eq!((routes[0].recent, routes[0].ended), (12_000, 12_000));
    assert_eq!(routes[0].total.unwrap().allocations, 12_000);
    assert_eq!(routes[0].allocates.unwrap().max, 1);
}

#[test]
fn the_oldest_requests_in_flight_are_first() {
    let recorder = recorder(Policy::none());
    let begin = |name| recorder.begin(name);
    let _all = std::thread::scope(|threads| {
        let first = begin("first");
        let second = threads.spawn(|| begin("second")).join().unwrap();
        [first, second, begin("third")]
    });
    let in_flight = recorder.in_flight();
    let names: Vec<_> = in_flight.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["first", "second", "third"]);
}

#[test]
fn requests_in_flight_are_listed() {
    let recorder = recorder(Policy::none());
    let mut recording = recorder.begin("GET /\n");
    recording.id("7\x1b[2J");
    let _scope = recording.inject();
    let call = call!();
    call.checkpoint("half");
    let in_flight = recorder.in_flight();
    assert_eq!(in_flight[0].now.open.len(), 1);
    let mut text = Vec::new();
    recorder.dump(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "1 request in flight",
            "GET /\\n [7\\u{1b}[2J]",
            "\tcall requests_in_flight_are_listed",
            "\t\tcheckpoint [half]"
        ]
    );
}

#[test]
fn recent_windows_count() {
    let recorder = Recorder::builder()
        .policy(Policy::none())
        .window(Duration::from_millis(1))
        .start()
        .unwrap();
    recorder.record("job", || handle(1));
    loop {
        let route = recorder.routes().remove(0);
        assert_eq!(route.ended, 1);
        if route.recent == 0 {
            assert_eq!((route.wall, route.allocates), (None, None));
            break;
        }
        std::thread::yield_now();
    }
    recorder.record("job", || handle(1));
    assert_eq!(recorder.routes()[0].ended, 2);
}

#[test]
fn all_requests_are_in_the_hotspots() {
    let recorder = recorder(Policy::none());
    for _ in 0..3 {
        with_queries(&recorder, 2, 5);
    }
    recorder.record("another", || handle(1));
    let hotspots = recorder.hotspots(Some("GET /orders/{id}"));
    let paths: Vec<_> = hotspots
        .paths()
        .iter()
        .map(|path| {
            let totals = path.totals;
            let allocates = [totals.total, totals.self_counts].map(|it| it.unwrap().allocates());
            (path.frame.line, path.depth, totals.calls, allocates)
        })
        .collect();
    let line = paths[0].0;
    assert_eq!(paths, [(line, 0, 3, [30, 0]), (line + 2, 1, 6, [30, 30])]);
    assert_eq!(
        (hotspots.reports(), hotspots.counts().unwrap().allocates()),
        (3, 30)
    );
    let all = recorder.hotspots(None);
    assert_eq!((all.reports(), all.counts().unwrap().allocates()), (4, 31));
    assert_eq!(recorder.hotspots(Some("nobody")).reports(), 0);
    let route = &recorder.routes()[0];
    let counted: u64 = route.wall_bins.iter().map(|(.., count)| count).sum();
    assert_eq!((&*route.name, counted), ("GET /orders/{id}", 3));
}
