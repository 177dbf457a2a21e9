//! Metrics: exact, only growing, bounded, and of hostile names.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tracer::alloc::measure;
use tracer::metrics::{encode, write};
use tracer::recorder::{Policy, Recorder, Recording};
use tracer::{Outcome, Report, memory};

use crate::common::allocate;
use crate::openmetrics::Metrics;
use crate::{PATIENCE, kept, recorder, request};

fn metrics(recorder: &Recorder) -> Metrics {
    Metrics::parse(&encode(recorder))
}

/// Writes metrics, and what an independent parser has to find in them, for `.ci/metrics`.
fn put(name: &str, text: &str, expected: &serde_json::Value) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.txt")), text).unwrap();
    std::fs::write(folder.join(format!("{name}.json")), expected.to_string()).unwrap();
}

/// Checks that the exemplars are kept requests, the last one in each bucket. Returns the ids of all.
fn assert_exemplars(
    metrics: &Metrics,
    kept: &[Arc<Report>],
    before: SystemTime,
) -> BTreeSet<String> {
    let last = kept.last().unwrap();
    let trace_ids: BTreeSet<_> = kept
        .iter()
        .map(|it| it.trace_id.unwrap().to_string())
        .collect();
    let mut named = 0;
    for name in [
        "tracer_request_duration_seconds_bucket",
        "tracer_request_allocations_bucket",
        "tracer_request_allocated_bytes_bucket",
    ] {
        for (labels, sample) in metrics.all(name) {
            let Some(exemplar) = &sample.exemplar else {
                continue;
            };
            named += 1;
            assert_eq!(labels[0].1, "GET /");
            let [(label, trace_id)] = &*exemplar.labels else {
                panic!("{exemplar:?}");
            };
            assert!(label == "trace_id" && trace_ids.contains(trace_id));
            let bound: f64 = labels[1].1.parse().unwrap_or(f64::INFINITY);
            assert!(exemplar.value <= bound && sample.value > 0.0);
            let since = |time: SystemTime| {
                let since = time.duration_since(SystemTime::UNIX_EPOCH);
                since.unwrap().as_secs_f64()
            };
            let within = since(before) - 1.0..since(SystemTime::now()) + 1.0;
            assert!(within.contains(&exemplar.seconds), "{exemplar:?}");
            if name == "tracer_request_allocations_bucket" {
                let expected = last.trace_id.unwrap().to_string();
                assert!((exemplar.value - 20.0).abs() < 1e-9 && *trace_id == expected);
            }
        }
    }
    assert!(named >= 3, "one for each histogram");
    assert_eq!(request(last).name, "GET /");
    trace_ids
}

#[test]
fn counts_are_exact_and_exemplars_name_kept_requests() {
    let recorder = recorder(Policy::none().failed());
    let before = SystemTime::now();
    let ends: [fn(&mut Recording); 4] = [
        |_| (),
        |it| it.fail("no database"),
        |it| it.outcome(Outcome::Panicked),
        |it| it.outcome(Outcome::Cancelled),
    ];
    for (number, end) in ends.iter().enumerate() {
        for _ in 0..=number {
            let mut request = recorder.begin("GET /");
            {
                let _scope = request.inject();
                allocate(20);
            }
            end(&mut request);
        }
    }
    let _in_flight = recorder.begin("GET /");
    recorder.record("job", || ());
    let kept = kept(&recorder);
    let text = encode(&recorder);
    let metrics = Metrics::parse(&text);

    let route = ("route", "GET /");
    let by_outcome = ["ok", "failed", "panicked", "cancelled", "unknown"]
        .map(|outcome| metrics.value("tracer_requests_total", &[route, ("outcome", outcome)]));
    assert_eq!(by_outcome, [1, 2, 3, 4, 0]);
    for (name, expected) in [
        ("tracer_requests_in_flight", 1),
        ("tracer_requests_kept_total", 2),
        ("tracer_requests_not_kept_total", 8),
        ("tracer_request_duration_seconds_count", 10),
        ("tracer_request_allocations_count", 10),
        ("tracer_request_allocations_sum", 200),
        ("tracer_request_allocated_bytes_count", 10),
    ] {
        assert_eq!(metrics.value(name, &[route]), expected, "{name}");
    }
    let statistics = recorder.routes();
    let of_route = statistics.iter().find(|it| it.name == "GET /").unwrap();
    let bytes = metrics.value("tracer_request_allocated_bytes_sum", &[route]);
    assert_eq!(bytes, of_route.total.unwrap().bytes_allocated);
    // More than 10, at most 30.
    for (bound, expected) in [("0.0", 0), ("10.0", 0), ("30.0", 10), ("+Inf", 10)] {
        let labels = [route, ("le", bound)];
        let found = metrics.value("tracer_request_allocations_bucket", &labels);
        assert_eq!(found, expected, "{bound}");
    }

    let trace_ids = assert_exemplars(&metrics, &kept, before);
    let process = tracer::alloc::process().unwrap().counts;
    let now = metrics.value("tracer_process_allocations_total", &[]);
    assert!(now > 0 && now <= process.allocates());
    let records = metrics.value("tracer_records_bytes", &[]);
    assert!(records > 0 && records <= memory().held_bytes);
    let limit = metrics.value("tracer_recorder_memory_limit_bytes", &[]);
    assert_eq!(limit, 16 << 20);
    assert_eq!(metrics.value("tracer_recorder_names", &[]), 2);
    assert_eq!(metrics.value("tracer_recorder_names_limit", &[]), 256);
    put(
        "plain",
        &text,
        &json!({
            "outcomes": {"ok": 1, "failed": 2, "panicked": 3, "cancelled": 4, "unknown": 0},
            "routes": ["GET /", "job"],
            "trace_ids": trace_ids,
        }),
    );
}

#[test]
fn counters_only_grow_while_windows_rotate() {
    let recorder = Recorder::builder().window(Duration::from_millis(1));
    let recorder = recorder.start().unwrap();
    let mut before = metrics(&recorder);
    for round in 1..=20 {
        for number in 0..10 {
            let mut request = recorder.begin("job");
            if number == 0 {
                request.fail("no database");
            }
        }
        std::thread::sleep(Duration::from_millis(3));
        let after = metrics(&recorder);
        before.assert_only_grow(&after);
        let route = ("route", "job");
        let counted = after.value("tracer_request_duration_seconds_count", &[route]);
        let failed = after.value("tracer_requests_total", &[route, ("outcome", "failed")]);
        assert_eq!((counted, failed), (10 * round, round));
        before = after;
    }
    assert!(
        recorder.routes()[0].recent <= 20,
        "the baseline has rotated"
    );
}

#[test]
fn hostile_names_are_escaped() {
    let names = [
        "GET /\"} 1\n# EOF\ntracer_requests_total{route=\"x",
        "back\\slash\\n\\\"",
        "\r\n\u{2028}\u{85}\u{0}\u{1b}[2J",
        "{le=\"+Inf\"} # {trace_id=\"0\"} 1 1",
        "",
        "ünï",
    ];
    let recorder = recorder(Policy::none().failed());
    for name in names {
        recorder.begin(name).fail("why");
    }
    assert!(recorder.flush(PATIENCE));
    let text = encode(&recorder);
    let metrics = Metrics::parse(&text);
    for name in names {
        let labels = [("route", name), ("outcome", "failed")];
        assert_eq!(
            metrics.value("tracer_requests_total", &labels),
            1,
            "{name:?}"
        );
    }
    put("hostile", &text, &json!({ "routes": names }));
}

#[test]
fn names_are_bounded() {
    let recorder = Recorder::builder().names(2).start().unwrap();
    for number in 0..100 {
        recorder.record(&format!("GET /{number}"), || ());
    }
    let metrics = metrics(&recorder);
    let counts = metrics.all("tracer_request_duration_seconds_count");
    let counts: Vec<_> = counts
        .map(|(labels, it)| (&*labels[0].1, it.count()))
        .collect();
    assert_eq!(counts, [("(other)", 98), ("GET /0", 1), ("GET /1", 1)]);
}

#[test]
fn dropped_requests_have_a_reason() {
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .memory_bytes(64 << 10)
        .start()
        .unwrap();
    let dropped = |reason| {
        let labels = [("route", "job"), ("reason", reason)];
        metrics(&recorder).value("tracer_requests_dropped_total", &labels)
    };
    let fail = || {
        let mut request = recorder.begin("job");
        let _scope = request.inject();
        allocate(1);
        request.fail("why");
    };
    while recorder.statistics().dropped == 0 {
        (0..1000).for_each(|_| fail());
    }
    assert!(recorder.shut_down(PATIENCE));
    let full = dropped("queue_full");
    assert_eq!(full, recorder.statistics().dropped);
    (0..3).for_each(|_| fail());
    let found = ["queue_full", "shut_down", "no_memory"].map(dropped);
    assert_eq!(found, [full, 3, 0]);
}

#[test]
fn sinks_of_one_name_are_added_up() {
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .callback("mail", |_| ())
        .callback("mail", |_| panic!("no connection"))
        .start()
        .unwrap();
    recorder.begin("job").fail("why");
    assert!(recorder.flush(PATIENCE));
    let metrics = metrics(&recorder);
    let found = ["taken", "failed", "dropped"].map(|result| {
        let labels = [("sink", "mail"), ("result", result)];
        metrics.value("tracer_recorder_sink_reports_total", &labels)
    });
    assert_eq!(found, [1, 1, 0]);
}

#[test]
fn the_text_is_the_only_memory_of_the_program() {
    let recorder = recorder(Policy::none());
    recorder.record("job", || ());
    let measured = measure(|| encode(&recorder));
    let counts = measured.counts.unwrap();
    assert_eq!(counts.allocations, 1);
    assert_eq!(counts.bytes_allocated, measured.value.len() as u64);
    let mut written = String::new();
    write(&recorder, &mut written).unwrap();
    let same = |text: &str| text.lines().filter(|it| !it.contains("process")).count();
    assert_eq!(same(&written), same(&measured.value));
}
