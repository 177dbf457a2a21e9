//! The documents show what examples print.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::printed;
use crate::text::{without_numbers, without_times};

/// A block after the line `<!-- output -->` is the output of `service`; after `<!-- output NAME -->`, that of
/// another example. A block may leave out lines, and its figures may be of another run.
#[test]
fn documents_show_lines_that_examples_print_in_their_order() {
    let mut checked = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a text");
        for marked in text.split("<!-- output").skip(1) {
            let (name, after) = marked.split_once("-->").expect("the end of the mark");
            let name = match name.trim() {
                "" => "service",
                name => name,
            };
            let block = after.trim_start().strip_prefix("```text\n");
            let (block, _) = block
                .and_then(|block| block.split_once("```"))
                .expect("a block");
            check(&document, name, block);
            checked.push(name.to_owned());
        }
    }
    assert!(checked.iter().any(|name| name == "service"), "{checked:?}");
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace");
    let guides = fs::read_dir(root.join("docs")).expect("a folder");
    let guides = guides.map(|guide| guide.expect("a file").path());
    let guides = guides.filter(|guide| guide.extension().is_some_and(|it| it == "md"));
    guides.chain([root.join("README.md")]).collect()
}

fn check(document: &Path, example: &str, shown: &str) {
    let comparable = |text: &str| without_numbers(&without_times(text));
    let printed = comparable(&printed(example, &[]));
    let mut printed = printed.lines();
    for line in comparable(shown).lines() {
        assert!(
            printed.any(|printed| printed == line),
            "{} shows a line that {example} does not print, or not there: {line}",
            document.display(),
        );
    }
}
