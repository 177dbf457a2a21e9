//! The recorder: what is kept, what is counted, and beside what it is shown.

#[expect(dead_code, reason = "not all of it is for this file")]
mod common;

use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use common::allocate;
use tracer::recorder::{Policy, Recorder, Rotation};
use tracer::report::{Request, json};
use tracer::{Counting, Limits, Outcome, Report, call};

#[global_allocator]
static A: Counting = Counting::system();

const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_hours(1);

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
    assert!(compared.is_rare() && !compared.stands_out());
    assert!(
        compared.to_string().ends_with(" · in 0.3% of requests"),
        "{compared}"
    );
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
fn a_slow_callback_keeps_nobody_waiting_and_a_panicking_one_is_counted() {
    let (go_on, wait) = mpsc::channel::<()>();
    let seen = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&seen);
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .callback("slow", move |_| {
            wait.recv().unwrap();
            counted.fetch_add(1, Relaxed);
        })
        .callback("panics", |_| {
            std::panic::resume_unwind(Box::new("not today"))
        })
        .start()
        .unwrap();
    for _ in 0..2000 {
        recorder.begin("job").fail("always");
        while recorder.statistics().waiting > 100 {
            std::thread::yield_now();
        }
    }
    let statistics = loop {
        let statistics = recorder.statistics();
        let [slow, panics] = &statistics.sinks[..] else {
            panic!()
        };
        let done = panics.failed + panics.dropped == statistics.kept;
        if statistics.waiting == 0
            && done
            && slow.waiting as u64 + slow.dropped + 1 >= statistics.kept
        {
            break statistics;
        }
        std::thread::yield_now();
    };
    assert_eq!(statistics.kept + statistics.dropped, 2000);
    assert_eq!(
        statistics.sinks[1].last_error.as_deref(),
        Some("panicked: not today")
    );
    let slow = &statistics.sinks[0];
    assert_eq!((&*slow.name, slow.taken, slow.failed), ("slow", 0, 0));
    assert!(slow.dropped > 0 && slow.waiting <= 1024);
    assert!(!recorder.flush(Duration::from_millis(1)));
    let taken = statistics.kept - slow.dropped;
    for _ in 0..taken {
        go_on.send(()).unwrap();
    }
    assert!(recorder.flush(PATIENCE));
    assert_eq!(seen.load(Relaxed), taken);
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
fn after_shutting_down_what_ends_is_counted_and_dropped() {
    let recorder = recorder(Policy::none().failed());
    recorder.begin("job").fail("before");
    let mut late = recorder.begin("job");
    assert!(recorder.shut_down(PATIENCE));
    late.fail("after");
    drop(late);
    let statistics = recorder.statistics();
    assert_eq!(
        (statistics.ended, statistics.kept, statistics.dropped),
        (2, 1, 1)
    );
    assert_eq!(recorder.kept().len(), 1);
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

fn path(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("recorder-{name}"))
}

fn read(path: &std::path::Path) -> Vec<Report> {
    let file = std::fs::File::open(path).unwrap();
    json::Lines::new(std::io::BufReader::new(file))
        .map(|it| it.unwrap())
        .collect()
}

#[test]
fn a_file_is_continued_and_rotated() {
    let path = path("rotated.jsonl");
    let numbered = |number: u32| path.with_extension(format!("jsonl.{number}"));
    for file in [path.clone(), numbered(1), numbered(2), numbered(3)] {
        let _ = std::fs::remove_file(file);
    }
    let start = |rotation: Rotation| {
        let builder = Recorder::builder().policy(Policy::none().failed());
        builder.file(&path, rotation).start().unwrap()
    };
    let fail = |recorder: &Recorder, id: u64| {
        let mut recording = recorder.begin("job");
        recording.id(id);
        recording.fail("why");
    };
    let recorder = start(Rotation::default());
    fail(&recorder, 0);
    drop(recorder);
    let line = std::fs::metadata(&path).unwrap().len();
    assert_eq!(read(&path).len(), 1);
    // A process that was killed in the middle of a line.
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    std::io::Write::write_all(&mut file, b"{\"tracer_report\":1,\"tra").unwrap();
    let recorder = start(Rotation::default().max_bytes(line * 5 / 2).files(3));
    for id in 1..8 {
        fail(&recorder, id);
    }
    assert!(recorder.flush(PATIENCE));
    let sink = &recorder.statistics().sinks[0];
    assert_eq!(
        (sink.taken, sink.failed, &*sink.name),
        (7, 0, path.to_str().unwrap())
    );
    let ids = |path: &std::path::Path| -> Vec<_> {
        read(path)
            .iter()
            .map(|it| request(it).id.clone().unwrap())
            .collect()
    };
    assert_eq!(ids(&numbered(2)), ["2", "3"]);
    assert_eq!(ids(&numbered(1)), ["4", "5"]);
    assert_eq!(ids(&path), ["6", "7"]);
    assert!(!numbered(3).exists());
}

#[test]
fn a_file_that_cannot_be_opened_is_told() {
    let path = path("no/such/directory.jsonl");
    let error = Recorder::builder()
        .file(&path, Rotation::default())
        .start()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the file for kept reports: cannot open {}: No such file or directory (os error 2)",
            path.display()
        )
    );
}

#[test]
fn a_file_of_something_else_is_left_as_it_is() {
    let path = path("something-else.txt");
    std::fs::write(&path, "Dear diary").unwrap();
    let error = Recorder::builder()
        .file(&path, Rotation::default())
        .start()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the file for kept reports: cannot read {}: \
             expected reports, but byte 0 begins a line of something else",
            path.display()
        )
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "Dear diary");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_nothing_but_the_report() {
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .file("/dev/full", Rotation::default())
        .start()
        .unwrap();
    for _ in 0..2 {
        recorder.begin("job").fail("why");
    }
    assert_eq!(kept(&recorder).len(), 2);
    let sink = &recorder.statistics().sinks[0];
    assert_eq!((sink.taken, sink.failed), (0, 2));
    assert_eq!(
        sink.last_error.as_deref(),
        Some("cannot write to /dev/full: No space left on device (os error 28)")
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
            let allocates = [totals.total, totals.own].map(|it| it.unwrap().allocates());
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
