//! Files made from reports that are made by hand.

use std::time::{Duration, UNIX_EPOCH};

use alloc_counter::Counts;

use crate::report::{CallReport, CheckpointReport, FoldedReport, Outcome, Report, Thread};

use super::lanes::{Lane, Step, lanes};
use super::write;

const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// So many blocks of ten bytes, of which so many were freed.
const fn blocks(allocated: u64, freed: u64) -> Counts {
    Counts {
        allocations: allocated,
        deallocations: freed,
        bytes_allocated: 10 * allocated,
        bytes_deallocated: 10 * freed,
        ..Counts::ZERO
    }
}

fn call(name: &'static str, parent: Option<usize>, start: u64, end: u64) -> CallReport {
    CallReport {
        compared: None,
        name: name.into(),
        module: "shop".into(),
        file: "src/shop.rs".into(),
        line: 12,
        id: None,
        labels: Vec::new(),
        parent,
        span_id: None,
        strand: 0,
        thread: Thread {
            number: 1,
            name: Some("main".into()),
        },
        start: ns(start),
        wall: ns(end - start),
        busy: ns(end - start),
        self_wall: ns(end - start),
        self_busy: ns(end - start),
        total: None,
        self_counts: None,
        peak_bytes: None,
        outcome: Outcome::Ok,
        moved: false,
        partial: false,
        checkpoints: Vec::new(),
        sites: None,
    }
}

fn report(calls: Vec<CallReport>) -> Report {
    Report {
        request: None,
        trace: 7,
        trace_id: None,
        span_id: None,
        parent_span: None,
        tracestate: None,
        started: UNIX_EPOCH + Duration::from_secs(1_790_000_000),
        elapsed: calls
            .iter()
            .map(|call| call.start + call.wall)
            .max()
            .unwrap_or_default(),
        grown: 0,
        dropped: 0,
        memory_bytes: 4096,
        total: None,
        subscriber: None,
        calls,
        folded: Vec::new(),
        sites: None,
        sites_not_recorded: None,
    }
}

fn written(reports: &[Report]) -> String {
    let mut out = Vec::new();
    write(reports, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A request whose calls lie on one strand; and one with two branches of a `join!`, a spawned task
/// that wanders and is still running, and text that would like to be something else. And one of
/// few names and times.
fn requests() -> [Report; 3] {
    let mut first = report(vec![
        call("handle", None, 1, 9_001),
        call("fetch", Some(0), 1_500, 3_000),
        call("instant", Some(0), 3_000, 3_000),
    ]);
    first.dropped = 2;
    let handle = &mut first.calls[0];
    handle.id = Some("ca7a".to_owned());
    handle.labels = vec![("rows".into(), "3".to_owned())];
    (handle.total, handle.self_counts) = (Some(blocks(5, 3)), Some(blocks(3, 3)));
    handle.peak_bytes = Some(40);
    handle.self_busy = ns(7_500);
    handle.outcome = Outcome::Failed("no rows".to_owned());
    handle.checkpoints = vec![CheckpointReport {
        name: "half way".into(),
        at: ns(4_000),
        wall: ns(4_000),
        counts: Some(blocks(4, 1)),
    }];
    let fetch = &mut first.calls[1];
    (fetch.total, fetch.self_counts) = (Some(blocks(2, 0)), Some(blocks(2, 0)));
    fetch.peak_bytes = Some(20);
    first.folded = vec![FoldedReport {
        name: "row".into(),
        module: "shop".into(),
        file: "src/shop.rs".into(),
        line: 90,
        parent: Some(1),
        within: None,
        calls: 1_000,
        running: 0,
        failures: 1,
        cancelled: 2,
        wall: ns(900),
        self_wall: ns(900),
        busy: ns(800),
        self_busy: ns(800),
        total: Some(blocks(1, 0)),
        self_counts: Some(blocks(1, 0)),
        moved: false,
        partial: true,
        sites: None,
    }];

    let hostile = "<script>\"\\\n\t;\u{1b}\u{0}é";
    let mut second = report(vec![
        call("Profile", None, 0, 5_000),
        call("left", Some(0), 1_000, 3_000),
        call("right", Some(0), 2_000, 4_000),
        call("leaf", Some(2), 2_500, 3_500),
        call("task", Some(0), 4_100, 6_000),
        call(hostile, Some(4), 4_200, 5_900),
    ]);
    second.trace = 8;
    // While the first one ran.
    second.started += ns(2_000);
    for (index, number) in [(4, 2), (5, 3)] {
        let call = &mut second.calls[index];
        call.strand = 1;
        call.outcome = Outcome::Running;
        (call.thread.number, call.thread.name) = (number, None);
    }
    second.calls[5].labels = vec![(hostile.into(), hostile.to_owned())];
    second.calls[5].partial = true;

    // Many starts and ends at one time, under few names.
    let third = report(vec![
        call("again", None, 0, 10),
        call("again", Some(0), 0, 5),
        call("again", Some(0), 5, 10),
        call("other", Some(2), 7, 10),
        call("again", Some(3), 7, 10),
        call("again", None, 10, 12),
    ]);
    [first, second, third]
}

#[test]
fn three_requests() {
    assert_eq!(written(&requests()), include_str!("golden.json"));
}

#[test]
fn nothing_to_draw_is_a_file_too() {
    assert_eq!(written(&[]), "{\"traceEvents\":[\n]}\n");
    assert_eq!(
        written(&[report(Vec::new())]),
        "{\"traceEvents\":[\n\
         {\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{\"name\":\"trace 7\"}}\n]}\n"
    );
    let two = written(&[report(Vec::new()), report(Vec::new())]);
    assert!(two.contains("\"pid\":2"), "{two}");
}

#[test]
fn a_wrapped_subscribers_memory_is_an_instant_of_the_process() {
    let mut report = report(Vec::new());
    report.subscriber = Some(blocks(34, 30));
    assert_eq!(
        written(&[report]),
        "{\"traceEvents\":[\n\
         {\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{\"name\":\"trace 7\"}},\n\
         {\"name\":\"subscriber\",\"ph\":\"i\",\"cat\":\"trace\",\"ts\":86400000000.0,\"pid\":1,\"tid\":1,\"s\":\"p\",\
         \"args\":{\"allocates\":34,\"bytes_allocated\":340,\"bytes_deallocated\":300}}\n]}\n"
    );
}

/// Each lane as `strand.number: name( inner() )`, with `!` for moments.
fn drawn(calls: Vec<CallReport>) -> Vec<String> {
    let report = report(calls);
    let lane = |lane: &Lane| {
        let step = |step: &Step| match *step {
            Step::Open(call) => format!("{}(", report.calls[call].name),
            Step::Close(_) => ")".to_owned(),
            Step::Moment(call) => format!("{}!", report.calls[call].name),
        };
        let steps: Vec<_> = lane.steps.iter().map(step).collect();
        format!("{}.{}: {}", lane.strand, lane.number, steps.join(" "))
    };
    lanes(&report).iter().map(lane).collect()
}

#[test]
fn calls_within_and_behind_one_another_share_a_lane() {
    let calls = vec![
        call("a", None, 0, 100),
        call("b", Some(0), 0, 50),
        call("c", Some(1), 10, 50),
        call("d", Some(0), 50, 100),
        call("e", None, 100, 110),
    ];
    assert_eq!(drawn(calls), ["0.0: a( b( c( ) ) d( ) ) e( )"]);
}

#[test]
fn branches_lie_beside_one_another_with_what_is_in_them() {
    let calls = vec![
        call("a", None, 0, 100),
        call("left", Some(0), 10, 60),
        // In time within `left`, but not called by it.
        call("right", Some(0), 20, 50),
        call("right's", Some(2), 30, 40),
        call("left's", Some(1), 35, 55),
        call("third", Some(0), 50, 70),
        call("after", Some(0), 80, 90),
    ];
    assert_eq!(
        drawn(calls),
        [
            "0.0: a( left( left's( ) ) after( ) )",
            "0.1: right( right's( ) ) third( )",
        ]
    );
}

#[test]
fn a_call_that_outlives_the_one_around_lies_beside_it() {
    let calls = vec![call("a", None, 0, 10), call("b", Some(0), 5, 15)];
    assert_eq!(drawn(calls), ["0.0: a( )", "0.1: b( )"]);
}

#[test]
fn moments_are_where_the_call_around_is() {
    let calls = vec![
        call("a", None, 0, 10),
        call("b", Some(0), 5, 15),
        call("c", Some(1), 15, 15),
        call("d", None, 15, 15),
    ];
    assert_eq!(drawn(calls), ["0.0: a( ) d!", "0.1: b( ) c!"]);
}

#[test]
fn a_start_before_the_one_around_is_not_drawn_inside_it() {
    let calls = vec![call("a", None, 5, 10), call("b", Some(0), 4, 9)];
    assert_eq!(drawn(calls), ["0.0: a( )", "0.1: b( )"]);
}

#[test]
fn reports_from_elsewhere_do_no_harm() {
    let mut calls = vec![
        call("a", Some(0), 0, 10),
        call("b", Some(9), 1, 3),
        call("c", Some(3), 2, 3),
        call("d", Some(2), 2, 3),
    ];
    calls[1].checkpoints = vec![CheckpointReport {
        name: "late".into(),
        at: Duration::MAX,
        wall: Duration::MAX,
        counts: None,
    }];
    calls[0].wall = Duration::MAX;
    calls[0].busy = Duration::MAX;
    let mut report = report(Vec::new());
    report.calls = calls;
    report.elapsed = Duration::MAX;
    report.started = UNIX_EPOCH - Duration::from_secs(1);
    let [mut folded, _, _] = requests();
    folded.folded[0].parent = Some(4);
    report.folded = folded.folded;
    let file: serde_json::Value = serde_json::from_str(&written(&[report])).unwrap();
    let events = file["traceEvents"].as_array().unwrap();
    let count = |ph: &str| events.iter().filter(|event| event["ph"] == ph).count();
    // The checkpoint, no later than its call's end; and what was folded nowhere.
    assert_eq!([count("B"), count("E"), count("i")], [4, 4, 2]);
    let ts = |ph: &str, name: &str| {
        let found = |event: &&serde_json::Value| event["ph"] == ph && event["name"] == name;
        events.iter().find(found).unwrap()["ts"].clone()
    };
    assert_eq!(ts("i", "late"), ts("E", "b"));
    assert_eq!(ts("i", "folded calls"), 86_400_000_000.0);
}

#[test]
fn levels_are_drawn_only_where_they_are_known() {
    const NONE: [i64; 0] = [];
    let counted = || {
        let mut call = call("a", None, 1_000, 2_000);
        call.total = Some(blocks(2, 5));
        call
    };
    let levels = |calls: Vec<CallReport>| {
        let file: serde_json::Value = serde_json::from_str(&written(&[report(calls)])).unwrap();
        let events = file["traceEvents"].as_array().unwrap();
        let counters = events.iter().filter(|event| event["ph"] == "C");
        let levels = counters.map(|event| event["args"]["bytes"].as_i64().unwrap());
        levels.collect::<Vec<_>>()
    };
    assert_eq!(levels(vec![counted()]), [0, -30]);

    let mut noted = counted();
    let checkpoint = |at, counts| CheckpointReport {
        name: "".into(),
        at: ns(at),
        wall: ns(100),
        counts: Some(counts),
    };
    noted.checkpoints = vec![checkpoint(100, blocks(1, 0)), checkpoint(200, blocks(1, 4))];
    assert_eq!(levels(vec![noted]), [0, 10, -20, -30]);
    assert_eq!(levels(vec![call("a", None, 1_000, 2_000)]), NONE);

    let mut partial = counted();
    partial.partial = true;
    assert_eq!(levels(vec![partial]), NONE);

    let mut overlapping = counted();
    overlapping.start += ns(500);
    assert_eq!(levels(vec![counted(), overlapping]), NONE);

    let mut behind = counted();
    behind.start += ns(1_000);
    assert_eq!(levels(vec![counted(), behind]), [0, -30, 0, -30]);

    let mut elsewhere = counted();
    (elsewhere.strand, elsewhere.parent) = (1, Some(0));
    assert_eq!(levels(vec![counted(), elsewhere]), NONE);
}

/// A writer that is full after so many bytes.
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_the_writer_says_comes_back() {
    let error = write(requests(), Full(1_000)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
