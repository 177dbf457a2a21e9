//! Real traces as trace events, read by the rules of the format: each call is drawn once, in its place
//! and with its length. The files are kept, and `.ci/viewers` opens them in speedscope.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::thread;

use serde_json::{Value, json};
use tracer::export::chrome;
use tracer::{CallReport, Limits, Outcome, Report, Trace, call, fetch, traced};

use crate::by_hand::{poll, run};
use crate::common::allocate;
use crate::pause::pause;

/// A track's calls in order of time, each with the number of calls around it.
type Track<'a> = &'a [(&'a str, usize)];

fn written(reports: &[Report]) -> Value {
    let mut file = Vec::new();
    chrome::write(reports, &mut file).unwrap();
    serde_json::from_slice(&file).unwrap()
}

fn events<'a>(file: &'a Value, phase: &str) -> Vec<&'a Value> {
    let events = file["traceEvents"].as_array().unwrap().iter();
    events.filter(|event| event["ph"] == phase).collect()
}

/// Returns an event's time in nanoseconds.
fn nanos(event: &Value) -> i64 {
    let micros = event["ts"].as_f64().unwrap();
    #[allow(clippy::cast_possible_truncation)]
    let nanos = (micros * 1000.0).round() as i64;
    nanos
}

/// A call's name in speedscope, the number of calls around it, and its length in nanoseconds.
type Frame = (String, usize, i64);

/// Returns each track's name and its frames, in order of time.
fn drawn(file: &Value) -> BTreeMap<u64, (String, Vec<Frame>)> {
    let mut tracks: BTreeMap<u64, (String, Vec<_>)> = BTreeMap::new();
    let mut open: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let mut processes = BTreeMap::new();
    for event in file["traceEvents"].as_array().unwrap() {
        let (pid, tid) = (
            event["pid"].as_u64().unwrap(),
            event["tid"].as_u64().unwrap(),
        );
        let name = event["name"].as_str().unwrap();
        let given = event["args"]["name"].as_str();
        match event["ph"].as_str().unwrap() {
            "M" if name == "process_name" => {
                processes.insert(pid, given.unwrap());
            }
            "M" => {
                let (process, thread) = (processes[&pid], given.unwrap());
                let name = format!("{process} (pid {pid}), {thread} (tid {tid})");
                assert!(tracks.insert(tid, (name, Vec::new())).is_none());
            }
            "B" => {
                let frames = &mut tracks.get_mut(&tid).unwrap().1;
                let open = open.entry(tid).or_default();
                let args = event.get("args").map(|args| format!(" {args}"));
                let frame = format!("{name}{}", args.unwrap_or_default());
                open.push(frames.len());
                frames.push((frame, open.len() - 1, -nanos(event)));
            }
            "E" => {
                let frame = open.get_mut(&tid).unwrap().pop().unwrap();
                let frame = &mut tracks.get_mut(&tid).unwrap().1[frame];
                assert!(frame.0.starts_with(name), "{frame:?}");
                frame.2 += nanos(event);
            }
            _ => {}
        }
    }
    assert!(open.values().all(Vec::is_empty));
    tracks
}

fn call<'a>(report: &'a Report, name: &str) -> &'a CallReport {
    report.calls.iter().find(|call| call.name == name).unwrap()
}

/// Returns the name and length that a call's frame must have.
fn frame(report: &Report, name: &str) -> (String, i64) {
    let call = call(report, name);
    let (outcome, length) = match call.outcome {
        Outcome::Ok => (None, call.wall),
        Outcome::Failed(_) => (Some("failed"), call.wall),
        Outcome::Panicked => (Some("panicked"), call.wall),
        Outcome::Cancelled => (Some("cancelled"), call.wall),
        Outcome::Running => (
            Some("running"),
            report.elapsed.checked_sub(call.start).unwrap(),
        ),
    };
    let outcome = outcome.map(|outcome| format!(" {{\"outcome\":\"{outcome}\"}}"));
    let name = format!("{name}{}", outcome.unwrap_or_default());
    (name, i64::try_from(length.as_nanos()).unwrap())
}

/// Asserts that the file has these tracks and no others, report by report.
fn assert_drawn(test: &str, reports: &[Report], expected: &[&[Track]]) {
    let file = written(reports);
    let tracks = reports.iter().zip(expected);
    let tracks =
        tracks.flat_map(|(report, tracks)| tracks.iter().map(move |track| (report, track)));
    let expected: Vec<Vec<_>> = tracks
        .map(|(report, track)| {
            let frame = |&(name, depth): &(&str, usize)| {
                let (name, length) = frame(report, name);
                (name, depth, length)
            };
            track.iter().map(frame).collect()
        })
        .collect();
    let drawn = drawn(&file);
    let frames: Vec<_> = drawn.values().map(|(_, frames)| frames.clone()).collect();
    assert_eq!(frames, expected, "{file:#}");

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chrome");
    std::fs::create_dir_all(&folder).unwrap();
    #[allow(clippy::cast_precision_loss)]
    let micros = |(frame, depth, length): &Frame| json!([frame, depth, *length as f64 / 1000.0]);
    let profile = |(name, frames): &(String, Vec<_>)| {
        (name.clone(), frames.iter().map(micros).collect::<Value>())
    };
    let profiles: serde_json::Map<_, _> = drawn.values().map(profile).collect();
    let expectation = serde_json::to_string(&profiles).unwrap();
    std::fs::write(folder.join(format!("{test}.drawn.json")), expectation).unwrap();
    std::fs::write(folder.join(format!("{test}.json")), file.to_string()).unwrap();
}

#[traced]
async fn left() {
    pause(2).await;
}

#[traced]
async fn right() {
    leaf().await;
    pause(1).await;
}

#[traced]
async fn leaf() {
    pause(2).await;
}

#[traced]
async fn both() {
    before();
    tokio::join!(left(), right());
    after();
}

#[traced]
fn before() {
    allocate(10);
}

#[traced]
fn after() {
    allocate(10);
}

#[test]
fn branches_of_a_join() {
    let trace = Trace::new();
    run(trace.instrument(both()));
    assert_drawn(
        "join",
        &[trace.report()],
        &[&[
            &[("both", 0), ("before", 1), ("left", 1), ("after", 1)],
            &[("right", 0), ("leaf", 1)],
        ]],
    );
}

#[traced]
async fn wandering() {
    before();
    pause(1).await;
    after();
}

/// A slice for each poll, or for each thread, would show the runtime and not the task.
#[test]
fn a_task_that_wanders_is_one_track() {
    let trace = Trace::new();
    let mut task = Box::pin(trace.instrument(wandering()));
    assert!(poll(task.as_mut()).is_pending());
    thread::spawn(|| run(task)).join().unwrap();
    let report = trace.report();
    assert_ne!(
        call(&report, "before").thread,
        call(&report, "after").thread
    );
    assert_drawn(
        "wandering",
        &[report],
        &[&[&[("wandering", 0), ("before", 1), ("after", 1)]]],
    );
}

#[traced]
async fn spawning() {
    let tasks = [fetch().instrument(spawned()), fetch().instrument(spawned())];
    for task in tasks.map(tokio::spawn) {
        task.await.unwrap();
    }
}

#[traced]
async fn spawned() {
    allocate(1);
    tokio::task::yield_now().await;
}

#[test]
fn spawned_tasks_have_tracks_of_their_own() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let trace = Trace::new();
    runtime.block_on(trace.instrument(spawning()));
    let tracks = drawn(&written(&[trace.report()]));
    let names: Vec<Vec<_>> = tracks
        .values()
        .map(|(_, frames)| {
            frames
                .iter()
                .map(|(name, depth, _)| (name.as_str(), *depth))
                .collect()
        })
        .collect();
    assert_eq!(
        names,
        [[("spawning", 0)], [("spawned", 0)], [("spawned", 0)]]
    );
}

#[traced]
fn on_threads() {
    let trace = fetch();
    let thread = thread::Builder::new().name("worker <1>".to_owned());
    let thread = thread.spawn(move || {
        let _scope = trace.inject();
        before();
    });
    thread.unwrap().join().unwrap();
    after();
}

#[test]
fn threads() {
    let trace = Trace::new();
    let scope = trace.inject();
    on_threads();
    drop(scope);
    let report = trace.report();
    let file = written(std::slice::from_ref(&report));
    let (name, _) = &drawn(&file)[&2];
    let worker = call(&report, "before").thread.number;
    assert!(
        name.ends_with(&format!(", strand 1 on worker <1> #{worker} (tid 2)")),
        "{name}"
    );
    // With two strands there is no level of live bytes: those of different strands don't add up.
    assert_eq!(events(&file, "C"), Vec::<&Value>::new());
    assert_drawn(
        "threads",
        &[report],
        &[&[&[("on_threads", 0), ("after", 1)], &[("before", 0)]]],
    );
}

#[test]
fn a_trace_that_is_still_running() {
    #[traced]
    fn outer(trace: &Trace) -> Report {
        before();
        inner(trace)
    }
    #[traced]
    fn inner(trace: &Trace) -> Report {
        trace.report()
    }
    let trace = Trace::new();
    let scope = trace.inject();
    let report = outer(&trace);
    drop(scope);
    let expected: Track = &[("outer", 0), ("before", 1), ("inner", 1)];
    assert_drawn("running", &[report], &[&[expected]]);
}

#[test]
fn concurrent_requests_have_processes_of_their_own() {
    let (first, second) = (Trace::new(), Trace::new());
    let mut outer = Box::pin(first.instrument(wandering()));
    assert!(poll(outer.as_mut()).is_pending());
    run(second.instrument(wandering()));
    run(outer);
    let reports = [first.report(), second.report()];

    let file = written(&reports);
    let starts = events(&file, "B")
        .into_iter()
        .filter(|event| event["name"] == "wandering");
    let starts: Vec<_> = starts
        .map(|event| (event["pid"].clone(), nanos(event)))
        .collect();
    let start = |report: &Report| {
        let since = report.started.duration_since(reports[0].started).unwrap();
        let nanos = (since + report.calls[0].start).as_nanos();
        86_400_000_000_000 + i64::try_from(nanos).unwrap()
    };
    assert_eq!(
        starts,
        [
            (json!(1), start(&reports[0])),
            (json!(2), start(&reports[1]))
        ]
    );

    let track: Track = &[("wandering", 0), ("before", 1), ("after", 1)];
    assert_drawn("concurrent", &reports, &[&[track], &[track]]);
}

#[test]
fn texts_and_figures_are_in_the_arguments() {
    const HOSTILE: &str = "<script>alert(1)</script>\"\\\t\n;\u{1b}[31m\u{202e}\u{2028}\0é😀";
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("{HOSTILE}", text = HOSTILE, rows = 3);
    allocate(2);
    call.checkpoint(HOSTILE);
    allocate(1);
    call.fail(HOSTILE);
    call.stop();
    let line = line!() - 6;
    drop(scope);
    let report = trace.report();
    let file = written(std::slice::from_ref(&report));

    let [start] = events(&file, "B")[..] else {
        panic!()
    };
    assert_eq!(start["args"], json!({ "outcome": "failed" }));
    let [end] = events(&file, "E")[..] else {
        panic!()
    };
    let recorded = &report.calls[0];
    let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap();
    let expected = json!({
        "call": 0,
        "id": HOSTILE,
        "labels": { "text": HOSTILE, "rows": "3" },
        "module": "export::chrome",
        "location": format!("tests/export/chrome.rs:{line}"),
        "thread": format!("{} #{}", recorded.thread.name.as_deref().unwrap(), recorded.thread.number),
        "message": HOSTILE,
        "wall_ns": nanos(recorded.wall),
        "busy_ns": nanos(recorded.busy),
        "self_busy_ns": nanos(recorded.self_busy),
        "allocates": 3,
        "bytes_allocated": 3,
        "bytes_deallocated": 3,
        "self_allocates": 3,
        "self_bytes_allocated": 3,
        "self_bytes_deallocated": 3,
        "peak_bytes": 1,
    });
    assert_eq!(end["args"], expected);

    let [checkpoint] = events(&file, "i")[..] else {
        panic!()
    };
    assert_eq!(
        (checkpoint["name"].as_str(), checkpoint["s"].as_str()),
        (Some(HOSTILE), Some("t"))
    );
    let expected = json!({
        "wall_ns": nanos(recorded.checkpoints[0].wall),
        "allocates": 2,
        "bytes_allocated": 2,
        "bytes_deallocated": 2,
    });
    assert_eq!(checkpoint["args"], expected);
    let at = nanos(recorded.checkpoints[0].at);
    assert_eq!(
        self::nanos(checkpoint) - self::nanos(start),
        i64::try_from(at).unwrap()
    );

    let levels = events(&file, "C")
        .into_iter()
        .map(|event| event["args"]["bytes"].clone());
    assert_eq!(levels.collect::<Vec<_>>(), [0, 0, 0]);
}

#[test]
fn live_bytes_at_starts_checkpoints_and_ends() {
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!();
    let kept = std::hint::black_box(vec![0_u8; 100]);
    call.checkpoint("has");
    call.stop();
    let call = call!();
    drop(kept);
    call.stop();
    drop(scope);
    let file = written(&[trace.report()]);
    let levels = events(&file, "C")
        .into_iter()
        .map(|event| event["args"]["bytes"].clone());
    assert_eq!(levels.collect::<Vec<_>>(), [0, 100, 100, 0, -100]);
}

#[test]
fn folded_calls_are_arguments_of_the_call_around() {
    let trace = Trace::with_limits(1, Limits::default().calls(1));
    let scope = trace.inject();
    let call = call!();
    before();
    before();
    call.stop();
    before();
    drop(scope);
    let file = written(&[trace.report()]);
    let [end] = events(&file, "E")[..] else {
        panic!()
    };
    let [outside] = events(&file, "i")[..] else {
        panic!()
    };
    let said = |folded: &Value| {
        (
            folded["name"].clone(),
            folded["calls"].clone(),
            folded["allocates"].clone(),
        )
    };
    assert_eq!(end["args"]["folded"].as_array().unwrap().len(), 1);
    assert_eq!(
        said(&end["args"]["folded"][0]),
        (json!("before"), json!(2), json!(20))
    );
    assert_eq!(
        (&outside["name"], &outside["s"]),
        (&json!("folded calls"), &json!("p"))
    );
    assert_eq!(
        said(&outside["args"]),
        (json!("before"), json!(1), json!(10))
    );
}

/// A report that checks, when it is written, that no other one is alive.
struct Alive(Report, Rc<()>);

impl Borrow<Report> for Alive {
    fn borrow(&self) -> &Report {
        let Self(report, alive) = self;
        assert_eq!(Rc::strong_count(alive), 2);
        report
    }
}

/// Reports of a stream are written one at a time, and dropped before the next.
#[test]
fn a_stream_of_reports() {
    let trace = Trace::new();
    let scope = trace.inject();
    before();
    drop(scope);
    let alive = Rc::new(());
    let reports = (0..1_000).map(|_| Alive(trace.report(), alive.clone()));
    let mut file = Vec::new();
    chrome::write(reports, &mut file).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(drawn(&file).len(), 1_000);
}
