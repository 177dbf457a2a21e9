//! Names, ids, labels and messages: how they are bounded, and what formatting them may do.

use std::fmt::{self, Display};
use std::panic::panic_any;

use tracer::{Limits, Outcome, Report, Trace, call};

use crate::common::allocate;
use crate::lines::calls;
use crate::on_drop::OnDrop;
use crate::outcomes::quietly;

fn ids(report: &Report) -> Vec<&str> {
    report
        .calls
        .iter()
        .map(|call| call.id.as_deref().unwrap_or("-"))
        .collect()
}

#[test]
fn a_call_is_named_after_the_enclosing_function() {
    struct Store<T>(T);
    trait Get {
        fn get(&self);
    }
    impl<T> Get for Store<T> {
        fn get(&self) {
            call!().stop();
        }
    }
    impl<T> Store<T> {
        fn put(&self) {
            let _ = &self.0;
            let closure = || {
                let within = || call!().stop();
                within();
            };
            closure();
        }
    }
    fn generic<T>(_: T) {
        call!().stop();
    }
    let trace = Trace::new();
    let scope = trace.inject();
    Store(1).get();
    Store("").put();
    generic([1_u8]);
    let line = line!() + 1;
    call!().stop();
    drop(scope);
    let report = trace.report();
    let names: Vec<_> = report.calls.iter().map(|call| &*call.name).collect();
    assert_eq!(
        names,
        [
            "get",
            "put",
            "generic",
            "a_call_is_named_after_the_enclosing_function"
        ]
    );
    let last = &report.calls[3];
    assert_eq!(
        (&*last.module, &*last.file, last.line),
        (module_path!(), file!(), line)
    );
}

#[test]
fn ids_and_labels_are_read_as_they_were_written() {
    let text = "a".repeat(500);
    let trace = Trace::new();
    let scope = trace.inject();
    for id in [
        "",
        "é",
        "ca7a87c4-58d0-4fdf-857c-ef49fc3bf271",
        "nul\0esc\u{1b}[31m\n\t\u{202e}",
        &text,
    ] {
        call!("{id}").stop();
    }
    call!("{}-{}", 1, 2, second = 3).stop();
    call!(rows = 3, r#type = "t", empty = "").stop();
    call!("{text}", rows = 3).stop();
    drop(scope);
    let report = trace.report();
    let labels = |index: usize| {
        let labels = report.calls[index].labels.iter();
        labels
            .map(|(name, value)| (&**name, &**value))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(&report),
        [
            "",
            "é",
            "ca7a87c4-58d0-4fdf-857c-ef49fc3bf271",
            "nul\0esc\u{1b}[31m\n\t\u{202e}",
            &text,
            "1-2",
            "-",
            &text,
        ]
    );
    assert_eq!(labels(6), [("rows", "3"), ("type", "t"), ("empty", "")]);
    assert_eq!(labels(7), [("rows", "3")]);
}

#[test]
fn a_text_of_a_megabyte_is_cut_and_its_neighbours_are_whole() {
    let huge = "é".repeat(1 << 19);
    let trace = Trace::new();
    let scope = trace.inject();
    call!("{huge}", before = 1, huge = huge, after = 2).stop();
    call!("next").fail(&huge);
    drop(scope);
    let report = trace.report();
    let call = &report.calls[0];
    let id = call.id.as_deref().unwrap();
    let names: Vec<_> = call.labels.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["before", "huge", "after"]);
    assert_eq!((&*call.labels[0].1, &*call.labels[2].1), ("1", "2"));
    let Outcome::Failed(message) = &report.calls[1].outcome else {
        panic!("{:?}", report.calls[1].outcome)
    };
    for cut in [id, &call.labels[1].1, message] {
        let kept = cut.strip_suffix('…').unwrap();
        assert!(
            kept.len() > 200 && kept.chars().all(|letter| letter == 'é'),
            "{cut}"
        );
    }
}

#[test]
fn a_long_checkpoint_name_is_cut_at_a_character() {
    let name = "a".to_owned() + &"é".repeat(1000);
    let trace = Trace::new();
    let scope = trace.inject();
    call!("call").checkpoint(&name);
    drop(scope);
    let kept = &trace.report().calls[0].checkpoints[0].name;
    assert!(
        kept.len() <= 1024 && name.starts_with(kept.trim_end_matches('…')),
        "{kept}"
    );
}

#[test]
fn a_text_that_found_no_call_is_in_no_other() {
    let lost = "l".repeat(300);
    let kept = "k".repeat(300);
    let trace = Trace::with_limits(1, Limits::default().calls(1));
    let scope = trace.inject();
    let call = call!("recorded");
    call!("{lost}").stop();
    call.checkpoint(&kept);
    drop(call);
    drop(scope);
    let report = trace.report();
    assert_eq!(ids(&report), ["recorded"]);
    assert_eq!(report.calls[0].checkpoints[0].name, kept);
    assert_eq!(report.folded[0].calls, 1);
}

pub(crate) struct Broken(pub(crate) fn() -> fmt::Result);

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        (self.0)()
    }
}

#[test]
fn formatting_may_fail_or_panic() {
    fn fails() -> fmt::Result {
        Err(fmt::Error)
    }
    fn panics() -> fmt::Result {
        panic!("expected: in formatting")
    }
    let trace = Trace::new();
    let scope = trace.inject();
    quietly(|| {
        call!("{}", Broken(fails), after = 1).stop();
        call!("{}", Broken(panics), after = 1).stop();
        call!("fails").fail(&Broken(panics));
        // While a panic is already unwinding.
        let _unwinds = OnDrop(|| call!("{}", Broken(panics)).stop());
        panic!("expected");
    })
    .unwrap_err();
    drop(scope);
    let report = trace.report();
    let (failed, panicked) = ("half(formatting failed)", "half(formatting panicked)");
    assert_eq!(ids(&report), [failed, panicked, "fails", panicked]);
    assert_eq!(report.calls[1].labels, [("after".into(), "1".to_owned())]);
    let outcomes: Vec<_> = report.calls.iter().map(|call| &call.outcome).collect();
    let message = Outcome::Failed(panicked.to_owned());
    assert_eq!(
        outcomes,
        [&Outcome::Ok, &Outcome::Ok, &message, &Outcome::Ok]
    );
}

#[test]
fn a_panic_whose_payload_panics_when_dropped_does_not_come_through() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("expected: in the payload's drop");
        }
    }
    let trace = Trace::new();
    let scope = trace.inject();
    let came_through = quietly(|| call!("{}", Broken(|| panic_any(Payload))).stop()).is_err();
    drop(scope);
    assert!(!came_through);
    assert_eq!(ids(&trace.report()), ["half(formatting panicked)"]);
}

#[test]
fn formatting_may_trace() {
    struct Traced;
    impl Display for Traced {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let _call = call!("formatting");
            allocate(1);
            f.write_str("formatted")
        }
    }
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("{}", Traced);
    allocate(2);
    call.fail(&Traced);
    call.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "formatting in -: 1, 1, Ok",
            "formatted in -: 3, 2, Failed(\"formatted\")",
            "formatting in formatted: 1, 1, Ok",
        ]
    );
}
