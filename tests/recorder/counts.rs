//! Counts of all requests: statistics, routes, hotspots, requests in flight.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use tracer::alloc::Counts;
use tracer::hotspots::Hotspots;
use tracer::recorder::{Policy, Recorder};
use tracer::{call, fetch};

use crate::baseline::with_queries;
use crate::common::allocate;
use crate::{PATIENCE, allocating, handle, kept, recorder};

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

/// Calls in other numbers and orders than those of the request before, which end in each way.
fn serve(number: u64) {
    let _serve = call!("serve");
    for times in 0..number % 4 {
        let _repeated = call!("repeated");
        allocate(times);
        if number.is_multiple_of(3) {
            let inner = call!("inner");
            inner.fail("no such row");
            allocate(2);
        }
    }
    if number.is_multiple_of(5) {
        let elsewhere = fetch();
        let stopped = call!("stopped elsewhere");
        allocate(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _scope = elsewhere.inject();
                let _call = call!("spawned");
                allocate(3);
            });
        });
        thread::spawn(move || drop(stopped)).join().unwrap();
    }
    call!("last").stop();
    // It is open when the request ends.
    if number.is_multiple_of(7) {
        std::mem::forget(call!("forgotten"));
    }
}

/// Once each time, calls that have all, one or none of the counts.
fn hold(number: u64, held: &mut Vec<u8>) {
    let _hold = call!("hold");
    {
        let _sometimes = call!("sometimes");
        match number % 4 {
            0 => *held = Vec::new(),
            1 => {}
            2 => *held = Vec::with_capacity(100),
            _ => held.reserve_exact(200),
        }
    }
    call!("never").stop();
}

#[test]
fn calls_that_only_free_and_calls_that_do_nothing_are_added_exactly() {
    let recorder = recorder(Policy::none().when("all", |_| true));
    let mut held = Vec::new();
    for number in 0..80 {
        recorder.record("job", || hold(number, &mut held));
    }
    let reports = kept(&recorder);
    let by_recorder = recorder.hotspots(None);
    for (place, name) in ["hold", "sometimes", "never"].into_iter().enumerate() {
        let calls = || reports.iter().map(|report| &report.calls[place]);
        let total: Counts = calls().map(|call| call.total.unwrap()).sum();
        let peak = calls().map(|call| call.peak_bytes.unwrap()).max();
        let sums = by_recorder.paths()[place].totals;
        assert_eq!(
            (sums.calls, sums.total, sums.peak_bytes),
            (80, Some(total), peak),
            "{name}"
        );
        let compared = reports[79].calls[place].compared.as_ref().unwrap();
        let usual = compared.usual_allocates.unwrap();
        let kept = compared.usual_net_bytes.unwrap();
        let expected = match name {
            "never" => [0; 4],
            _ => [0, 1, 0, 100],
        };
        assert_eq!([usual.p50, usual.max, kept.p50, kept.max], expected);
    }
    let sometimes = by_recorder.paths()[1].totals;
    let counts = sometimes.total.unwrap();
    assert_eq!(
        (
            counts.allocations,
            counts.reallocations,
            counts.deallocations
        ),
        (20, 20, 19)
    );
    assert_eq!(sometimes.peak_bytes, Some(100));
}

#[test]
fn sums_agree_with_reports_whatever_the_shape_of_requests_and_the_ends_of_calls() {
    const REQUESTS: u64 = 60;
    let recorder = recorder(Policy::none().when("all", |_| true));
    for number in 0..REQUESTS {
        recorder.record("job", || serve(number));
    }
    let mut by_reports = Hotspots::new();
    for report in kept(&recorder) {
        by_reports.add(&report);
    }
    let by_recorder = recorder.hotspots(None);
    assert_eq!((by_recorder.reports(), by_reports.reports()), (60, 60));
    let sums = |hotspots: &Hotspots| -> Vec<_> {
        let paths = hotspots.paths().into_iter().map(|path| {
            let totals = path.totals;
            let ends = (totals.calls, totals.failures, totals.cancelled);
            let bytes = (totals.total, totals.net_bytes, totals.peak_bytes);
            (path.frame.line, path.depth, ends, bytes)
        });
        let mut paths: Vec<_> = paths.collect();
        paths.sort_by_key(|(line, ..)| *line);
        paths
    };
    let expected = sums(&by_reports);
    assert_eq!(sums(&by_recorder), expected);
    let calls: Vec<_> = expected.iter().map(|(.., ends, _)| *ends).collect();
    let (all, few) = ((60, 0, 0), (12, 0, 0));
    let (repeated, inner) = ((90, 0, 0), (30, 30, 0));
    assert_eq!(calls, [all, repeated, inner, few, few, all, (9, 0, 0)]);
    // Times are converted once here, and for each call there.
    let walls = |hotspots: &Hotspots| -> Vec<_> {
        let paths = hotspots.paths().into_iter();
        let mut walls: Vec<_> = paths.map(|it| (it.frame.line, it.totals.wall)).collect();
        walls.sort_unstable();
        walls
    };
    let one_each = Duration::from_nanos(90);
    for (here, there) in walls(&by_recorder).into_iter().zip(walls(&by_reports)) {
        assert!(here.1.abs_diff(there.1) <= one_each || here.0 == expected[6].0);
    }
}
