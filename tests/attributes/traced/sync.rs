//! Functions that are not `async`.

use std::fmt::{Debug, Display};

use tracer::{Outcome, call, traced};

use super::{Refused, lines, record};

#[traced]
fn plain() {}

#[traced]
fn adds(left: u32, right: u32) -> u32 {
    left + right
}

#[test]
fn a_function_is_a_call_named_after_it() {
    let (sum, report) = record(|| {
        plain();
        adds(1, 2)
    });
    assert_eq!(sum, 3);
    assert_eq!(lines(&report), ["plain", "adds"]);
}

#[traced]
fn r#loop() {}

#[test]
fn a_raw_identifier_is_named_without_its_prefix() {
    assert_eq!(lines(&record(r#loop).1), ["loop"]);
}

#[traced]
fn outer() {
    middle();
    inner();
}

#[traced]
fn middle() {
    inner();
}

#[traced]
fn inner() {}

#[test]
fn nested_functions_are_nested_calls() {
    let ((), report) = record(outer);
    assert_eq!(
        lines(&report),
        ["outer", "middle < outer", "inner < middle", "inner < outer"],
    );
}

#[traced]
fn with_a_call_within() {
    let call = call!();
    inner();
    call.stop();
}

#[test]
fn calls_opened_by_hand_nest_within() {
    let ((), report) = record(with_a_call_within);
    let parents: Vec<_> = report.calls.iter().map(|call| call.parent).collect();
    assert_eq!(parents, [None, Some(0), Some(1)]);
}

#[traced]
fn returns_early(early: bool) -> &'static str {
    if early {
        return "early";
    }
    inner();
    "late"
}

#[test]
fn an_early_return_stops_the_call() {
    let (values, report) = record(|| (returns_early(true), returns_early(false)));
    assert_eq!(values, ("early", "late"));
    let expected = ["returns_early", "returns_early", "inner < returns_early"];
    assert_eq!(lines(&report), expected);
}

#[traced]
fn parses(text: &str) -> Result<u32, std::num::ParseIntError> {
    let number: u32 = text.parse()?;
    Ok(number + 1)
}

#[test]
fn without_err_an_error_is_no_failure() {
    let (values, report) = record(|| (parses("1"), parses("x").is_err()));
    assert_eq!(values, (Ok(2), true));
    assert_eq!(lines(&report), ["parses", "parses"]);
}

#[traced(n = n)]
fn factorial(n: u64) -> u64 {
    if n == 0 { 1 } else { n * factorial(n - 1) }
}

#[test]
fn recursion_nests() {
    let (value, report) = record(|| factorial(2));
    assert_eq!(value, 2);
    let expected = [
        "factorial n=2",
        "factorial n=1 < factorial",
        "factorial n=0 < factorial",
    ];
    assert_eq!(lines(&report), expected);
    assert_eq!(report.calls[2].parent, Some(1));
}

#[traced]
fn panics() {
    panic!("on purpose");
}

#[test]
fn a_panic_is_the_outcome() {
    let (caught, report) = record(|| std::panic::catch_unwind(panics));
    assert!(caught.is_err());
    assert_eq!(report.calls[0].outcome, Outcome::Panicked);
}

#[traced]
fn larger<'a, T: PartialOrd + ?Sized>(left: &'a T, right: &'a T) -> &'a T {
    if left < right { right } else { left }
}

#[traced]
fn filled<const N: usize>(value: impl Into<u64>) -> [u64; N] {
    [value.into(); N]
}

#[traced]
fn evens(numbers: &[u32]) -> impl Iterator<Item = u32> + '_ {
    numbers.iter().copied().filter(|number| number % 2 == 0)
}

#[traced]
fn describe(value: impl Debug) -> impl Display {
    format!("{value:?}")
}

#[test]
fn generics_lifetimes_and_impl_trait() {
    let ((), report) = record(|| {
        assert_eq!(larger("a", "b"), "b");
        assert_eq!(filled::<2>(7_u32), [7, 7]);
        assert_eq!(evens(&[1, 2, 3, 4]).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(describe(Some(1)).to_string(), "Some(1)");
    });
    assert_eq!(lines(&report), ["larger", "filled", "evens", "describe"]);
}

struct Point {
    x: u32,
    y: u32,
}

#[traced("{x},{y}", first = first)]
fn patterns(
    Point { x, mut y }: Point,
    (first, ..): (u32, u32),
    [.., last]: [u32; 3],
    &borrowed: &u32,
    _: u32,
    mut owned: Vec<u32>,
) -> Vec<u32> {
    y += 1;
    owned.extend([x, y, first, last, borrowed]);
    owned
}

#[test]
fn argument_patterns() {
    let (values, report) =
        record(|| patterns(Point { x: 1, y: 2 }, (3, 0), [0, 0, 4], &5, 0, vec![0]));
    assert_eq!(values, [0, 1, 3, 3, 4, 5]);
    assert_eq!(lines(&report), ["patterns [1,2] first=3"]);
}

/// Kept as they are: documentation, other attributes, `unsafe`, `extern`, inner attributes.
#[traced]
#[must_use]
#[inline]
unsafe extern "C" fn qualified(value: u32) -> u32 {
    #![allow(non_snake_case)]
    let Value = value;
    Value
}

#[test]
fn qualifiers_stay() {
    let function: unsafe extern "C" fn(u32) -> u32 = qualified;
    // SAFETY: the function is unsafe in name only.
    let (value, report) = record(|| unsafe { function(3) });
    assert_eq!(value, 3);
    assert_eq!(lines(&report), ["qualified"]);
}

macro_rules! traced_function {
    ($name:ident, $argument:ident, $type:ty, $body:expr) => {
        #[traced(err, "{}", $argument, label = $argument)]
        fn $name($argument: $type) -> Result<$type, Refused> {
            Ok($body)
        }
    };
}

traced_function!(made_by_a_macro, argument, u32, argument + 1);

#[test]
fn functions_made_by_macros() {
    let (value, report) = record(|| made_by_a_macro(1));
    assert_eq!(value, Ok(2));
    assert_eq!(lines(&report), ["made_by_a_macro [1] label=1"]);
}
