//! The code that `#[traced]` and `#[budget]` reject, and the compiler's messages.

#[test]
fn rejected() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
