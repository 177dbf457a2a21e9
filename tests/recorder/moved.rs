//! Calls that continue within another call than the one in which they were opened: the recorder and the
//! report agree on them.

use std::hint::black_box;
use std::time::Duration;

use tracer::alloc::exclude;
use tracer::hotspots::{By, Hotspots};
use tracer::recorder::{Policy, Recorder};
use tracer::{Outcome, Report, Trace, call, fetch};

use crate::common::allocate;

/// Opens `f` in `handle`, and polls it within `g`.
async fn handle(fail: bool) {
    let _handle = call!("handle");
    let c = call!("f");
    if fail {
        c.fail("handled");
    }
    let inner = c.instrument(async {
        drop(black_box(vec![1_u8; 2]));
        tokio::task::yield_now().await;
    });
    let _g = call!("g");
    inner.await;
}

fn kept(times: usize, fail: bool) -> (Recorder, Vec<Report>) {
    let recorder = Recorder::builder()
        .policy(Policy::none().when("all", |_| true))
        .start()
        .unwrap();
    for _ in 0..times {
        futures_executor::block_on(recorder.begin("handle").instrument(handle(fail)));
    }
    recorder.flush(Duration::from_secs(20));
    let kept = recorder.kept();
    let reports = kept.iter().map(|it| (**it).clone()).collect();
    (recorder, reports)
}

fn parents(report: &Report) -> Vec<(Option<&str>, Option<usize>, bool)> {
    let calls = report.calls.iter();
    calls
        .map(|it| (it.id.as_deref(), it.parent, it.moved))
        .collect()
}

#[test]
fn the_recorder_and_the_report_agree_on_parents() {
    let (recorder, reports) = kept(30, true);
    for report in &reports {
        assert_eq!(
            parents(report),
            [
                (Some("handle"), None, false),
                (Some("f"), Some(0), true),
                (Some("g"), Some(0), false)
            ]
        );
        // `handle` is ok, whatever the outcome of `f`.
        let request = report.request.as_ref().unwrap();
        assert_eq!(request.outcome, Outcome::Ok);
        // All requests are equal, so each comparison has one usual value.
        for call in &report.calls {
            if let Some(compared) = &call.compared {
                assert_eq!((compared.usual_calls.p50, compared.usual_calls.max), (1, 1));
            }
        }
    }
    // The newest comes first. Some of the others ended before the baseline had enough requests.
    assert!(reports[0].calls[1].compared.is_some());
    let mut by_reports = Hotspots::new();
    for report in &reports {
        by_reports.add(report);
    }
    let names = |hotspots: &Hotspots| -> Vec<_> {
        let paths = hotspots.paths().into_iter();
        let path = paths.map(|it| (it.frame.line, it.depth, it.totals.calls, it.totals.failures));
        path.collect()
    };
    assert_eq!(names(&recorder.hotspots(None)), names(&by_reports));
    assert_eq!(by_reports.functions(By::Calls)[0].totals.calls, 30);
}

/// If scopes are left out of order, neither the report nor the policy knows a peak.
#[test]
fn a_peak_that_the_report_does_not_know_keeps_nothing() {
    let recorder = Recorder::builder()
        .policy(Policy::none().peak_over(1000))
        .start()
        .unwrap();
    for in_order in [true, false] {
        let recording = recorder.begin("peaks");
        let scope = recording.inject();
        let call = call!("call");
        drop(black_box(vec![1_u8; 1 << 20]));
        let other = Trace::new().inject();
        if in_order {
            drop(other);
            drop((call, scope));
        } else {
            drop((call, scope));
            drop(other);
        }
        let report = recording.trace().report();
        assert_eq!(report.calls[0].peak_bytes.is_some(), in_order);
        recording.finish();
        recorder.flush(Duration::from_secs(20));
        assert_eq!(recorder.kept().len(), 1);
    }
}

/// `inner` is in `outer` once another thread has stopped `middle`, and moves on when `outer` stops. What is
/// spawned from it belongs to the calls that are around it then.
fn spawns_after_a_stop_elsewhere() {
    let outer = call!("outer");
    let middle = call!("middle");
    let inner = call!("inner");
    exclude(|| std::thread::scope(|scope| drop(scope.spawn(|| middle.stop()).join())));
    {
        let _scope = fetch().inject();
        allocate(5);
    }
    outer.stop();
    inner.stop();
}

/// `held` is suspended in `outer` while another thread stops that one, and goes on elsewhere.
fn is_suspended_at_a_stop_elsewhere() {
    let outer = call!("outer");
    let held = call!("held");
    {
        let _scope = fetch().inject();
        allocate(5);
    }
    let future = held.instrument(async {});
    let other = call!("other");
    exclude(|| std::thread::scope(|scope| drop(scope.spawn(|| outer.stop()).join())));
    drop(future);
    allocate(2);
    other.stop();
}

/// `held` is suspended in `outer` while another thread stops that one, and never goes on: what it did itself is in
/// `outer`, and what is spawned from it afterwards is not.
fn is_never_resumed_after_a_stop_elsewhere() {
    let handle = call!("handle");
    let outer = call!("outer");
    let held = call!("held");
    allocate(3);
    let here = fetch();
    {
        let _scope = here.inject();
        allocate(5);
    }
    let future = held.instrument(async {});
    exclude(|| std::thread::scope(|scope| drop(scope.spawn(|| outer.stop()).join())));
    allocate(2);
    {
        let _scope = here.inject();
        allocate(4);
    }
    drop(future);
    handle.stop();
}

/// Returns each call's id, total, own and usual allocations, and parent.
type Figures = (&'static str, u64, u64, u64, Option<usize>);

fn assert_agree(request: fn(), expected: &[Figures]) {
    let recorder = Recorder::builder()
        .policy(Policy::none().when("all", |_| true))
        .start()
        .unwrap();
    for _ in 0..30 {
        recorder.record("spawns", request);
    }
    recorder.flush(Duration::from_secs(20));
    let report = &recorder.kept()[0];
    let calls = report.calls.iter().map(|call| {
        let total = call.total.unwrap().allocates();
        let own = call.self_counts.unwrap().allocates();
        let usual = call.compared.as_ref().unwrap().usual_allocates.unwrap();
        (
            call.id.as_deref().unwrap(),
            total,
            own,
            usual.p50,
            call.parent,
        )
    });
    assert_eq!(calls.collect::<Vec<_>>(), expected);
}

#[test]
fn the_recorder_and_the_report_agree_on_what_is_around_spawned_work() {
    assert_agree(
        spawns_after_a_stop_elsewhere,
        &[
            ("outer", 5, 0, 5, None),
            ("middle", 0, 0, 0, Some(0)),
            ("inner", 5, 5, 5, Some(1)),
        ],
    );
}

#[test]
fn a_call_that_was_suspended_at_a_stop_elsewhere_stays_where_it_was_opened() {
    assert_agree(
        is_suspended_at_a_stop_elsewhere,
        &[
            ("outer", 5, 0, 5, None),
            ("held", 5, 5, 5, Some(0)),
            ("other", 2, 2, 2, Some(0)),
        ],
    );
}

#[test]
fn a_call_that_was_suspended_at_a_stop_elsewhere_is_counted_once() {
    assert_agree(
        is_never_resumed_after_a_stop_elsewhere,
        &[
            ("handle", 14, 2, 14, None),
            ("outer", 8, 0, 8, Some(0)),
            ("held", 12, 12, 12, Some(1)),
        ],
    );
}
