//! Calls beyond a trace's limit: where they stand, and what is theirs alone, is what a trace without
//! limits says.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rayon::prelude::*;
use tracer::hotspots::{By, Hotspots};
use tracer::{FoldedReport, Limits, Report, Trace, call, traced};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};

fn limited(calls: usize) -> Trace {
    Trace::with_limits(10, Limits::default().calls(calls))
}

fn added_up(report: &Report) -> Hotspots {
    let mut hotspots = Hotspots::new();
    hotspots.add(report);
    hotspots
}

/// Each path as `a > b: calls, allocations, self-allocations`, sorted.
fn paths(hotspots: &Hotspots) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    for path in hotspots.paths() {
        let name = match path.parent {
            Some(parent) => format!("{} > {}", names[parent], path.frame.name),
            None => path.frame.name.to_owned(),
        };
        let (total, own) = (path.totals.total.unwrap(), path.totals.own.unwrap());
        let (total, own) = (total.allocations, own.allocations);
        lines.push(format!("{name}: {}, {total}, {own}", path.totals.calls));
        names.push(name);
    }
    lines.sort_unstable();
    lines
}

/// Times of conversions from ticks are cut to a nanosecond each.
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
fn middle(leaves: u64) {
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
        // One thread, one call at a time: all that is known is a part of the whole, each once.
        let functions = hotspots.functions(By::SelfTime);
        let own: Duration = functions.iter().map(|it| it.totals.own_wall).sum();
        assert_near(own, whole, 500);
        let own: Duration = functions.iter().map(|it| it.totals.own_busy).sum();
        assert_near(own, whole, 500);
        assert!(report.calls.iter().all(|call| !call.partial), "{report:#}");
        assert!(report.folded.iter().all(|it| !it.partial), "{report:#}");
        for path in report.folded.iter().filter(|it| it.name == "middle") {
            let place = report.folded.iter().position(|it| std::ptr::eq(it, path));
            let inside = report.folded.iter().find(|it| it.within == place).unwrap();
            assert_near(path.own_wall + inside.wall, path.wall, 2);
            assert_near(path.own_busy + inside.busy, path.busy, 2);
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

/// One that yields as often as it is told.
async fn pending(times: u32) {
    let mut left = times;
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        left = left.saturating_sub(1);
        if left == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// The branch that begins first ends last: the time of the other is in its time.
#[test]
fn branches_of_a_join_cover_the_call_around_once() {
    #[traced]
    async fn first() {
        pending(4).await;
    }
    #[traced]
    async fn second() {
        pending(2).await;
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
        assert_near(around.own_wall + first, around.wall, 2);
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
        // What rayon itself allocates is in the outermost alone.
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
        assert_eq!(report.dropped, 0);
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
        // Rayon's own is in `crunch`, and may differ.
        let ours = breaches.iter().map(ToString::to_string);
        let ours: Vec<_> = ours
            .filter(|it| it.contains("chunk") || it.contains("add") || it.contains("parse"))
            .collect();
        assert_eq!(ours, [""; 0]);
    }
}

/// Five threads, each in a scope and a call, while somebody looks.
#[test]
fn strands_beyond_the_limit_are_seen_while_they_live() {
    const STRANDS: usize = 5;
    let trace = Trace::with_limits(10, Limits::default().strands(1));
    let (inside, go_on) = (Barrier::new(STRANDS + 1), Barrier::new(STRANDS + 1));
    let work = || {
        let _scope = trace.inject();
        let _call = call!("work");
        allocate(1);
        inside.wait();
        go_on.wait();
    };
    let (report, in_flight) = std::thread::scope(|threads| {
        for _ in 0..STRANDS {
            threads.spawn(work);
        }
        inside.wait();
        let report = trace.report();
        let id = trace.id();
        let in_flight = tracer::in_flight().iter().any(|it| it.trace == id);
        go_on.wait();
        (report, in_flight)
    });
    assert!(in_flight);
    assert_eq!(report.total, Some(boxes(5)));
    assert_eq!((report.calls.len(), report.dropped), (1, 0));
    let [folded] = &report.folded[..] else {
        panic!("{report:#}")
    };
    assert_eq!((folded.calls, folded.running), (4, 4));
    assert_eq!((folded.total, folded.own), (Some(boxes(4)), Some(boxes(4))));
    assert!(folded.partial && folded.wall > Duration::ZERO);
    let after = trace.report();
    let folded = &after.folded[0];
    assert_eq!((folded.calls, folded.running), (4, 0));
    assert_eq!((folded.total, folded.partial), (Some(boxes(4)), false));
    assert_eq!(after.total, Some(boxes(5)));
}

/// On one thread, each takes over from the one before.
#[test]
fn nested_scopes_beyond_the_limit_are_seen_while_they_live() {
    let trace = Trace::with_limits(10, Limits::default().strands(1));
    let mut open = Vec::with_capacity(10);
    let mut reports = Vec::with_capacity(10);
    for _ in 0..5 {
        let scope = trace.inject();
        let call = call!("work");
        allocate(1);
        open.push((call, scope));
    }
    reports.push(tracer::alloc::exclude(|| trace.report()));
    while let Some((call, scope)) = open.pop() {
        call.stop();
        drop(scope);
    }
    reports.push(trace.report());
    for report in &reports {
        // Each within the one before: recorded, or a path.
        assert_eq!(report.total, Some(boxes(5)), "{report:#}");
        assert_eq!(report.calls[0].total, Some(boxes(5)));
        assert_eq!(report.calls[0].own, Some(boxes(1)));
        let totals: Vec<_> = { report.folded.iter() }
            .map(|it| (it.calls, it.total.unwrap().allocations, it.within))
            .collect();
        assert_eq!(
            totals,
            [
                (1, 4, None),
                (1, 3, Some(0)),
                (1, 2, Some(1)),
                (1, 1, Some(2))
            ]
        );
    }
    assert!(reports[0].folded.iter().all(|it| it.running == 1));
    assert!(reports[1].folded.iter().all(|it| it.running == 0));
}

#[test]
fn no_more_strands_are_open_than_the_limits_say() {
    let limits = Limits::default().strands(1).folded_strands(2);
    let trace = Trace::with_limits(10, limits);
    let mut scopes: Vec<_> = (0..5).map(|_| trace.inject()).collect();
    assert_eq!(trace.report().dropped, 2);
    while scopes.pop().is_some() {}
    // There is room again.
    for _ in 0..10 {
        let _scope = trace.inject();
        call!("again").stop();
    }
    let report = trace.report();
    assert_eq!((report.dropped, report.folded[0].calls), (2, 10));
}

#[test]
fn folding_strands_that_come_and_go_on_many_threads() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 500;
    let trace = Trace::with_limits(10, Limits::default().calls(5).strands(2));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                threads.spawn(|| {
                    for _ in 0..ROUNDS {
                        let _scope = trace.inject();
                        middle(2);
                    }
                })
            })
            .collect();
        let reader = threads.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let report = trace.report();
                for path in &report.folded {
                    let (total, own) = (path.total.unwrap(), path.own.unwrap());
                    assert!(own.allocations <= total.allocations, "{report:#}");
                    assert!(path.busy <= path.wall || path.running > 0, "{report:#}");
                }
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.join().unwrap();
    });
    let report = trace.report();
    let calls: u64 = report.folded.iter().map(|it| it.calls).sum();
    assert_eq!(calls + report.calls.len() as u64, THREADS * ROUNDS * 3);
    assert_eq!(report.total, Some(boxes(THREADS * ROUNDS * 3)));
    assert_eq!(report.dropped, 0);
}

/// What a call does after the one around it has stopped is not that one's, on its strand or on
/// another.
#[test]
fn a_call_that_has_stopped_does_not_grow() {
    for spawned in [false, true] {
        let trace = Trace::new();
        let scope = trace.inject();
        let a = call!("a");
        let b = call!("b");
        allocate(1);
        a.stop();
        if spawned {
            let elsewhere = tracer::fetch();
            tracer::alloc::exclude(|| {
                std::thread::scope(|threads| {
                    threads.spawn(|| {
                        let _scope = elsewhere.inject();
                        allocate(5);
                    });
                });
            });
        } else {
            allocate(5);
        }
        b.stop();
        drop(scope);
        let report = trace.report();
        assert_eq!(calls_of(&report), ["a in -: 1, 0, Ok", "b in a: 6, 6, Ok"]);
        // More than its parent, and marked.
        assert_eq!(
            report.calls.iter().map(|it| it.moved).collect::<Vec<_>>(),
            [false, true]
        );
    }
}

/// A strand that was spawned before the call around stopped is in it, whenever it does what.
#[test]
fn a_strand_belongs_to_the_calls_around_when_it_was_made() {
    let trace = Trace::new();
    let scope = trace.inject();
    let a = call!("a");
    let b = call!("b");
    let (begun, stopped) = (Barrier::new(2), Barrier::new(2));
    tracer::alloc::exclude(|| {
        let elsewhere = tracer::fetch();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _scope = elsewhere.inject();
                begun.wait();
                stopped.wait();
                allocate(5);
            });
            begun.wait();
            a.stop();
            stopped.wait();
        });
    });
    b.stop();
    drop(scope);
    assert_eq!(calls(&trace), ["a in -: 5, 0, Ok", "b in a: 5, 5, Ok"]);
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
    assert_eq!((folded.total, folded.own), (Some(boxes(7)), Some(boxes(7))));
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
        pending(2).await;
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
        (path.calls, path.running, path.total, report.calls[0].own)
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

/// A recorded call on another thread beside a folded one: how much of the time they share, nobody
/// knows.
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

#[test]
fn a_trace_lasts_until_its_last_folded_call() {
    for limit in [0, 1] {
        let trace = limited(limit);
        let scope = trace.inject();
        call!("first").stop();
        call!("second").stop();
        drop(scope);
        let (one, other) = (trace.report(), trace.report());
        assert_eq!(one.elapsed, other.elapsed, "nothing runs any more");
        let folded: Duration = one.folded.iter().map(|it| it.wall).sum();
        assert!(one.elapsed >= folded);
    }
}

#[test]
fn a_call_for_which_there_is_no_room_is_counted_once() {
    const CALLS: u64 = 3_000;
    let limits = Limits::default().calls(0).text_bytes(0).folded_strands(0);
    let trace = Trace::with_limits(10, limits);
    let scope = trace.inject();
    let open: Vec<_> = (0..CALLS).map(|_| call!()).collect();
    drop(open);
    drop(scope);
    let report = trace.report();
    let known: u64 = report.folded.iter().map(|it| it.calls).sum();
    assert!(report.dropped > 0);
    assert_eq!(known + report.dropped, CALLS);
}
