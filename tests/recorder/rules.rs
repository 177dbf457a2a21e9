//! Which requests are kept, and by which rule.

use std::hint::black_box;
use std::sync::{Arc, OnceLock};

use tracer::hotspots::By;
use tracer::recorder::{Policy, Recorder};
use tracer::{Limits, Outcome, Report, call};

use crate::{LONG, allocating, handle, kept, recorder, request};

fn ids_and_reasons(recorder: &Recorder) -> Vec<(String, Vec<String>)> {
    let of = |report: &Arc<Report>| {
        let request = request(report);
        (request.id.clone().unwrap(), request.reasons.clone())
    };
    kept(recorder).iter().map(of).collect()
}

#[test]
fn each_rule_keeps_its_requests() {
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
        // Includes the allocations of unwinding.
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

/// Allocates `kept` bytes and another hundred, and frees those.
fn keeping(recorder: &Recorder, id: &str, kept: usize) -> Vec<u8> {
    let mut recording = recorder.begin("job");
    recording.id(id);
    let _scope = recording.inject();
    let _call = call!();
    drop(black_box(vec![1_u8; 100]));
    black_box(vec![1_u8; kept])
}

#[test]
fn what_a_request_retains_is_a_rule_and_has_a_baseline() {
    let recorder = recorder(Policy::none().retains_over(1 << 20));
    let _kept: Vec<_> = (0..40).map(|_| keeping(&recorder, "usual", 0)).collect();
    let _at_limit = keeping(&recorder, "limit", 1 << 20);
    let from_before = black_box(vec![1_u8; 10 << 20]);
    recorder.record("job", || drop(from_before));
    let _leaked = keeping(&recorder, "leak", 4_300_000);
    assert_eq!(
        ids_and_reasons(&recorder),
        [("leak".to_owned(), vec!["keeps over 1.00 MiB".to_owned()])]
    );
    let report = &kept(&recorder)[0];
    assert_eq!(report.total.unwrap().net_bytes(), 4_300_000);
    let compared = request(report).compared.as_ref().unwrap();
    assert_eq!(compared.net_bytes, Some(4_300_000));
    let usual = compared.usual_net_bytes.unwrap();
    assert_eq!((usual.p50, usual.p95, usual.max), (0, 0, 4_300_000));
    assert!(compared.net_bytes_stand_out() && compared.stands_out());
    let said = " · keeps 4.10 MiB (usual 0 B)";
    assert!(compared.to_string().ends_with(said), "{compared}");
    // Each rendering has it.
    for text in [report.to_string(), report.tree().to_string()] {
        let first = text.lines().next().unwrap();
        assert!(first.contains(said), "{first}");
    }
    let json = serde_json::to_string(&**report).unwrap();
    assert_eq!(&serde_json::from_str::<Report>(&json).unwrap(), &**report);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["net_bytes"], 4_300_000);
    assert_eq!(json["calls"][0]["net_bytes"], 4_300_000);
    let of_request = &json["request"]["compared"];
    assert_eq!(of_request["net_bytes"], 4_300_000);
    assert_eq!(of_request["usual_net_bytes"]["p95"], 0);
    let route = &recorder.routes()[0];
    assert_eq!(route.net_bytes.unwrap().p50, 0);
    assert_eq!(route.net_bytes.unwrap().max, 4_300_000);
    let hotspots = recorder.hotspots(None);
    let totals = hotspots.functions(By::NetBytes)[0].totals.clone();
    assert_eq!(totals.net_bytes, Some(4_300_000 + (1 << 20)));
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
    // Messages of folded calls are not kept.
    assert_eq!(request(&kept[0]).outcome, Outcome::Failed(String::new()));
    assert_eq!(recorder.routes()[0].failed, 1);
}

#[test]
fn a_rule_that_panics_keeps_nothing() {
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
