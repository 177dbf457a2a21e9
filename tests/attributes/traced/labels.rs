//! Ids and labels.

use std::cell::Cell;
use std::fmt::{self, Display};

use tracer::traced;

use super::{Refused, block_on, lines, record, record_async};

thread_local!(static SHOWN: Cell<u32> = const { Cell::new(0) });

/// Counts how often it is formatted.
struct Shown;

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SHOWN.set(SHOWN.get() + 1);
        f.write_str("shown")
    }
}

#[traced("{}", Shown, label = Shown)]
fn sync() {}

#[traced(err, "{}", Shown, label = Shown)]
fn sync_err() -> Result<(), Refused> {
    Ok(())
}

#[traced("{}", Shown, label = Shown)]
async fn asynchronous() {}

fn all() {
    sync();
    sync_err().unwrap();
    block_on(asynchronous());
}

#[test]
fn they_are_formatted_only_with_a_trace() {
    SHOWN.set(0);
    all();
    assert_eq!(SHOWN.get(), 0);
    let ((), report) = record(all);
    assert_eq!(SHOWN.get(), 6);
    let expected = [
        "sync [shown] label=shown",
        "sync_err [shown] label=shown",
        "asynchronous [shown] label=shown",
    ];
    assert_eq!(lines(&report), expected);
}

#[traced(err, "{0}/{id}", 7, rows = rows.len(), r#type = kind,)]
fn every_form(id: &str, rows: &[u8], kind: char) -> Result<(), Refused> {
    assert!(id.len() < rows.len(), "{kind}");
    Ok(())
}

#[traced(only = 1)]
fn a_label_alone() {}

#[traced("an id")]
fn an_id_alone() {}

#[traced()]
fn nothing() {}

#[test]
fn the_grammar() {
    let ((), report) = record(|| {
        every_form("i", &[1, 2], 'k').unwrap();
        a_label_alone();
        an_id_alone();
        nothing();
    });
    assert_eq!(
        lines(&report)[1..],
        ["a_label_alone only=1", "an_id_alone [an id]", "nothing"]
    );
    let call = &report.calls[0];
    assert_eq!(call.id.as_deref(), Some("7/i"));
    assert_eq!(call.labels[0], ("rows".into(), "2".to_owned()));
    assert_eq!(call.labels[1], ("type".into(), "k".to_owned()));
}

#[traced(bytes = data.len())]
async fn consumes(data: Vec<u8>) -> usize {
    let data = data;
    data.into_iter().map(usize::from).sum()
}

#[test]
fn they_are_evaluated_before_the_arguments_are_moved() {
    let (sum, report) = record_async(consumes(vec![1, 2]));
    assert_eq!(sum, 3);
    assert_eq!(lines(&report), ["consumes bytes=2"]);
}

#[traced("{id}", name = "GET /rows", r#name = "rows", r#level = 3)]
fn renamed(id: u32) {
    let _ = id;
}

#[traced(name = "an async one")]
async fn renamed_async() {}

#[test]
fn a_call_may_have_another_name_than_its_function() {
    let ((), report) = record(|| {
        renamed(1);
        block_on(renamed_async());
        drop(tracer::call!(r#type = 1));
    });
    let expected = [
        "GET /rows [1] name=rows level=3",
        "an async one",
        "a_call_may_have_another_name_than_its_function type=1",
    ];
    assert_eq!(lines(&report), expected);
}
