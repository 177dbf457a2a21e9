//! Fields that are recorded again and again: the later value replaces the one before, and other calls have the room.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use tracer::{Limits, Outcome, Report, Trace};
use tracing::dispatcher::with_default;
use tracing::field::Empty;
use tracing::{Dispatch, Span, info, info_span};

use crate::subscriber;

fn label(report: &Report, call: usize) -> &str {
    &report.calls[call].labels[0].1
}

/// Returns a value whose length depends on the number, up to 1,023 bytes.
fn value(number: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(number % 26).unwrap());
    letter.to_string().repeat(number * 7 % 1024)
}

/// Runs work in a trace of a hundred calls, and then sets checkpoints until the trace has no more room for them. Returns
/// how many there were room for, and the report.
fn room_after(text_bytes: usize, work: impl FnOnce(&Span)) -> (u64, Report) {
    let trace = Trace::with_limits(10, Limits::default().calls(100).text_bytes(text_bytes));
    tracing::subscriber::with_default(subscriber(), || {
        let _scope = trace.inject();
        let span = info_span!("span", status = Empty, more = Empty);
        let _entered = span.enter();
        work(&span);
        for _ in 0..10_000 {
            info!("one more");
        }
    });
    let report = trace.report();
    let room = report.calls[0].checkpoints.len() as u64;
    assert_eq!((report.calls.len(), room + report.dropped), (1, 10_000));
    (room, report)
}

#[test]
fn a_value_takes_the_room_of_the_one_before() {
    // 25 pages for eight records of each call and 64 more, and that of the strand. The call takes one record.
    let all = (25 + 64 + 1) * 31 - 1;
    assert_eq!(room_after(0, |_| ()).0, all);
    let (room, report) = room_after(0, |span| {
        for count in 0..10_000 {
            span.record("status", count);
            span.record("more", -count);
        }
    });
    assert_eq!((room, label(&report, 0)), (all - 2, "9999"));
    assert_eq!(report.calls[0].labels[1].1, "-9999");
}

/// A value of more than 39 bytes has a record for each 112 bytes of it, besides its own.
#[test]
fn so_does_a_long_value() {
    let text_bytes = 11_200;
    let all = (29 + 64 + 1) * 31 - 1;
    let (before, _) = room_after(text_bytes, |_| ());
    assert_eq!(before, all);
    let (room, report) = room_after(text_bytes, |span| {
        // The longest one first.
        span.record("status", "x".repeat(1024));
        for number in 0..10_000 {
            span.record("status", value(number));
        }
    });
    assert_eq!((room, label(&report, 0)), (all - 11, &*value(9999)));
}

/// The records of a value that becomes longer and longer are doubled: 1, 2, 4, 8 and 10, and each time one for the label.
#[test]
fn a_value_that_grows_takes_the_room_of_several() {
    let (before, _) = room_after(11_200, |_| ());
    let (room, report) = room_after(11_200, |span| {
        for length in 0..=1024 {
            span.record("status", "x".repeat(length));
        }
        for number in 0..1000 {
            span.record("status", value(number));
        }
    });
    assert_eq!(room, before - 1 - (1 + 2 + 4 + 8 + 10) - 5);
    assert_eq!(label(&report, 0), value(999));
}

/// Beyond the limit of texts, a value is cut; the last one is the one that is shown.
#[test]
fn a_value_beyond_the_limit_of_texts_is_cut() {
    let (room, report) = room_after(0, |span| {
        for number in 0..1000 {
            span.record("status", value(number));
        }
    });
    let cut = format!("{}…", &value(999)[..36]);
    assert_eq!((room, label(&report, 0)), ((25 + 64 + 1) * 31 - 2, &*cut));
}

/// A trace that has no more room for records drops a label, and counts that.
#[test]
fn a_label_without_room_is_dropped() {
    let trace = Trace::with_limits(10, Limits::default().calls(10).text_bytes(0));
    tracing::subscriber::with_default(subscriber(), || {
        let _scope = trace.inject();
        let span = info_span!("span", status = Empty, more = Empty);
        let _entered = span.enter();
        span.record("status", 1);
        for _ in 0..10_000 {
            info!("one more");
        }
        span.record("more", 1);
        span.record("more", 2);
        span.record("status", 2);
    });
    let report = trace.report();
    assert_eq!(label(&report, 0), "2");
    assert_eq!(report.calls[0].labels.len(), 1);
    let room = report.calls[0].checkpoints.len() as u64;
    assert_eq!(report.dropped, 10_000 - room + 2);
}

/// Such values are posted: there is room for 1,024 operations, beside one stop of each call.
#[test]
fn values_from_another_thread_replace_each_other() {
    let trace = Trace::new();
    let dispatch = Dispatch::new(subscriber());
    with_default(&dispatch, || {
        let _scope = trace.inject();
        let span = info_span!("span", status = Empty, more = Empty);
        let entered = span.enter();
        span.record("status", "here");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                with_default(&dispatch, || {
                    for count in 0..10_000 {
                        span.record("status", count);
                        span.record("more", "x".repeat(count % 100));
                    }
                    for count in 0..2_000 {
                        info!(parent: &span, error = count, "failed");
                    }
                });
            });
        });
        drop(entered);
        span.record("more", "at last");
    });
    let report = trace.report();
    let call = &report.calls[0];
    assert_eq!((label(&report, 0), &*call.labels[1].1), ("9999", "at last"));
    assert_eq!(call.outcome, Outcome::Failed("1999".to_owned()));
    // Two labels and the failure are operations, too.
    assert_eq!(call.checkpoints.len(), 1024 - 3);
    assert_eq!(report.dropped, 2_000 - (1024 - 3));
}

/// A later value that is set on the strand's own thread holds, wherever the one before was set.
#[test]
fn the_last_value_holds_whichever_thread_sets_it() {
    let trace = Trace::new();
    let dispatch = Dispatch::new(subscriber());
    with_default(&dispatch, || {
        let _scope = trace.inject();
        let span = info_span!("span", status = Empty);
        let _entered = span.enter();
        let elsewhere = |count: usize| {
            let record = || {
                with_default(&dispatch, || {
                    span.record("status", count);
                });
            };
            std::thread::scope(|scope| scope.spawn(record).join().unwrap());
        };
        for count in 0..10 {
            span.record("status", "here");
            assert_eq!(label(&trace.report(), 0), "here");
            elsewhere(count);
            assert_eq!(label(&trace.report(), 0), count.to_string());
            span.record("status", "x".repeat(100 * count));
            assert_eq!(label(&trace.report(), 0), "x".repeat(100 * count));
        }
    });
}

/// A value belongs to the call in which it was set: a span that is entered on another strand has another one.
#[test]
fn each_call_of_a_span_has_its_own_values() {
    let traces = [Trace::new(), Trace::new()];
    with_default(&Dispatch::new(subscriber()), || {
        for (trace, first) in traces.iter().zip([1, 101]) {
            let _scope = trace.inject();
            for number in first..first + 100 {
                let span = info_span!("span", status = Empty);
                span.in_scope(|| {
                    span.record("status", number);
                    span.record("status", number * 2);
                });
            }
        }
    });
    for (trace, first) in traces.iter().zip([1, 101]) {
        let report = trace.report();
        assert_eq!((report.calls.len(), report.dropped), (100, 0));
        for (call, number) in (first..).take(100).enumerate() {
            assert_eq!(label(&report, call), (number * 2).to_string());
        }
    }
}

/// Whoever reads while a value is replaced finds one of the values, and no mixture.
#[test]
fn a_value_is_read_whole_while_it_is_replaced() {
    let trace = Trace::new();
    let is_over = AtomicBool::new(false);
    let (trace, is_over) = (&trace, &is_over);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            tracing::subscriber::with_default(subscriber(), || {
                let _scope = trace.inject();
                let span = info_span!("span", status = Empty);
                let _entered = span.enter();
                for number in 0..30_000 {
                    span.record("status", value(number));
                }
                is_over.store(true, Relaxed);
            });
        });
        while !is_over.load(Relaxed) {
            let report = trace.report();
            let labels = report.calls.first().map(|call| &call.labels[..]);
            let Some([(_, text)]) = labels else { continue };
            let Some(letter) = text.chars().next() else {
                continue;
            };
            assert_eq!(text.replace(letter, ""), "", "{text}");
            let known = (0..26 * 1024).map(value).any(|known| known == *text);
            assert!(known, "{text}");
        }
    });
    assert_eq!(label(&trace.report(), 0), value(29_999));
}
