//! What `#[traced]` and `#[budget]` reject, and with which words.

#![cfg(feature = "macros")]

#[test]
fn rejected() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
