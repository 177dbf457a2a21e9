//! Sites in calls: exact, of each call its own, whatever runs it.

use std::hint::black_box;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tracer::alloc::{Counts, Sites};
use tracer::report::SiteReport;
use tracer::{InCurrentTrace, Limits, Report, Scope, Trace, call, traced};

use crate::figures::{check_sums, sum, without_frees};

fn exact() -> Trace {
    Trace::builder().sites(Sites::exact()).build()
}

/// Returns the sites of all calls together.
fn of_calls(report: &Report) -> Vec<SiteReport> {
    let calls = report.calls.iter();
    let sites = calls.flat_map(|call| call.sites.clone().unwrap());
    sites.collect()
}

/// Returns the bytes of each site of a call, with the functions and lines in this file.
fn shown(sites: Option<&[SiteReport]>) -> Vec<String> {
    let sites = sites.unwrap_or_default().iter();
    let show = |site: &SiteReport| {
        let frames = site.frames.iter().filter_map(|frame| {
            let function = frame.function.as_deref()?.strip_prefix("sites::calls::")?;
            let is_here = frame.file.as_deref()?.ends_with("tests/sites/calls.rs");
            is_here.then(|| format!("{function}:{}", frame.line.unwrap_or_default()))
        });
        let whole = if site.is_whole { "" } else { ", cut" };
        format!(
            "{}: {}{whole}",
            site.bytes_allocated,
            frames.collect::<Vec<_>>().join(" in ")
        )
    };
    sites.map(show).collect()
}

const BLOCK: u32 = line!() + 3;
#[inline(never)]
fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1; bytes])
}

const INNER: u32 = line!() + 4;
#[traced]
#[inline(never)]
fn inner() -> Vec<u8> {
    let kept = block(100);
    drop(block(10));
    kept
}

const OUTER: u32 = line!() + 4;
#[traced]
#[inline(never)]
fn outer() -> usize {
    let mut all = black_box(Vec::with_capacity(1));
    all.push(inner());
    all.push(inner());
    drop(block(7));
    all.len()
}

#[test]
fn each_call_has_its_own_as_far_as_its_function() {
    let trace = exact();
    let scope = trace.inject();
    drop(block(1000));
    outer();
    drop(scope);
    let report = trace.report().resolved();
    check_sums(&report);
    let names: Vec<_> = report.calls.iter().map(|call| &*call.name).collect();
    assert_eq!(names, ["outer", "inner", "inner"]);
    for call in &report.calls[1..] {
        let expected = [
            format!("100: block:{BLOCK} in inner:{INNER}"),
            format!("10: block:{BLOCK} in inner:{}", INNER + 1),
        ];
        assert_eq!(shown(call.sites.as_deref()), expected);
    }
    let size = size_of::<Vec<u8>>();
    let expected = [
        format!("{}: outer:{}", 4 * size - size, OUTER + 2),
        format!("{size}: outer:{OUTER}"),
        format!("7: block:{BLOCK} in outer:{}", OUTER + 3),
    ];
    assert_eq!(shown(report.calls[0].sites.as_deref()), expected);
    assert_eq!(sum(report.sites.as_ref().unwrap()).bytes_allocated, 1000);
    let tree = format!("{report:#}");
    let lines: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split_once("▸ "))
        .collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sites/calls.rs");
    let place = |function: &str, line: u32| format!("sites::calls::{function} at {file}:{line}");
    let expected = [
        // Outside of the calls.
        place("block", BLOCK),
        place("outer", OUTER + 2),
        place("outer", OUTER),
        place("block", BLOCK),
        place("block", BLOCK),
        place("block", BLOCK),
    ];
    assert_eq!(
        lines.iter().map(|(_, text)| *text).collect::<Vec<_>>(),
        expected
    );
}

#[traced]
async fn waits() -> usize {
    let mut kept = block(20);
    for _ in 0..3 {
        tokio::task::yield_now().await;
        kept.extend_from_slice(&block(30));
    }
    nested().await + kept.len()
}

#[traced]
async fn nested() -> usize {
    let kept = block(5);
    tokio::task::yield_now().await;
    kept.len()
}

#[test]
fn futures_on_several_workers() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let trace = exact();
    let request = trace.instrument(async {
        let tasks: Vec<_> = (0..20)
            .map(|_| tokio::spawn(waits().in_current_trace()))
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 115);
        }
    });
    runtime.block_on(request);
    let report = trace.report().resolved();
    check_sums(&report);
    let nested: Vec<_> = report
        .calls
        .iter()
        .filter(|it| it.name == "nested")
        .collect();
    assert_eq!(nested.len(), 20);
    for call in nested {
        // The runtime may allocate for the yield, too.
        let block = format!("5: block:{BLOCK} in nested::{{{{closure}}}}");
        let sites = shown(call.sites.as_deref());
        assert!(sites.iter().any(|it| it.starts_with(&block)), "{sites:?}");
    }
    for call in report.calls.iter().filter(|it| it.name == "waits") {
        let blocks = shown(call.sites.as_deref())
            .into_iter()
            .filter(|it| it.starts_with(&format!("90: block:{BLOCK}")));
        assert_eq!(blocks.count(), 1, "{:?}", shown(call.sites.as_deref()));
    }
}

#[test]
fn scopes_of_other_traces_and_of_the_same() {
    let (one, other) = (exact(), exact());
    let scope = one.inject();
    let call = call!("one");
    drop(block(1));
    {
        let _inside = other.inject();
        let _call = call!("other");
        drop(block(10));
        let _again = one.inject();
        let _call = call!("again");
        drop(block(100));
    }
    drop(block(1));
    call.stop();
    drop(scope);
    let bytes = |trace: &Trace| -> Vec<_> {
        let report = trace.report();
        check_sums(&report);
        let calls = report.calls.iter();
        calls
            .map(|call| sum(call.sites.as_ref().unwrap()).bytes_allocated)
            .collect()
    };
    assert_eq!(bytes(&one), [12, 100]);
    assert_eq!(bytes(&other), [110]);
}

#[test]
fn a_report_of_a_trace_that_runs() {
    let trace = exact();
    let (send, receive) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    let other = trace.clone();
    let thread = thread::spawn(move || {
        let _scope = other.inject();
        let _call = call!("elsewhere");
        drop(block(10));
        started.send(()).unwrap();
        receive.recv().unwrap_err();
    });
    has_started.recv().unwrap();
    let scope = trace.inject();
    let call = call!("here");
    drop(block(10));
    let report = trace.report();
    let sites = |id: &str| {
        let mut calls = report.calls.iter();
        let call = calls.find(|call| call.id.as_deref() == Some(id));
        call.unwrap().sites.as_ref()
    };
    assert_eq!(sites("elsewhere"), None);
    // Beside those of taking the report.
    let mut here = sites("here").unwrap().iter();
    assert!(here.any(|site| (site.allocations, site.bytes_allocated) == (1, 10)));
    call.stop();
    drop(report);
    drop(scope);
    drop(send);
    thread.join().unwrap();
    let report = trace.report();
    // What the reading of sites allocated.
    let lost = report.sites_not_recorded.unwrap();
    let own: Counts = report.calls.iter().map(|it| it.self_counts.unwrap()).sum();
    let sites = sum(&of_calls(&report));
    assert_eq!(without_frees(sites + lost), without_frees(own));
    assert!(lost.allocations > 0);
}

/// Returns what a trace with these limits records.
fn outer_within(limits: Limits) -> Report {
    let traces = Trace::builder().limits(limits).sites(Sites::exact());
    let trace = traces.build();
    let scope = trace.inject();
    outer();
    drop(scope);
    trace.report()
}

#[test]
fn sites_beyond_the_limit_are_counted() {
    let report = outer_within(Limits::default().sites(2));
    let sites = of_calls(&report);
    assert_eq!(sites.len(), 2);
    let all = sum(&sites) + report.sites_not_recorded.unwrap();
    assert_eq!(without_frees(all), without_frees(report.total.unwrap()));
}

#[test]
fn folded_calls_have_the_sites_of_their_path() {
    let report = outer_within(Limits::default().calls(1)).resolved();
    check_sums(&report);
    assert_eq!(report.sites_not_recorded, Some(Counts::ZERO));
    let [folded] = &*report.folded else {
        panic!("{report:#}");
    };
    assert_eq!((&*folded.name, folded.calls), ("inner", 2));
    let expected = [
        format!("200: block:{BLOCK} in inner:{INNER}"),
        format!("20: block:{BLOCK} in inner:{}", INNER + 1),
    ];
    assert_eq!(shown(folded.sites.as_deref()), expected);
    let tree = format!("{report:#}");
    let below = tree.split_once("inner, folded calls: 2").unwrap().1;
    assert!(below.contains("▸ sites::calls::block at "), "{tree}");
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

/// Calls on several levels, of which all but one are folded, with tasks below them.
#[test]
fn folded_tasks_have_exact_sites() {
    #[traced]
    async fn leaf(bytes: usize) {
        drop(block(bytes));
        tokio::task::yield_now().await;
        drop(block(1));
    }
    #[traced]
    async fn spawning(bytes: usize) {
        let task = tokio::spawn(leaf(bytes).in_current_trace());
        drop(block(5));
        leaf(bytes).await;
        task.await.unwrap();
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let limits = Limits::default().calls(1);
    let trace = Trace::builder()
        .limits(limits)
        .sites(Sites::exact())
        .build();
    runtime.block_on(trace.instrument(async {
        let call = call!("all");
        for round in 0..10 {
            spawning(round).await;
        }
        call.stop();
    }));
    let report = trace.report().resolved();
    check_sums(&report);
    assert_eq!(report.sites_not_recorded, Some(Counts::ZERO));
    assert_eq!(report.calls.len(), 1);
    let names = report.folded.iter().map(|it| (&*it.name, it.calls));
    let names: Vec<_> = names.collect();
    assert_eq!(names, [("spawning", 10), ("leaf", 20)]);
    let ones = shown(report.folded[1].sites.as_deref());
    assert!(ones.iter().any(|it| it.starts_with("90: ")), "{ones:?}");
    assert!(ones.iter().any(|it| it.starts_with("20: ")), "{ones:?}");
}

#[test]
fn strands_without_calls_have_their_sites_in_the_call_around() {
    let trace = exact();
    let scope = trace.inject();
    let call = call!("around");
    let threads = (0..4).map(|number| {
        let work = tracer::in_current_trace(move || drop(block(100 + number)));
        thread::spawn(work)
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        thread.join().unwrap();
    }
    call.stop();
    drop(scope);
    let report = trace.report().resolved();
    check_sums(&report);
    let [call] = &*report.calls else {
        panic!("{report:#}");
    };
    let blocks = shown(call.sites.as_deref());
    let start = format!("{}: block:{BLOCK} in ", 4 * 100 + 6);
    assert!(blocks[0].starts_with(&start), "{blocks:?}");
}

/// Of a function that returns to the code that is recorded.
#[inline(never)]
fn deep_inside(trace: &Trace) -> Scope {
    let frame = black_box([0_u8; 10_000]);
    let scope = trace.inject();
    black_box(&frame);
    scope
}

#[test]
fn a_scope_from_further_in_has_the_frames_of_its_holder() {
    const HOLDER: u32 = line!() + 4;
    for trace in [exact(), Trace::builder().sites(Sites::sampled(1)).build()] {
        #[inline(never)]
        fn holder(trace: &Trace) {
            let scope = deep_inside(trace);
            drop(block(300));
            drop(scope);
        }
        holder(&trace);
        let report = trace.report().resolved();
        let expected = format!(
            "300: block:{BLOCK} in a_scope_from_further_in_has_the_frames_of_its_holder::holder:{}",
            HOLDER + 1
        );
        let sites = shown(report.sites.as_deref());
        assert!(sites[0].starts_with(&expected), "{sites:?}");
        assert!(report.sites.unwrap()[0].is_whole);
    }
}

#[test]
fn samples_divide_the_figures() {
    let trace = Trace::builder().sites(Sites::sampled(1000)).build();
    let scope = trace.inject();
    let call = call!("work");
    for _ in 0..1000 {
        drop(block(1000));
    }
    call.stop();
    drop(scope);
    let report = trace.report();
    let [site] = &**report.calls[0].sites.as_ref().unwrap() else {
        panic!("{report:#}");
    };
    let real = report.calls[0].self_counts.unwrap().bytes_allocated;
    // The standard error is 2.4 per cent.
    assert!(site.bytes_allocated.abs_diff(real) < real / 5, "{site:?}");
    assert!(
        (real / 60..real / 30).contains(&site.error_bytes),
        "{site:?}"
    );
}

/// Each visit of a thread has a log of its own, which is added to those of the visits before.
#[test]
fn samples_of_all_visits_are_together() {
    /// Returns how many blocks of 1,000 bytes are at the sites of the only call.
    fn blocks(trace: &Trace) -> u64 {
        let report = trace.report();
        let sites = report.calls[0].sites.as_ref().unwrap();
        let of_block = |site: &&SiteReport| site.bytes_allocated == 1000 * site.allocations;
        let blocks = sites.iter().filter(of_block);
        blocks.map(|site| site.allocations).sum()
    }
    let trace = Trace::builder().sites(Sites::sampled(1)).build();
    let inside = trace.clone();
    let work = async move {
        let _call = call!("work");
        let mut seen = Vec::new();
        for _ in 0..3 {
            drop(block(1000));
            seen.push(blocks(&inside));
            tokio::task::yield_now().await;
        }
        seen
    };
    let mut work = Box::pin(trace.instrument(work));
    let mut at_rest = Vec::new();
    let seen = loop {
        let mut poll = || work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let polled = thread::scope(|threads| threads.spawn(&mut poll).join());
        at_rest.push(blocks(&trace));
        if let Poll::Ready(seen) = polled.unwrap() {
            break seen;
        }
    };
    assert_eq!(seen, [1, 2, 3]);
    assert_eq!(at_rest, [1, 2, 3, 3]);
}

#[test]
fn a_trace_that_wants_none_has_none() {
    let trace = Trace::new();
    let scope = trace.inject();
    outer();
    drop(scope);
    let report = trace.report().resolved();
    assert!(report.calls.iter().all(|call| call.sites.is_none()));
    assert_eq!((report.sites, report.sites_not_recorded), (None, None));
}

#[test]
fn leaked_scopes_do_not_stop_recording() {
    thread::spawn(|| {
        let mut traces = Vec::new();
        for _ in 0..100 {
            let trace = exact();
            std::mem::forget(trace.inject());
            traces.push(trace);
        }
        let trace = exact();
        let scope = trace.inject();
        drop(block(10));
        drop(scope);
        // 64 logs of leaked scopes are entered, so its sites are not known.
        assert_eq!(trace.report().sites, None);
    })
    .join()
    .unwrap();
}

#[test]
fn a_report_is_the_same_after_json() {
    let trace = exact();
    let scope = trace.inject();
    drop(block(3));
    outer();
    drop(scope);
    for report in [trace.report(), trace.report().resolved()] {
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
    let text = serde_json::to_string(&trace.report()).unwrap();
    assert!(text.contains("\"unresolved\":\"not_looked_up\""));
    assert!(text.contains("\"sites_not_recorded\":{"));
}

#[test]
fn a_recorder_keeps_requests_with_their_lines() {
    use tracer::recorder::{Policy, Recorder};

    let recorder = Recorder::builder()
        .policy(Policy::none().when("all", |_| true))
        .sites(Sites::exact())
        .start()
        .unwrap();
    for _ in 0..2 {
        recorder.record("work", outer);
    }
    assert!(recorder.flush(Duration::from_secs(60)));
    let kept = recorder.kept();
    assert_eq!(kept.len(), 2);
    for report in kept {
        check_sums(&report);
        let expected = format!("7: block:{BLOCK} in outer:{}", OUTER + 3);
        assert_eq!(
            shown(report.calls[0].sites.as_deref()).last(),
            Some(&expected)
        );
    }
}
