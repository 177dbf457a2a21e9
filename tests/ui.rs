//! What `#[traced]` rejects, and with which words.

#[test]
fn rejected() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
