//! Calls that fail again and again: the later message replaces the one before, and other records have the room.

use tracer::{Call, Limits, Outcome, Report, Trace, call};

/// Returns a message whose length depends on the number, up to 1,023 bytes.
fn message(number: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(number % 26).unwrap());
    letter.to_string().repeat(number * 7 % 1024)
}

/// Runs work in a call, and then sets checkpoints until the trace has no more room for them. Returns how many there were
/// room for, and the report.
fn room_after(text_bytes: usize, work: impl FnOnce(&Call)) -> (u64, Report) {
    let trace = Trace::with_limits(10, Limits::default().calls(100).text_bytes(text_bytes));
    let scope = trace.inject();
    let call = call!("call");
    work(&call);
    for _ in 0..10_000 {
        call.checkpoint("one more");
    }
    call.stop();
    drop(scope);
    let report = trace.report();
    assert!(report.dropped > 0);
    (report.calls[0].checkpoints.len() as u64, report)
}

fn failed(message: impl Into<String>) -> Outcome {
    Outcome::Failed(message.into())
}

#[test]
fn a_message_takes_the_room_of_the_one_before() {
    let (all, _) = room_after(0, |_| ());
    let (room, report) = room_after(0, |call| {
        for number in 0..10_000 {
            call.fail(&number);
        }
    });
    assert_eq!(room, all - 1);
    assert_eq!(report.calls[0].outcome, failed("9999"));
}

/// A message of more than 39 bytes has a record for each 112 bytes of it, besides its own. The records of one that becomes
/// longer and longer are doubled: 1, 2, 4, 8 and 10.
#[test]
fn a_message_that_grows_takes_the_room_of_several() {
    let (all, _) = room_after(11_200, |_| ());
    let (room, report) = room_after(11_200, |call| {
        for length in 0..=1024 {
            call.fail(&"x".repeat(length));
        }
        for number in 0..1000 {
            call.fail(&message(number));
        }
    });
    assert_eq!(room, all - 1 - (1 + 2 + 4 + 8 + 10) - 5);
    assert_eq!(report.calls[0].outcome, failed(message(999)));
}

/// Calls inside fail as often, as in a batch whose items fail: each has a message.
#[test]
fn so_does_one_between_the_failures_of_others() {
    let (all, _) = room_after(0, |_| ());
    let (room, report) = room_after(0, |batch| {
        for item in 0..90 {
            let call = call!("item");
            call.fail(&item);
            call.stop();
            batch.fail(&format_args!("item {item}"));
        }
    });
    // A call has room for eight records, which most of these do not take.
    assert_eq!(room, all - 1 - 2 * 90);
    let outcomes = report.calls.iter().map(|call| call.outcome.clone());
    let items = (0..90).map(|item| failed(item.to_string()));
    let expected: Vec<_> = std::iter::once(failed("item 89")).chain(items).collect();
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);
}

/// A message that is more than 1,024 records away stays, and the next one has further room.
#[test]
fn a_message_far_away_stays() {
    let with_many = |work: fn(&Call)| {
        room_after(0, |call| {
            for _ in 0..1100 {
                call.checkpoint("step");
            }
            work(call);
        })
    };
    let (all, _) = with_many(|_| ());
    let (room, report) = with_many(|call| {
        call.fail("first");
        call.fail("second");
        call.fail("third");
    });
    assert_eq!(room, all - 3);
    assert_eq!(report.calls[0].outcome, failed("third"));
}

/// Beyond the limit of texts, a message is cut; the last one is the one that is shown. If there was no room for the first
/// one, the call has failed without a message.
#[test]
fn a_message_without_room_is_cut_or_dropped() {
    let (all, _) = room_after(0, |_| ());
    let (room, report) = room_after(0, |call| {
        for number in 0..1000 {
            call.fail(&message(number));
        }
    });
    assert_eq!(room, all - 1);
    let cut = format!("{}…", &message(999)[..36]);
    assert_eq!(report.calls[0].outcome, failed(cut));

    let trace = Trace::with_limits(10, Limits::default().calls(10).text_bytes(0));
    let scope = trace.inject();
    let call = call!("call");
    for _ in 0..10_000 {
        call.checkpoint("step");
    }
    call.fail("first");
    call.fail("second");
    call.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(report.calls[0].outcome, failed(""));
    let room = report.calls[0].checkpoints.len() as u64;
    assert_eq!(report.dropped, 10_000 - room + 2);
}

/// The last message holds, whichever thread sets it.
#[test]
fn messages_of_several_threads_replace_each_other() {
    let trace = Trace::new();
    let scope = trace.inject();
    for elsewhere in 0..10 {
        let call = call!("call");
        for number in 0..=elsewhere {
            call.fail(&message(number));
            let fail = || call.fail(&format_args!("elsewhere {number}"));
            std::thread::scope(|scope| scope.spawn(fail).join().unwrap());
        }
        if elsewhere % 2 == 1 {
            call.fail(&message(elsewhere));
        }
        call.stop();
    }
    drop(scope);
    let report = trace.report();
    for (number, call) in report.calls.iter().enumerate() {
        let last = match number % 2 {
            1 => message(number),
            _ => format!("elsewhere {number}"),
        };
        assert_eq!(call.outcome, failed(last));
    }
    assert_eq!(report.dropped, 0);
}
