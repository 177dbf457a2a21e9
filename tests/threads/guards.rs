//! Guards that are sent to other threads, and marked as failed or stopped there.

use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use tracer::alloc::{Counts, measure};
use tracer::{Call, Outcome, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::calls;

pub(crate) const MEGABYTE: usize = 1 << 20;

pub(crate) fn spike() {
    drop(std::hint::black_box(vec![0_u8; MEGABYTE]));
}

#[test]
fn a_guard_dropped_on_another_thread_is_partial_with_its_time() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let moved = call!("moved");
    allocate(3);
    let pause = Duration::from_millis(20);
    let thread = std::thread::spawn(move || {
        allocate(100);
        std::thread::sleep(pause);
        moved.checkpoint("there");
        drop(moved);
        allocate(100);
    });
    thread.join().unwrap();
    let after = call!("after");
    allocate(4);
    after.stop();
    around.stop();
    drop(scope);
    let report = trace.report();
    let [around, moved, after] = &report.calls[..] else {
        panic!("{report:#}")
    };
    assert_eq!(
        (moved.parent, &moved.outcome, moved.partial),
        (Some(0), &Outcome::Ok, true)
    );
    assert!(moved.wall >= pause && moved.wall <= around.wall);
    // Three boxes and the spawning, before the move; not the hundreds after it.
    assert!(moved.total.unwrap().allocations < 100, "{report:#}");
    assert_eq!(&*moved.checkpoints[0].name, "there");
    assert!(moved.checkpoints[0].at >= pause);
    assert_eq!(
        (after.parent, after.total, after.partial),
        (Some(0), Some(boxes(4)), false)
    );
    assert_eq!(
        (around.parent, &around.outcome, around.partial),
        (None, &Outcome::Ok, false)
    );
    assert!(around.total.unwrap().allocations >= 3 + 4);
}

#[test]
fn a_guard_dropped_elsewhere_leaves_those_around_and_inside_exact() {
    let trace = Trace::new();
    let (guard, turn) = (Mutex::new(None::<Call>), Barrier::new(2));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            turn.wait();
            allocate(100);
            drop(guard.lock().unwrap().take());
            turn.wait();
        });
        let _scope = trace.inject();
        let around = call!("around");
        allocate(1);
        let moved = call!("moved");
        allocate(2);
        let inside = call!("inside");
        allocate(4);
        *guard.lock().unwrap() = Some(moved);
        turn.wait();
        turn.wait();
        allocate(8);
        inside.stop();
        allocate(16);
        around.stop();
    });
    assert_eq!(
        calls(&trace),
        [
            "around in -: 31, 17, Ok",
            "moved in around: 6, 2, Ok, partial",
            "inside in moved: 12, 12, Ok",
        ]
    );
}

#[test]
fn a_guard_dropped_elsewhere_leaves_its_peak_to_those_around() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let moved = call!("moved");
    spike();
    call!("inside").stop();
    std::thread::spawn(move || drop(moved)).join().unwrap();
    call!("after").stop();
    around.stop();
    drop(scope);
    let peaks = trace.report().calls.into_iter();
    let peaks: Vec<_> = peaks.map(|call| call.peak_bytes).collect();
    let megabyte = Some(MEGABYTE as u64);
    assert_eq!(peaks, [megabyte, megabyte, Some(0), Some(0)]);
}

#[test]
fn a_guard_may_fail_on_another_thread_and_come_back() {
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("call");
    let call = std::thread::scope(|threads| {
        let there = threads.spawn(move || {
            call.fail("there");
            call
        });
        there.join().unwrap()
    });
    call.stop();
    drop(scope);
    assert_eq!(
        trace.report().calls[0].outcome,
        Outcome::Failed("there".to_owned())
    );
}

#[test]
fn the_last_of_failures_here_and_elsewhere_is_reported() {
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("call");
    std::thread::scope(|threads| {
        threads.spawn(|| call.fail("there"));
    });
    call.fail("here");
    call.stop();
    drop(scope);
    assert_eq!(
        trace.report().calls[0].outcome,
        Outcome::Failed("here".to_owned())
    );
}

#[test]
fn a_guard_sent_away_and_back_is_exact() {
    let trace = Trace::new();
    let (away, arrived) = sync_channel::<Call>(0);
    let (back, returned) = sync_channel::<Call>(0);
    thread::scope(|threads| {
        threads.spawn(move || {
            for call in arrived {
                allocate(100);
                back.send(call).unwrap();
            }
        });
        let scope = trace.inject();
        let around = call!("around");
        let mut travels = call!("travels");
        for _ in 0..100 {
            // Waiting in a channel allocates, which is counted in the open calls.
            let channel = measure(|| {
                away.send(std::mem::replace(&mut travels, call!("stays")))
                    .unwrap();
                travels = returned.recv().unwrap();
            });
            assert!(channel.counts.unwrap().allocations < 100);
            let inside = call!("inside");
            allocate(1);
            inside.stop();
        }
        travels.stop();
        around.stop();
        drop((scope, away));
    });
    let report = trace.report();
    assert_eq!(report.calls.len(), 2 + 200);
    assert!(
        report
            .calls
            .iter()
            .all(|call| !call.partial && call.outcome == Outcome::Ok)
    );
    let inside = report
        .calls
        .iter()
        .filter(|call| call.id.as_deref() == Some("inside"));
    assert!(inside.clone().all(|call| call.total == Some(boxes(1))));
    assert!(inside.clone().all(|call| call.parent == Some(1)));
    let own: Counts = report
        .calls
        .iter()
        .map(|call| call.self_counts.unwrap())
        .sum();
    assert_eq!(
        (report.calls[0].total, report.total),
        (report.total, Some(own))
    );
}

#[test]
fn a_guard_is_stopped_by_whichever_thread_comes_first() {
    let (mut here, mut there) = (0, 0);
    for round in 0..200 {
        let trace = Trace::new();
        let shared = Mutex::new(None::<Call>);
        let turn = Barrier::new(2);
        let won = thread::scope(|threads| {
            let other = threads.spawn(|| {
                turn.wait();
                if round % 2 == 0 {
                    thread::yield_now();
                }
                shared.lock().unwrap().take().is_some()
            });
            let _scope = trace.inject();
            let around = call!("around");
            *shared.lock().unwrap() = Some(call!("shared"));
            allocate(3);
            turn.wait();
            let mine = shared.lock().unwrap().take();
            let won = mine.is_some();
            drop(mine);
            assert_ne!(won, other.join().unwrap());
            let after = call!("after");
            allocate(4);
            after.stop();
            around.stop();
            won
        });
        *(if won { &mut here } else { &mut there }) += 1;
        let partial = if won { "" } else { ", partial" };
        let lines = calls(&trace);
        assert_eq!(
            lines[1..],
            [
                format!("shared in around: 3, 3, Ok{partial}"),
                "after in around: 4, 4, Ok".to_owned(),
            ]
        );
        let around = &trace.report().calls[0];
        assert!(!around.partial);
    }
    assert_eq!(here + there, 200);
}

#[test]
fn a_guard_outlives_its_thread() {
    let trace = Trace::new();
    let run = trace.clone();
    let call = thread::spawn(move || {
        let _scope = run.inject();
        let around = call!("around");
        let call = call!("survives");
        allocate(2);
        around.stop();
        allocate(4);
        call
    });
    let call = call.join().unwrap();
    assert_eq!(
        calls(&trace),
        ["around in -: 2, 0, Ok", "survives in around: 6, 6, Running"]
    );
    allocate(100);
    call.checkpoint("late");
    call.stop();
    assert_eq!(
        calls(&trace),
        [
            "around in -: 2, 0, Ok",
            "survives in around: 6, 6, Ok, partial"
        ]
    );
    let report = trace.report();
    assert_eq!(report.calls[1].checkpoints[0].counts, Some(boxes(6)));
}

#[test]
fn a_thousand_guards_stopped_by_four_other_threads_at_once() {
    const GUARDS: usize = 1000;
    let trace = Trace::new();
    let start = Barrier::new(5);
    let guards: [Mutex<Vec<Call>>; 4] =
        std::array::from_fn(|_| Mutex::new(Vec::with_capacity(GUARDS)));
    thread::scope(|threads| {
        for guards in &guards {
            let start = &start;
            threads.spawn(move || {
                start.wait();
                guards.lock().unwrap().drain(..).for_each(drop);
            });
        }
        let _scope = trace.inject();
        let around = call!("around");
        for number in 0..GUARDS {
            guards[number % 4].lock().unwrap().push(call!("moved"));
            allocate(1);
        }
        start.wait();
        // Meanwhile this thread opens calls.
        for _ in 0..1000 {
            let own = call!("own");
            allocate(1);
            own.stop();
        }
        around.stop();
    });
    let report = trace.report();
    assert_eq!((report.calls.len(), report.dropped), (1 + 2 * GUARDS, 0));
    assert_eq!(report.total, Some(boxes(2000)));
    for call in &report.calls {
        assert_eq!(call.outcome, Outcome::Ok);
        match call.id.as_deref() {
            Some("around") => assert_eq!((call.total, call.partial), (Some(boxes(2000)), false)),
            Some("own") => assert_eq!((call.total, call.partial), (Some(boxes(1)), false)),
            _ => assert!(call.partial),
        }
    }
}

#[test]
fn late_guards_of_other_threads_write_into_no_trace_that_came_after() {
    let (send, late) = sync_channel::<Vec<Call>>(4);
    thread::scope(|threads| {
        threads.spawn(move || {
            for guards in late {
                for guard in guards {
                    guard.checkpoint("late");
                    guard.fail("late");
                }
            }
        });
        for _ in 0..500 {
            let stale = Trace::new();
            let scope = stale.inject();
            let guards = (0..40).map(|_| call!("stale")).collect();
            drop((scope, stale));
            send.send(guards).unwrap();
            let fresh = Trace::new();
            let scope = fresh.inject();
            for count in 0..4 {
                let call = call!("{count}");
                allocate(count);
                call.stop();
            }
            drop(scope);
            let expected = [0, 1, 2, 3].map(|count| format!("{count} in -: {count}, {count}, Ok"));
            assert_eq!(calls(&fresh), expected);
            let report = fresh.report();
            assert!(report.calls.iter().all(|call| call.checkpoints.is_empty()));
        }
        drop(send);
    });
}

#[test]
fn a_guard_dropped_by_a_panic_on_another_thread() {
    let trace = Trace::new();
    let shared = Arc::new(Mutex::new(None::<Call>));
    let (turn, ready) = (Arc::new(Barrier::new(2)), Arc::clone(&shared));
    let there = Arc::clone(&turn);
    let thread = thread::spawn(move || {
        there.wait();
        let _call = ready.lock().unwrap().take();
        resume_unwind(Box::new(()));
    });
    let scope = trace.inject();
    let around = call!("around");
    *shared.lock().unwrap() = Some(call!("moved"));
    allocate(3);
    turn.wait();
    assert!(thread.join().is_err());
    let after = call!("after");
    allocate(1);
    after.stop();
    around.stop();
    drop(scope);
    let lines = calls(&trace);
    assert_eq!(lines[2], "after in around: 1, 1, Ok");
    let moved = &trace.report().calls[1];
    assert_eq!((&moved.outcome, moved.partial), (&Outcome::Panicked, true));
    assert!(moved.total.unwrap().allocations >= 3);
}

#[test]
fn many_more_checkpoints_and_messages_than_a_strand_takes_from_other_threads() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let call = call!("call");
    allocate(1);
    let handed = OnceLock::new();
    assert!(handed.set(call).is_ok());
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..1000 {
                    let call: &Call = handed.wait();
                    call.checkpoint("remote");
                    call.fail("remote");
                }
            });
        }
    });
    drop(handed);
    around.stop();
    drop(scope);
    let report = trace.report();
    let call = &report.calls[1];
    assert_eq!(call.outcome, Outcome::Failed("remote".to_owned()));
    assert!(call.partial);
    // Each one is kept, or counted in `dropped`.
    assert!(report.dropped > 0 && report.dropped < 8000);
    assert!(call.checkpoints.len() as u64 <= 8000 - report.dropped);
    assert!(!report.calls[0].partial);
}
