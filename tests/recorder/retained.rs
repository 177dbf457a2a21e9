//! What the calls of a path keep, compared with what they usually keep.

use std::hint::black_box;
use std::sync::Mutex;
use std::time::Duration;

use tracer::recorder::{Builder, Policy, Recorder};
use tracer::report::{Compared, Percentiles};
use tracer::{Limits, Report, call};

use crate::{kept, request};

/// Whoever is asked for is kept.
fn builder() -> Builder {
    let policy = Policy::none().when("asked for", |ended| ended.id == Some("asked"));
    Recorder::builder().policy(policy)
}

fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1_u8; bytes])
}

fn handle() {
    let _call = call!();
}

/// Allocates a hundred bytes, which it frees, and what it returns.
fn load(bytes: usize) -> Vec<u8> {
    let _call = call!();
    drop(block(100));
    block(bytes)
}

/// Records a request that loads, and gives what was loaded to `then` before its end.
fn loading<T>(recorder: &Recorder, id: &str, bytes: usize, then: impl FnOnce(Vec<u8>) -> T) -> T {
    let mut recording = recorder.begin("GET /orders/{id}");
    recording.id(id);
    let _scope = recording.inject();
    handle();
    then(load(bytes))
}

fn compared<'a>(report: &'a Report, name: &str) -> &'a Compared {
    let call = report.calls.iter().find(|call| call.name == name);
    call.unwrap().compared.as_deref().unwrap()
}

fn figures(usual: Option<Percentiles<u64>>) -> (u64, u64, u64, u64) {
    let usual = usual.unwrap();
    (usual.p50, usual.p95, usual.p99, usual.max)
}

#[test]
fn a_call_that_keeps_once_what_it_usually_frees() {
    let recorder = builder().start().unwrap();
    for _ in 0..40 {
        loading(&recorder, "", 0, drop);
    }
    // The request frees it, so that only the call is unusual.
    loading(&recorder, "asked", 4_300_000, drop);
    let report = &kept(&recorder)[0];
    let whole = request(report).compared.as_ref().unwrap();
    assert_eq!(whole.net_bytes, Some(0));
    assert!(!whole.net_bytes_stand_out());
    let of_load = compared(report, "load");
    assert_eq!(of_load.net_bytes, Some(4_300_000));
    assert_eq!(
        figures(of_load.usual_net_bytes),
        (0, 0, 4_300_000, 4_300_000)
    );
    assert!(of_load.net_bytes_stand_out() && of_load.stands_out());
    let of_handle = compared(report, "handle");
    assert_eq!(
        (of_handle.net_bytes, figures(of_handle.usual_net_bytes)),
        (Some(0), (0, 0, 0, 0))
    );
    assert!(!of_handle.net_bytes_stand_out());
    // Each rendering has it.
    let said = " · keeps 4.10 MiB (usual 0 B)";
    assert!(of_load.to_string().ends_with(said), "{of_load}");
    for text in [report.to_string(), report.tree().to_string()] {
        let lines: Vec<_> = text.lines().filter(|line| line.contains(said)).collect();
        assert_eq!(lines.len(), 1, "{text}");
        assert!(
            lines[0].contains("load") && lines[0].contains(" · ▲ "),
            "{text}"
        );
    }
    let tree = report.tree().to_string();
    let headings = tree.lines().nth(2).unwrap();
    assert!(headings.contains("keeps"), "{tree}");
    let json = serde_json::to_string(&**report).unwrap();
    assert_eq!(&serde_json::from_str::<Report>(&json).unwrap(), &**report);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let of_call = &value["calls"][1]["compared"];
    assert_eq!(of_call["net_bytes"], 4_300_000);
    assert_eq!(of_call["usual_net_bytes"]["p95"], 0);
    assert_eq!(of_call["usual_net_bytes"]["max"], 4_300_000);
    // Files of before don't have it.
    let usual = r#","usual_net_bytes":{"p50":0,"p95":0,"p99":4300000,"max":4300000}"#;
    let before = json
        .replace(r#","net_bytes":4300000,"of""#, r#","of""#)
        .replace(usual, "");
    assert!(before.len() < json.len() - usual.len());
    let before: Report = serde_json::from_str(&before).unwrap();
    let of_load = compared(&before, "load");
    assert_eq!((of_load.net_bytes, of_load.usual_net_bytes), (None, None));
    assert!(!of_load.net_bytes_stand_out());
}

#[test]
fn what_is_usually_kept_counts_the_requests_that_keep_nothing() {
    let recorder = builder().start().unwrap();
    // Of 94 requests with the call, 60 keep nothing; six have no such call.
    for number in 0..94 {
        let bytes = match number {
            0..60 => 0,
            60..90 => 16,
            90..93 => 24,
            _ => 31,
        };
        let id = if number == 93 { "asked" } else { "" };
        if number < 6 {
            let recording = recorder.begin("GET /orders/{id}");
            let _scope = recording.inject();
            handle();
        }
        loading(&recorder, id, bytes, drop);
    }
    let report = &kept(&recorder)[0];
    let of_load = compared(report, "load");
    assert_eq!((of_load.requests, of_load.of), (94, 100));
    assert_eq!(figures(of_load.usual_net_bytes), (0, 16, 24, 31));
    // So few are not unusual.
    assert!(!of_load.net_bytes_stand_out(), "{of_load}");
}

#[test]
fn less_than_a_kibibyte_is_not_unusual() {
    for (bytes, is_unusual) in [(1023, false), (1024, true)] {
        let recorder = builder().start().unwrap();
        for _ in 0..40 {
            loading(&recorder, "", 0, drop);
        }
        let _kept = loading(&recorder, "asked", bytes, |loaded| loaded);
        let report = &kept(&recorder)[0];
        let of_load = compared(report, "load");
        let whole = request(report).compared.as_ref().unwrap();
        for compared in [of_load, whole] {
            assert_eq!(compared.net_bytes, i64::try_from(bytes).ok());
            assert_eq!(compared.net_bytes_stand_out(), is_unusual, "{compared}");
            assert_eq!(compared.to_string().contains("keeps"), is_unusual);
        }
    }
}

/// Frees the block.
fn evict(block: Vec<u8>) {
    let _call = call!();
    drop(block);
}

#[test]
fn a_call_that_frees_older_memory_keeps_nothing() {
    let recorder = builder().start().unwrap();
    for number in 0..40 {
        let id = if number == 39 { "asked" } else { "" };
        loading(&recorder, id, 5000, evict);
    }
    let report = &kept(&recorder)[0];
    let of_evict = compared(report, "evict");
    assert_eq!(of_evict.net_bytes, Some(-5000));
    assert_eq!(figures(of_evict.usual_net_bytes), (0, 0, 0, 0));
    let usual = compared(report, "load").usual_net_bytes.unwrap();
    // Known to a thirty-second; the highest is exact.
    assert!(usual.p50.abs_diff(5000) <= 5000 / 32, "{usual:?}");
    assert_eq!(usual.max, 5000);
    assert!(!compared(report, "load").net_bytes_stand_out());
}

fn row(bytes: usize) -> Vec<u8> {
    let _call = call!();
    block(bytes)
}

#[test]
fn calls_of_one_path_are_added_up_with_folded_ones() {
    let limits = Limits::default().calls(10);
    let recorder = builder().trace(10, limits).start().unwrap();
    for number in 0..40 {
        let mut recording = recorder.begin("GET /rows");
        let _scope = recording.inject();
        // One keeps what the others give back.
        let (rows, bytes) = if number == 39 { (300, 64) } else { (30, 1) };
        if number == 39 {
            recording.id("asked");
        }
        let kept: Vec<_> = (0..rows).map(|_| row(bytes)).collect();
        drop(kept);
    }
    let report = &kept(&recorder)[0];
    assert!(!report.folded.is_empty());
    let of_row = compared(report, "row");
    assert_eq!((of_row.calls, of_row.net_bytes), (300, Some(300 * 64)));
    let (p50, _, _, max) = figures(of_row.usual_net_bytes);
    assert_eq!((p50, max), (30, 300 * 64));
    assert!(of_row.net_bytes_stand_out());
}

#[test]
fn stripes_add_up() {
    let recorder = builder().start().unwrap();
    // Each thread has a stripe of its own, if there are as many. Only two of the four keep anything.
    let order = Mutex::new(());
    std::thread::scope(|threads| {
        for bytes in [0, 0, 7, 21] {
            let (recorder, order) = (&recorder, &order);
            threads.spawn(move || {
                for _ in 0..25 {
                    let _turn = order.lock().unwrap();
                    loading(recorder, "", bytes, drop);
                }
            });
        }
    });
    loading(&recorder, "asked", 30, drop);
    let report = &kept(&recorder)[0];
    let of_load = compared(report, "load");
    assert_eq!((of_load.requests, of_load.of), (101, 101));
    // The 51st is the first of those that keep seven.
    assert_eq!(figures(of_load.usual_net_bytes), (7, 21, 21, 30));
    assert_eq!(figures(compared(report, "handle").usual_net_bytes).3, 0);
}

#[test]
fn what_was_kept_before_both_windows_is_forgotten() {
    let window = Duration::from_millis(50);
    let recorder = builder().window(window).start().unwrap();
    for _ in 0..40 {
        loading(&recorder, "", 5000, drop);
    }
    std::thread::sleep(3 * window);
    // Until 20 fall into two windows.
    let usual = loop {
        for _ in 0..40 {
            loading(&recorder, "", 3, drop);
        }
        loading(&recorder, "asked", 3, drop);
        let report = kept(&recorder).pop().unwrap();
        let load = report.calls.iter().find(|call| call.name == "load");
        if let Some(compared) = &load.unwrap().compared {
            break compared.usual_net_bytes;
        }
    };
    assert_eq!(figures(usual), (3, 3, 3, 3));
}

/// Opens nested calls by the digits of `number`, so that each number has its own path, and keeps something in the
/// innermost one.
fn on_path(number: u64, bytes: usize, kept: &mut Vec<Vec<u8>>) {
    macro_rules! calls {
        ($($digit:literal)*) => { match number % 10 { $($digit => {
            let _call = call!();
            if number >= 10 { on_path(number / 10, bytes, kept) } else { kept.push(block(bytes)) }
        })* _ => {} } };
    }
    calls!(0 1 2 3 4 5 6 7 8 9);
}

#[test]
fn without_room_what_is_usually_kept_is_right_or_missing() {
    let recorder = builder().memory_bytes(64 << 10).start().unwrap();
    let requests = 2000;
    for number in 0..requests {
        let mut recording = recorder.begin("job");
        recording.id(if number == requests - 1 { "asked" } else { "" });
        let mut kept = Vec::with_capacity(1);
        let _scope = recording.inject();
        // Every tenth request keeps more.
        let bytes = if number % 10 == 9 { 50_000 } else { 1000 };
        on_path(number, bytes, &mut kept);
        let _row = row(bytes);
    }
    let report = &kept(&recorder)[0];
    let statistics = recorder.statistics();
    assert!(statistics.not_compared > 0, "{statistics:?}");
    let whole = request(report).compared.as_ref().unwrap();
    assert_eq!(whole.of, requests);
    for call in &report.calls {
        let usual = call.compared.as_deref().and_then(|it| it.usual_net_bytes);
        if let Some(usual) = usual
            && call.name == "row"
        {
            assert!((512..2048).contains(&usual.p50), "{usual:?}");
            assert_eq!(usual.max, 50_000);
        }
    }
}
