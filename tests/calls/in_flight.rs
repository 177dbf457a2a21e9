//! Traces in flight: those that have not ended, with the open calls of each.

use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::time::SystemTime;

use tracer::{InFlight, Outcome, Trace, call, in_flight};

use crate::boxes::boxes;
use crate::common::allocate;

/// Other tests have traces in flight too.
fn of(trace: &Trace) -> Option<InFlight> {
    in_flight().into_iter().find(|it| it.trace == trace.id())
}

#[test]
fn what_a_thread_is_doing() {
    let trace = Trace::new();
    let (go_on, wait) = mpsc::channel::<()>();
    let (say, ready) = mpsc::channel();
    std::thread::scope(|threads| {
        // Moved in, so that a failed assertion also ends the thread's wait.
        let go_on = go_on;
        let trace = &trace;
        threads.spawn(move || {
            let _scope = trace.inject();
            let outer = call!("outer");
            call!("stopped").stop();
            outer.checkpoint("half\x1b[2J");
            allocate(3);
            let _inner = call!("inner");
            say.send(()).unwrap();
            wait.recv().unwrap();
        });
        ready.recv().unwrap();
        let now = of(trace).unwrap();
        assert!(now.started <= SystemTime::now() && now.age >= now.open[0].wall);
        let open: Vec<_> = now
            .open
            .iter()
            .map(|call| (call.id.as_deref(), call.parent))
            .collect();
        assert_eq!(open, [(Some("outer"), None), (Some("inner"), Some(0))]);
        assert!(now.open.iter().all(|call| call.outcome == Outcome::Running));
        assert!(now.total.unwrap().allocations >= 3);
        let text = now.to_string();
        let lines: Vec<_> = text
            .lines()
            .map(|line| line.split(": ").next().unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                &*format!("trace {} {}", trace.id(), trace.trace_id().unwrap()),
                "\tcall what_a_thread_is_doing [outer]",
                "\t\tcheckpoint [half\\u{1b}[2J]",
                "\tcall what_a_thread_is_doing [inner]",
            ]
        );
        go_on.send(()).unwrap();
    });
    // Not in flight, although there is a handle.
    assert_eq!(of(&trace), None);
    assert_eq!(trace.report().calls.len(), 3);
}

/// Threads take numbers in advance, so a trace may have a lower number than an older one.
#[test]
fn the_oldest_are_first() {
    let begin = || {
        let trace = Trace::new();
        let execution = Box::pin(trace.instrument(std::future::pending::<()>()));
        (trace, execution)
    };
    let all = std::thread::spawn(move || {
        // Then it takes two numbers.
        drop(Trace::new());
        let first = begin();
        let second = std::thread::spawn(begin).join().unwrap();
        [first, second, begin()]
    });
    let all = all.join().unwrap();
    let ids = all.each_ref().map(|(trace, _)| trace.id());
    let mut found: Vec<_> = in_flight().iter().map(|it| it.trace).collect();
    found.retain(|it| ids.contains(it));
    assert_eq!(found, ids);
    assert!(ids[1] > ids[2], "{ids:?}");
}

#[test]
fn a_future_between_its_polls() {
    let trace = Trace::new();
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut future = pin!(trace.instrument(async {
            let _call = call!("waits");
            allocate(2);
            std::future::pending::<()>().await;
        }));
        assert_eq!(of(&trace).unwrap().open, []);
        assert!(future.as_mut().poll(&mut context).is_pending());
        let now = of(&trace).unwrap();
        assert_eq!(now.open[0].id.as_deref(), Some("waits"));
        assert_eq!(now.total, Some(boxes(2)));
    }
    assert_eq!(of(&trace), None);
}

#[test]
fn a_call_opened_within_one_that_has_stopped() {
    let trace = Trace::new();
    let scope = trace.inject();
    let outer = call!("outer");
    let stopped = call!("stopped");
    let elsewhere = tracer::fetch();
    let again = elsewhere.inject();
    let inner = call!("inner");
    stopped.stop();
    let now = of(&trace).unwrap();
    assert_eq!(now.open.len(), 2);
    assert_eq!(
        (now.open[1].id.as_deref(), now.open[1].parent),
        (Some("inner"), Some(0))
    );
    drop((inner, again, outer, scope));
    assert_eq!(of(&trace), None);
}

#[test]
fn a_trace_without_a_scope_is_not_in_flight() {
    let trace = Trace::new();
    assert_eq!(of(&trace), None);
    assert_eq!(Trace::empty().age(), std::time::Duration::ZERO);
    let _scope = Trace::empty().inject();
    assert!(in_flight().iter().all(|it| it.trace != 0));
}

#[test]
fn listed_while_traces_come_and_go() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                while !stop.load(Relaxed) {
                    let trace = Trace::new();
                    let scope = trace.inject();
                    let call = call!("mine");
                    let mine = of(&trace).unwrap();
                    assert_eq!(mine.open.len(), 1);
                    drop((call, scope));
                    assert_eq!(of(&trace), None);
                    assert_eq!(trace.report().calls.len(), 1);
                }
            });
        }
        for _ in 0..2000 {
            for now in in_flight() {
                assert_ne!(now.trace, 0);
                if now.open.iter().any(|it| it.id.as_deref() == Some("mine")) {
                    assert!(now.open.len() <= 2);
                }
            }
        }
        stop.store(true, Relaxed);
    });
}
