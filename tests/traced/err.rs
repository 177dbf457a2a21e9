//! `err`: an error returned fails the call.

use tracer::{Outcome, traced};

use crate::{Refused, lines, record};

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

/// Reassigns an argument to what it borrows from it: the body must own its arguments.
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
