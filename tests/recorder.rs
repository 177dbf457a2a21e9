//! The recorder: what is kept, what is counted, and beside what it is shown.

#[expect(dead_code, reason = "not all of it is for this file")]
mod common;

use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use common::allocate;
use tracer::hotspots::By;
use tracer::recorder::{Policy, Recorder};
use tracer::report::Request;
use tracer::{Counting, Limits, Outcome, Report, call};

#[global_allocator]
static A: Counting = Counting::system();

const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(60 * 60);

fn recorder(policy: Policy) -> Recorder {
    Recorder::builder().policy(policy).start().unwrap()
}

/// The kept ones, the first first.
fn kept(recorder: &Recorder) -> Vec<Arc<Report>> {
    assert!(recorder.flush(PATIENCE));
    let mut kept = recorder.kept();
    kept.reverse();
    kept
}

fn request(report: &Report) -> &Request {
    report.request.as_deref().expect("a recorder kept it")
}

fn ids_and_reasons(recorder: &Recorder) -> Vec<(String, Vec<String>)> {
    let of = |report: &Arc<Report>| {
        let request = request(report);
        (request.id.clone().unwrap(), request.reasons.clone())
    };
    kept(recorder).iter().map(of).collect()
}

fn handle(allocations: u64) {
    let _call = call!();
    allocate(allocations);
}

/// A request that allocates so often.
fn allocating(recorder: &Recorder, id: u64, allocations: u64) {
    let mut recording = recorder.begin("job");
    recording.id(id);
    let _scope = recording.inject();
    handle(allocations);
}

#[test]
fn in_flight_is_possible_whenever_it_is_read() {
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
fn each_rule_keeps_what_it_says() {
    let policy = Policy::none()
        .failed()
        .panicked()
        .cancelled()
        .slower_than(LONG)
        .allocates_over(3)
        .bytes_over(4)
        .peak_over(0)
        .when("asked for", |ended| {
            ended.id == Some("asked") && ended.calls == 1
        });
    let recorder = recorder(policy);
    let ended = |id: &str, work: &dyn Fn(&mut tracer::recorder::Recording)| {
        let mut recording = recorder.begin("job");
        recording.id(id);
        work(&mut recording);
    };
    ended("nothing", &|_| ());
    ended("told", &|it| it.fail("broken pipe"));
    ended("call", &|it| {
        let _scope = it.inject();
        call!().fail("in a call");
    });
    ended("inner call", &|it| {
        let _scope = it.inject();
        let _outer = call!("outer");
        call!("inner").fail("mended");
    });
    ended("all is well", &|it| {
        let _scope = it.inject();
        call!().fail("mended");
        it.outcome(Outcome::Ok);
    });
    ended("given up", &|it| it.outcome(Outcome::Cancelled));
    ended("asked", &|it| {
        let _scope = it.inject();
        call!().stop();
    });
    let _ = std::panic::catch_unwind(|| {
        ended("panics", &|it| {
            let _scope = it.inject();
            let _call = call!();
            std::panic::resume_unwind(Box::new(()));
        });
    });
    allocating(&recorder, 4, 4);
    allocating(&recorder, 5, 5);
    let expected: [(&str, &[&str]); 7] = [
        ("told", &["failed"]),
        ("call", &["failed"]),
        ("given up", &["cancelled"]),
        ("asked", &["asked for"]),
        // With what the unwinding takes.
        ("panics", &["panicked", "over 4 B", "peak over 0 B"]),
        ("4", &["allocates over 3", "peak over 0 B"]),
        ("5", &["allocates over 3", "over 4 B", "peak over 0 B"]),
    ];
    let found = ids_and_reasons(&recorder);
    let found: Vec<_> = found
        .iter()
        .map(|(id, reasons)| (&**id, reasons.iter().map(|it| &**it).collect::<Vec<_>>()))
        .collect();
    let expected = expected.map(|(id, reasons)| (id, reasons.to_vec()));
    assert_eq!(found, expected);
    let messages: Vec<_> = kept(&recorder)
        .iter()
        .map(|it| request(it).outcome.clone())
        .take(2)
        .collect();
    assert_eq!(
        messages,
        ["broken pipe", "in a call"].map(|it| Outcome::Failed(it.to_owned()))
    );
    let statistics = recorder.statistics();
    assert_eq!(
        (
            statistics.ended,
            statistics.kept,
            statistics.not_kept,
            statistics.dropped
        ),
        (10, 7, 3, 0)
    );
}

#[test]
fn the_heaviest_of_each_name() {
    let recorder = recorder(Policy::none().heaviest(2, LONG));
    for (id, allocations) in [3, 0, 1, 2, 9, 1, 9].into_iter().enumerate() {
        allocating(&recorder, id as u64, allocations);
    }
    recorder.record("another", || handle(1));
    let ids: Vec<_> = kept(&recorder)
        .iter()
        .map(|it| (request(it).name.clone(), request(it).id.clone()))
        .collect();
    let job = |id: &str| ("job".to_owned(), Some(id.to_owned()));
    assert_eq!(
        ids,
        [
            job("0"),
            job("2"),
            job("3"),
            job("4"),
            job("6"),
            ("another".to_owned(), None)
        ]
    );
}

/// A request with so many queries.
fn with_queries(recorder: &Recorder, queries: u64, each: u64) {
    let recording = recorder.begin("GET /orders/{id}");
    let _scope = recording.inject();
    let _handle = call!("handle");
    for _ in 0..queries {
        let _query = call!("query");
        allocate(each);
    }
}

#[test]
fn a_kept_request_is_shown_beside_what_is_usual() {
    let recorder = recorder(Policy::none().allocates_over(1000));
    for _ in 0..199 {
        with_queries(&recorder, 1, 41);
    }
    with_queries(&recorder, 37, 100);
    let kept = kept(&recorder);
    let report = &*kept[0];
    let whole = request(report).compared.as_ref().unwrap();
    assert_eq!(
        (whole.allocates, whole.of, whole.requests),
        (Some(3700), 200, 200)
    );
    assert_eq!(whole.usual_allocates.unwrap().p50, 41);
    assert!(whole.allocates_stand_out() && !whole.calls_stand_out());
    let query = report.calls[1].compared.as_ref().unwrap();
    assert_eq!((query.calls, query.allocates), (37, Some(3700)));
    assert_eq!(
        (
            query.usual_calls.p50,
            query.usual_calls.p99,
            query.usual_calls.max
        ),
        (1, 1, 37)
    );
    assert_eq!(query.usual_allocates.unwrap().max, 3700);
    assert!(query.calls_stand_out() && query.allocates_stand_out() && query.stands_out());
    assert!(!query.is_rare());
    assert_eq!(report.calls[2].compared, None);
    // The same in each rendering.
    let said = " · allocates 3,700 (usual 41) · 37 calls (usual 1)\n";
    let text = report.to_string();
    let line = text.lines().find(|line| line.contains("[query]")).unwrap();
    assert!(
        format!("{line}\n").ends_with(said) && line.contains(" · ▲ all: "),
        "{line}"
    );
    assert!(text.starts_with("GET /orders/{id}: "), "{text}");
    assert!(text.contains(" · kept: allocates over 1,000\n"), "{text}");
    assert!(report.tree().to_string().contains(said));
    let written = serde_json::to_string(report).unwrap();
    assert_eq!(&serde_json::from_str::<Report>(&written).unwrap(), report);
    let json: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(json["calls"][1]["compared"]["usual_calls"]["p50"], 1);
    assert_eq!(json["request"]["reasons"][0], "allocates over 1,000");
}

#[test]
fn a_path_that_few_requests_take_is_rare() {
    let recorder = recorder(Policy::none().when("odd", |ended| ended.calls == 2));
    for number in 0..400 {
        let recording = recorder.begin("job");
        let _scope = recording.inject();
        let _call = call!("usual");
        if number == 399 {
            call!("unusual").stop();
        }
    }
    let kept = kept(&recorder);
    let compared = kept[0].calls[1].compared.as_ref().unwrap();
    assert_eq!((compared.requests, compared.of), (1, 400));
    assert_eq!(compared.usual_calls.p95, 0);
    assert!(compared.is_rare() && compared.calls_stand_out());
    let said = " · allocates 0 · 1 call (usually none) · in 0.3% of requests";
    assert!(compared.to_string().ends_with(said), "{compared}");
}

#[test]
fn what_no_other_request_does_is_not_usual() {
    let recorder = recorder(Policy::none().when("odd", |ended| ended.calls > 2));
    for number in 0..94 {
        let recording = recorder.begin("GET /orders/{id}");
        let _scope = recording.inject();
        let _call = call!("order");
        if number == 93 {
            for _ in 0..60 {
                let _query = call!("load_item");
                allocate(1);
            }
        } else {
            call!("load_items").stop();
        }
    }
    let kept = kept(&recorder);
    let compared = kept[0].calls[1].compared.as_ref().unwrap();
    assert_eq!((compared.requests, compared.of), (1, 94));
    assert_eq!((compared.calls, compared.usual_calls.p50), (60, 0));
    assert!(compared.calls_stand_out() && compared.allocates_stand_out());
    let said = " · allocates 60 · 60 calls (usually none)";
    assert!(compared.to_string().ends_with(said), "{compared}");
    let order = kept[0].calls[0].compared.as_ref().unwrap();
    assert_eq!((order.requests, order.usual_calls.p50), (94, 1));
}

#[test]
fn spawned_strands_and_folded_calls_are_in_the_baseline() {
    let limits = Limits::default().calls(2);
    let policy = Policy::none().when("last", |ended| ended.id == Some("last"));
    let recorder = Recorder::builder()
        .policy(policy)
        .trace(2, limits)
        .start()
        .unwrap();
    for id in std::iter::repeat_n("first", 19).chain(["last"]) {
        let mut recording = recorder.begin("job");
        recording.id(id);
        let _scope = recording.inject();
        let outer = call!("outer");
        let elsewhere = tracer::fetch();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _scope = elsewhere.inject();
                let _call = call!("spawned");
                allocate(5);
            });
        });
        for _ in 0..10 {
            let _folded = call!("folded");
            allocate(1);
        }
        drop(outer);
    }
    let kept = kept(&recorder);
    let outer = kept[0].calls[0].compared.as_ref().unwrap();
    assert_eq!(
        outer.usual_allocates.unwrap().p50,
        kept[0].calls[0].total.unwrap().allocates()
    );
    let spawned = kept[0].calls[1].compared.as_ref().unwrap();
    assert_eq!(
        (spawned.requests, spawned.usual_allocates.unwrap().p50),
        (20, 5)
    );
    assert_eq!(kept[0].folded[0].calls, 10);
}

#[test]
fn what_is_folded_is_beside_what_is_usual_too() {
    let policy = Policy::none().when("many", |ended| ended.calls > 1000);
    let recorder = Recorder::builder()
        .policy(policy)
        .trace(10, Limits::default().calls(100))
        .start()
        .unwrap();
    for _ in 0..39 {
        with_queries(&recorder, 300, 1);
    }
    with_queries(&recorder, 5000, 1);
    let kept = kept(&recorder);
    let query = kept[0].calls[1].compared.as_ref().unwrap();
    assert_eq!((query.calls, query.allocates), (5000, Some(5000)));
    // To a thirty-second.
    assert!(query.usual_calls.p50.abs_diff(300) <= 10, "{query}");
    assert!(query.calls_stand_out() && query.allocates_stand_out());
}

#[test]
fn a_folded_failure_is_one() {
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .trace(10, Limits::default().calls(2))
        .start()
        .unwrap();
    let recording = recorder.begin("batch");
    let scope = recording.inject();
    for number in 0..5 {
        let call = call!("{number}");
        if number == 3 {
            call.fail("unread");
        }
    }
    drop((scope, recording));
    let kept = kept(&recorder);
    assert_eq!((kept[0].calls.len(), kept[0].folded[0].failures), (2, 1));
    // The message is not kept of what is folded.
    assert_eq!(request(&kept[0]).outcome, Outcome::Failed(String::new()));
    assert_eq!(recorder.routes()[0].failed, 1);
}

/// One after another of a hundred calls on paths of their own.
fn on_path(number: u64) {
    macro_rules! calls {
        ($($digit:literal)*) => { match number % 10 { $($digit => {
            let _call = call!();
            if number >= 10 { on_path(number / 10); }
        })* _ => {} } };
    }
    calls!(0 1 2 3 4 5 6 7 8 9);
}

#[test]
fn without_room_a_figure_is_right_or_not_told() {
    let everything = Policy::none().when("last", |ended| ended.id == Some("last"));
    let recorder = Recorder::builder()
        .policy(everything)
        .memory_bytes(64 << 10)
        .start()
        .unwrap();
    let requests = 2000;
    for number in 0..requests {
        let mut recording = recorder.begin("job");
        recording.id(if number == requests - 1 { "last" } else { "" });
        let _scope = recording.inject();
        on_path(number);
        let _call = call!("allocates");
        // One in ten is heavy.
        allocate(if number % 10 == 9 {
            5000
        } else {
            100 + number % 50
        });
    }
    let kept = kept(&recorder);
    let statistics = recorder.statistics();
    assert!(statistics.not_compared > 0, "{statistics:?}");
    let usual = request(&kept[0]).compared.as_ref().unwrap();
    let usual = usual.usual_allocates.unwrap();
    // Of the whole it is known, be it to a doubling.
    assert!((64..256).contains(&usual.p50), "{usual:?}");
    assert!(usual.p95 >= 2500 && usual.max == 5000, "{usual:?}");
    // Of a path, where it is told at all, too.
    for call in &kept[0].calls {
        if let Some(usual) = { call.compared.as_ref() }.and_then(|it| it.usual_allocates)
            && usual.max == 5000
        {
            assert!((64..256).contains(&usual.p50), "{usual:?}");
        }
    }
    let route = &recorder.routes()[0];
    let counted: u64 = route.allocates_bins.iter().map(|(.., count)| count).sum();
    assert_eq!(counted, requests);
}

#[test]
fn what_is_not_kept_allocates_nothing_for_the_request() {
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
    // Nor does it free what it has not allocated.
    assert_eq!(once().counts, Some(tracer::alloc::Counts::ZERO));
}

#[test]
fn a_future_that_is_dropped_is_cancelled() {
    let recorder = recorder(Policy::none().cancelled().panicked());
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut future = pin!(recorder.begin("waits").instrument(async {
            let _call = call!();
            std::future::pending::<()>().await;
        }));
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(recorder.statistics().in_flight, 1);
    }
    {
        let panics = recorder.begin("panics").instrument(async {
            std::panic::resume_unwind(Box::new(()));
        });
        let mut panics = pin!(panics);
        let mut poll = || panics.as_mut().poll(&mut context);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut poll)).is_err());
    }
    drop(recorder.begin("never polled").instrument(async {}));
    let outcomes: Vec<_> = kept(&recorder)
        .iter()
        .map(|it| (request(it).name.clone(), request(it).outcome.clone()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("waits".to_owned(), Outcome::Cancelled),
            ("panics".to_owned(), Outcome::Panicked),
            ("never polled".to_owned(), Outcome::Cancelled)
        ]
    );
    assert_eq!(kept(&recorder)[0].calls[0].outcome, Outcome::Cancelled);
}

#[test]
fn a_branch_that_is_dropped_says_nothing_about_the_request() {
    let recorder = recorder(Policy::default().when("all", |_| true));
    let select = |mut recording: tracer::recorder::Recording, id: &str| {
        recording.id(id);
        let _scope = recording.inject();
        drop(call!("loses").instrument(async {}));
        if id == "ends well" {
            call!("wins").stop();
        }
    };
    select(recorder.begin("job"), "ends well");
    select(recorder.begin("job"), "does not");
    let outcomes: Vec<_> = kept(&recorder)
        .iter()
        .map(|it| (request(it).id.clone().unwrap(), request(it).outcome.clone()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("ends well".to_owned(), Outcome::Ok),
            ("does not".to_owned(), Outcome::Cancelled)
        ]
    );
    for report in kept(&recorder) {
        assert_eq!(report.outcome(), &request(&report).outcome);
    }
    let [job] = &recorder.routes()[..] else {
        panic!()
    };
    assert_eq!((job.failed, job.panicked, job.cancelled), (0, 0, 1));
    let hotspots = recorder.hotspots(None);
    let loses = &hotspots.functions(By::Cancelled)[0];
    assert_eq!(
        (
            loses.totals.calls,
            loses.totals.failures,
            loses.totals.cancelled
        ),
        (2, 0, 2)
    );
}

#[test]
fn the_ring_forgets_what_there_is_most_of() {
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
fn a_rule_that_panics_has_said_no() {
    let policy = Policy::none()
        .when("panics", |_| std::panic::resume_unwind(Box::new(())))
        .failed();
    let recorder = recorder(policy);
    drop(recorder.begin("job"));
    recorder.begin("job").fail("why");
    assert_eq!(kept(&recorder).len(), 1);
    assert_eq!(recorder.statistics().policy_panics, 2);
}

#[test]
fn a_rule_may_end_other_requests() {
    let other = Recorder::builder().policy(Policy::none()).start().unwrap();
    let inner = other.clone();
    let recorder = recorder(Policy::none().when("nested", move |_| {
        inner.record("inner", || handle(1));
        true
    }));
    recorder.record("outer", || handle(2));
    assert_eq!(kept(&recorder)[0].total.unwrap().allocates(), 2);
    assert_eq!(other.statistics().ended, 1);
}

#[test]
fn a_rule_may_end_requests_of_its_own_recorder() {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    let recorder = recorder(Policy::none().when("audits", |_| {
        let recorder = RECORDER.get().unwrap();
        recorder.record("audit", || ());
        true
    }));
    RECORDER.set(recorder.clone()).unwrap();
    recorder.record("job", || ());
    assert_eq!(kept(&recorder).len(), 1);
    assert_eq!(recorder.statistics().ended, 2);
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
fn what_is_in_flight_is_told() {
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
            "\tcall what_is_in_flight_is_told",
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

/// Of each name: in flight, ended, kept.
fn by_name(recorder: &Recorder) -> Vec<(String, u64, u64, u64)> {
    let routes = recorder.routes().into_iter();
    routes
        .map(|it| (it.name, it.in_flight, it.ended, it.kept))
        .collect()
}

#[test]
fn a_request_that_is_named_later_is_of_its_last_name_everywhere() {
    let recorder = recorder(Policy::none().failed());
    let named = |name: &str, (in_flight, ended, kept)| (name.to_owned(), in_flight, ended, kept);
    let mut first = recorder.begin("(not parsed)");
    let mut second = recorder.begin("(not parsed)");
    first.id("a7");
    assert_eq!(by_name(&recorder), [named("(not parsed)", (2, 0, 0))]);

    first.name("GET /orders");
    first.name("GET /orders");
    let both = [
        named("(not parsed)", (1, 0, 0)),
        named("GET /orders", (1, 0, 0)),
    ];
    assert_eq!(by_name(&recorder), both);
    assert_eq!(
        (first.current_name(), second.current_name()),
        ("GET /orders", "(not parsed)")
    );
    let in_flight: Vec<_> = recorder
        .in_flight()
        .into_iter()
        .map(|it| (it.name, it.id))
        .collect();
    let id = |id: &str| Some(id.to_owned());
    let expected = [
        ("GET /orders".to_owned(), id("a7")),
        ("(not parsed)".to_owned(), None),
    ];
    assert_eq!(in_flight, expected);

    // Wherever it goes meanwhile.
    std::thread::scope(|threads| {
        threads.spawn(|| {
            second.name("GET /users");
            second.name("GET /orders");
            second.fail("no such order");
            drop(second);
        });
    });
    drop(first);
    assert_eq!(by_name(&recorder), [named("GET /orders", (0, 2, 1))]);
    let kept = kept(&recorder);
    assert_eq!((kept.len(), &*request(&kept[0]).name), (1, "GET /orders"));
    let statistics = recorder.statistics();
    assert_eq!((statistics.in_flight, statistics.ended), (0, 2));
}

#[test]
fn requests_are_named_by_many_threads_and_none_is_lost() {
    let recorder = recorder(Policy::none());
    let names = ["a", "b", "c", "d"];
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for number in 0..10_000 {
                    let mut recording = recorder.begin("(not parsed)");
                    recording.name(names[number % 3]);
                    recording.name(names[number % 4]);
                }
            });
        }
    });
    let each = names.map(|name| (name.to_owned(), 0, 10_000, 0));
    assert_eq!(by_name(&recorder), each);
}

#[test]
fn a_name_too_many_given_later_is_one_of_the_others() {
    let recorder = Recorder::builder()
        .policy(Policy::none())
        .names(1)
        .start()
        .unwrap();
    let mut recording = recorder.begin("first");
    recording.name(&"n".repeat(1000));
    assert_eq!(recording.current_name(), "(other)");
    drop(recording);
    assert_eq!(by_name(&recorder), [("(other)".to_owned(), 0, 1, 0)]);
}
