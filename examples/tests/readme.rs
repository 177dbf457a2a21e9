//! The README shows what the example `service` prints.

use crate::process::printed;
use crate::text::{without_numbers, without_times};

/// The README may leave lines out, and its figures are those of another run.
#[test]
fn shows_lines_that_service_prints_in_their_order() {
    let readme = include_str!("../../README.md");
    let (_, after) = readme
        .split_once("<!-- output -->")
        .expect("a mark before the output");
    let block = after.split("```").nth(1).expect("a block after the mark");
    let shown = block.strip_prefix("text\n").expect("a block of text");
    let comparable = |text: &str| without_numbers(&without_times(text));
    let printed = comparable(&printed("service", &[]));
    let mut printed = printed.lines();
    for line in comparable(shown).lines() {
        assert!(
            printed.any(|printed| printed == line),
            "README.md shows a line that the example does not print, or not there: {line}"
        );
    }
}
