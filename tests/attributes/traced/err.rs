//! `err`: an error returned fails the call.

use tracer::{Outcome, traced};

use super::{Refused, block_on, lines, record};

#[traced(err)]
fn checks(value: u32) -> Result<u32, Refused> {
    if value == 1 {
        return Err(Refused(1));
    }
    if value == 2 {
        Err(Refused(2))
    } else {
        Ok(value)
    }
}

#[traced(err, "{value}", twice = 2 * value)]
fn forwards(value: u32) -> Result<u32, Box<dyn std::error::Error>> {
    if value == 9 {
        return Err(Box::new(Refused(9)));
    }
    Ok(checks(value)? + 1)
}

#[test]
fn an_error_fails_the_call() {
    let ((), report) = record(|| {
        assert_eq!(checks(0), Ok(0));
        assert_eq!(checks(1), Err(Refused(1)));
        assert_eq!(checks(2), Err(Refused(2)));
    });
    let expected = [
        "checks",
        r#"checks: Failed("refused 1")"#,
        r#"checks: Failed("refused 2")"#,
    ];
    assert_eq!(lines(&report), expected);
}

#[test]
fn a_question_mark_fails_the_call() {
    let ((), report) = record(|| {
        assert_eq!(forwards(0).unwrap(), 1);
        assert_eq!(forwards(1).unwrap_err().to_string(), "refused 1");
        assert_eq!(forwards(9).unwrap_err().to_string(), "refused 9");
    });
    let expected = [
        "forwards [0] twice=0",
        "checks < forwards",
        r#"forwards [1] twice=2: Failed("refused 1")"#,
        r#"checks < forwards: Failed("refused 1")"#,
        r#"forwards [9] twice=18: Failed("refused 9")"#,
    ];
    assert_eq!(lines(&report), expected);
}

/// Assigns to an argument a borrow from itself, so the body must own its arguments.
#[traced(err)]
fn skips<'a>(mut bytes: &'a mut [u8], count: usize) -> Result<&'a mut [u8], Refused> {
    for _ in 0..count {
        bytes = bytes.get_mut(1..).ok_or(Refused(0))?;
    }
    Ok(&mut bytes[..])
}

#[traced(err)]
fn halves(numbers: &[u32]) -> Result<impl Iterator<Item = u32> + '_, Box<dyn std::error::Error>> {
    if numbers.is_empty() {
        return Err(Box::new(Refused(0)));
    }
    Ok(numbers.iter().map(|number| number / 2))
}

#[test]
fn borrowed_and_opaque_results() {
    let ((), report) = record(|| {
        assert_eq!(skips(&mut [1, 2, 3], 2).unwrap(), [3]);
        assert_eq!(halves(&[2, 4]).unwrap().collect::<Vec<_>>(), [1, 2]);
        assert!(halves(&[]).is_err());
    });
    let expected = ["skips", "halves", r#"halves: Failed("refused 0")"#];
    assert_eq!(lines(&report), expected);
}

#[traced(err)]
fn panics() -> Result<(), Refused> {
    panic!("on purpose");
}

#[test]
fn a_panic_is_a_panic() {
    let (caught, report) = record(|| std::panic::catch_unwind(panics));
    assert!(caught.is_err());
    assert_eq!(report.calls[0].outcome, Outcome::Panicked);
}

/// Has no `Display`.
#[derive(Debug)]
struct Code(#[expect(dead_code, reason = "it is shown")] u32);

#[traced(err(Debug))]
fn with_debug(value: u32) -> Result<(), Code> {
    Err(Code(value))
}

#[traced("{value}", err(Debug))]
async fn with_debug_async(value: u32) -> Result<(), Code> {
    Err(Code(value))
}

#[traced(err(Display))]
fn with_display() -> Result<(), Refused> {
    Err(Refused(3))
}

#[test]
fn the_message_may_be_the_debug_of_the_error() {
    let ((), report) = record(|| {
        with_debug(1).unwrap_err();
        block_on(with_debug_async(2)).unwrap_err();
        with_display().unwrap_err();
    });
    let expected = [
        r#"with_debug: Failed("Code(1)")"#,
        r#"with_debug_async [2]: Failed("Code(2)")"#,
        r#"with_display: Failed("refused 3")"#,
    ];
    assert_eq!(lines(&report), expected);
}

#[traced("{id}", err)]
fn behind_the_id(id: u32) -> Result<(), Refused> {
    Err(Refused(id))
}

#[traced("{}", id, rows = 1, err)]
fn behind_a_label(id: u32) -> Result<(), Refused> {
    Err(Refused(id))
}

/// The last `err` is the argument.
#[traced(err, "{} {}", count, err)]
fn takes_an_error(err: &str, count: u32) -> Result<(), Refused> {
    Err(Refused(count))
}

#[test]
fn it_may_stand_anywhere() {
    let ((), report) = record(|| {
        behind_the_id(1).unwrap_err();
        behind_a_label(2).unwrap_err();
        takes_an_error("no", 3).unwrap_err();
    });
    let expected = [
        r#"behind_the_id [1]: Failed("refused 1")"#,
        r#"behind_a_label [2] rows=1: Failed("refused 2")"#,
        r#"takes_an_error [3 no]: Failed("refused 3")"#,
    ];
    assert_eq!(lines(&report), expected);
}
