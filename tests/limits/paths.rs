//! Folded calls have the paths and self figures that they would have in a trace without limits.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::task::{Context, Waker};
use std::time::Duration;

use rayon::prelude::*;
use tracer::hotspots::{By, Hotspots};
use tracer::{FoldedReport, Limits, Report, Trace, call, traced};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::folded::limited;
use crate::lines::calls_of;
use crate::pause::pause;

fn added_up(report: &Report) -> Hotspots {
    let mut hotspots = Hotspots::new();
    hotspots.add(report);
    hotspots
}

/// Returns each path as `a > b: calls, allocations, self-allocations`, sorted.
fn paths(hotspots: &Hotspots) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    for path in hotspots.paths() {
        let name = match path.parent {
            Some(parent) => format!("{} > {}", names[parent], path.frame.name),
            None => path.frame.name.to_owned(),
        };
        let (total, own) = (path.totals.total.unwrap(), path.totals.self_counts.unwrap());
        let (total, own) = (total.allocations, own.allocations);
        lines.push(format!("{name}: {}, {total}, {own}", path.totals.calls));
        names.push(name);
    }
    lines.sort_unstable();
    lines
}

/// Each conversion from ticks rounds down to a nanosecond.
#[track_caller]
fn assert_near(one: Duration, other: Duration, parts: u64) {
    let apart = one.abs_diff(other);
    assert!(
        apart <= Duration::from_nanos(parts),
        "{one:?} and {other:?}"
    );
}

#[traced]
fn leaf() {
    allocate(1);
    std::hint::black_box((0..1000).sum::<u64>());
}

#[traced]
pub(crate) fn middle(leaves: u64) {
    allocate(1);
    (0..leaves).for_each(|_| leaf());
}

#[test]
fn self_times_beyond_the_limit_are_without_the_calls_inside() {
    for limit in [1, 2, 3, 50] {
        let trace = limited(limit);
        let scope = trace.inject();
        let outer = call!("outer");
        (0..20).for_each(|_| middle(10));
        outer.stop();
        drop(scope);
        let report = trace.report();
        let whole = report.calls[0].wall;
        let hotspots = added_up(&report);
        // One thread, one call at a time: the self times add up to the whole.
        let functions = hotspots.functions(By::SelfTime);
        let own: Duration = functions.iter().map(|it| it.totals.self_wall).sum();
        assert_near(own, whole, 500);
        let own: Duration = functions.iter().map(|it| it.totals.self_busy).sum();
        assert_near(own, whole, 500);
        assert!(report.calls.iter().all(|call| !call.partial), "{report:#}");
        assert!(report.folded.iter().all(|it| !it.partial), "{report:#}");
        for path in report.folded.iter().filter(|it| it.name == "middle") {
            let place = report.folded.iter().position(|it| std::ptr::eq(it, path));
            let inside = report.folded.iter().find(|it| it.within == place).unwrap();
            assert_near(path.self_wall + inside.wall, path.wall, 2);
            assert_near(path.self_busy + inside.busy, path.busy, 2);
        }
    }
}

#[test]
fn a_table_says_the_same_with_a_limit_and_without() {
    let with = |limit| {
        let trace = limited(limit);
        let scope = trace.inject();
        middle(3);
        (0..5).for_each(middle);
        drop(scope);
        added_up(&trace.report())
    };
    let without = paths(&with(1000));
    assert_eq!(
        without,
        ["middle > leaf: 13, 13, 13", "middle: 6, 19, 6"],
        "middle is there once for each of its six calls"
    );
    for limit in 0..20 {
        assert_eq!(paths(&with(limit)), without, "{limit}");
    }
}

/// The branch that begins first ends last, so its time includes the other's.
#[test]
fn branches_of_a_join_cover_the_call_around_once() {
    #[traced]
    async fn first() {
        pause(3).await;
    }
    #[traced]
    async fn second() {
        pause(1).await;
    }
    for limit in [1, 100] {
        let trace = limited(limit);
        futures_executor::block_on(trace.instrument(async {
            let _around = call!("around");
            futures_util::join!(first(), second());
        }));
        let report = trace.report();
        let around = &report.calls[0];
        let first = if limit == 1 {
            let found = report.folded.iter().find(|it| it.name == "first");
            found.unwrap().wall
        } else {
            let found = report.calls.iter().find(|it| it.name == "first");
            found.unwrap().wall
        };
        assert_near(around.self_wall + first, around.wall, 2);
        assert!(!around.partial);
    }
}

#[traced]
fn parse_line() {
    allocate(1);
}

#[traced]
fn add() {
    allocate(2);
}

#[traced]
fn chunk(lines: u64) {
    for _ in 0..lines {
        parse_line();
        add();
    }
}

fn crunch(limits: Limits) -> Report {
    let trace = Trace::with_limits(10, limits);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .build()
        .unwrap();
    let scope = trace.inject();
    let run = call!("run");
    let here = tracer::fetch();
    pool.install(|| {
        (0..500).into_par_iter().for_each(|_| {
            let _scope = here.inject();
            chunk(10);
        });
    });
    run.stop();
    drop(scope);
    trace.report()
}

#[test]
fn rayon_jobs_beyond_the_limit_stand_on_their_real_paths() {
    let name = "crunch";
    for limits in [
        Limits::default().calls(1_000_000).strands(1_000),
        Limits::default().calls(1_000).strands(1_000),
        Limits::default().calls(100),
        Limits::default().strands(10),
        Limits::default().calls(2).strands(1),
    ] {
        let report = crunch(limits);
        let hotspots = added_up(&report);
        // Rayon's own allocations are only in the outermost call.
        let inner: Vec<String> = { paths(&hotspots).into_iter() }
            .filter(|line| line.contains('>'))
            .collect();
        assert_eq!(
            inner,
            [
                format!("{name} > chunk > add: 5000, 10000, 10000"),
                format!("{name} > chunk > parse_line: 5000, 5000, 5000"),
                format!("{name} > chunk: 500, 15000, 0"),
            ],
            "{limits:?}"
        );
        let whole = hotspots.paths()[0].totals.clone();
        assert!(whole.total.unwrap().allocations >= 15_000);
        assert_eq!(hotspots.counts(), whole.total);
        // On a busy machine a thread may give up waiting for a lock.
        assert!(report.dropped < 50, "{limits:?}: {report:#}");
    }
}

#[test]
fn a_rule_holds_whatever_is_folded() {
    let once = |limits| added_up(&crunch(limits));
    let rules = ["self-allocations > +0".parse().unwrap()];
    let before = once(Limits::default().calls(200));
    for _ in 0..3 {
        let after = once(Limits::default().calls(300).strands(20));
        let diff = tracer::hotspots::Diff::between(&before, &after);
        let breaches = diff.breaches(&rules);
        // Rayon's own allocations are in `crunch`, and may differ.
        let ours = breaches.iter().map(ToString::to_string);
        let ours: Vec<_> = ours
            .filter(|it| it.contains("chunk") || it.contains("add") || it.contains("parse"))
            .collect();
        assert_eq!(ours, [""; 0]);
    }
}

#[test]
fn folded_calls_that_outlive_the_call_around_stand_where_they_were_opened() {
    let trace = limited(2);
    let scope = trace.inject();
    let a = call!("a");
    let b = call!("b");
    let c = call!("c");
    allocate(1);
    a.stop();
    allocate(2);
    b.stop();
    allocate(4);
    c.stop();
    drop(scope);
    let report = trace.report();
    let [folded] = &report.folded[..] else {
        panic!("{report:#}")
    };
    assert_eq!(
        (folded.calls, folded.running, folded.parent),
        (1, 0, Some(1))
    );
    assert_eq!(
        (folded.total, folded.self_counts),
        (Some(boxes(7)), Some(boxes(7)))
    );
    assert_eq!((folded.wall, folded.partial), (folded.busy, false));
    assert_eq!(calls_of(&report), ["a in -: 1, 0, Ok", "b in a: 3, 0, Ok"]);
    let whole = added_up(&report);
    assert_eq!(whole.outside_calls(), Some(boxes(0)));
}

#[test]
fn a_folded_future_that_is_pending_is_seen() {
    #[traced]
    async fn work() {
        allocate(2);
        pause(1).await;
        allocate(3);
    }
    let trace = limited(1);
    let mut context = Context::from_waker(Waker::noop());
    let mut future = Box::pin(trace.instrument(async {
        let _around = call!("around");
        work().await;
    }));
    assert!(future.as_mut().poll(&mut context).is_pending());
    let seen = |report: &Report| {
        let path = &report.folded[0];
        (
            path.calls,
            path.running,
            path.total,
            report.calls[0].self_counts,
        )
    };
    assert_eq!(
        seen(&trace.report()),
        (1, 1, Some(boxes(2)), Some(boxes(0)))
    );
    drop(future);
    let report = trace.report();
    assert_eq!(seen(&report), (1, 0, Some(boxes(2)), Some(boxes(0))));
    assert_eq!(
        (report.folded[0].cancelled, report.folded[0].failures),
        (1, 0)
    );
    let by_name: BTreeMap<&str, &FoldedReport> =
        report.folded.iter().map(|it| (&*it.name, it)).collect();
    assert_eq!(by_name.len(), 1);
}

/// A recorded call on another thread overlaps a folded one. The length of the overlap is not known.
#[test]
fn a_folded_call_beside_a_recorded_one_is_marked() {
    let trace = limited(2);
    let scope = trace.inject();
    let around = call!("around");
    let elsewhere = tracer::fetch();
    let (begun, over) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let _scope = elsewhere.inject();
            let _recorded = call!("recorded");
            begun.wait();
            over.wait();
        });
        begun.wait();
        call!("folded").stop();
        over.wait();
    });
    around.stop();
    drop(scope);
    let report = trace.report();
    let ids: Vec<_> = report.calls.iter().map(|it| it.id.as_deref()).collect();
    assert_eq!(ids, [Some("around"), Some("recorded")]);
    assert_eq!(report.folded.len(), 1);
    assert!(report.calls[0].partial && !report.calls[1].partial);
}
