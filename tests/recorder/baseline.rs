//! Baselines, and kept requests compared with them.

use tracer::recorder::{Policy, Recorder};
use tracer::{Limits, Report, call};

use crate::common::allocate;
use crate::{kept, recorder, request};

/// Records a request with `queries` queries.
pub(crate) fn with_queries(recorder: &Recorder, queries: u64, each: u64) {
    let recording = recorder.begin("GET /orders/{id}");
    let _scope = recording.inject();
    let _handle = call!("handle");
    for _ in 0..queries {
        let _query = call!("query");
        allocate(each);
    }
}

#[test]
fn a_kept_request_is_compared_with_its_baseline() {
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
    // Each rendering has the comparison.
    let said = " · allocates 3,700 (usual 41) · 37 calls (usual 1)\n";
    let text = report.to_string();
    let line = text.lines().find(|line| line.contains("[query]")).unwrap();
    assert!(
        format!("{line}\n").ends_with(said) && line.contains(" · ▲ all: "),
        "{line}"
    );
    assert!(text.starts_with("GET /orders/{id}: "), "{text}");
    assert!(text.contains(" · kept: allocates over 1,000\n"), "{text}");
    assert!(report.tree().to_string().contains(said.trim_end()));
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
fn a_path_of_no_other_request_is_not_usual() {
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
fn folded_calls_are_compared_too() {
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
    // Accurate to 1/32.
    assert!(query.usual_calls.p50.abs_diff(300) <= 10, "{query}");
    assert!(query.calls_stand_out() && query.allocates_stand_out());
}

/// Opens nested calls by the digits of `number`, so that each number has its own path.
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
fn without_room_a_figure_is_right_or_missing() {
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
        // Every tenth request is heavy.
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
    // The figure of the whole request is known to a factor of two.
    assert!((64..256).contains(&usual.p50), "{usual:?}");
    assert!(usual.p95 >= 2500 && usual.max == 5000, "{usual:?}");
    // A path's figure is as accurate, if there is one.
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
