//! The documents show what examples print, name files that exist, and state measured figures.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::printed;
use crate::text::{without_numbers, without_times};

/// A block after the line `<!-- output -->` is the output of `service`; after `<!-- output NAME -->`, that of
/// another example. A block may leave out lines, and its figures may be of another run.
#[test]
fn documents_show_lines_that_examples_print_in_their_order() {
    let mut checked = Vec::new();
    for document in guides().chain([root().join("README.md")]) {
        let text = read(&document);
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
            // Without its feature, the example is not built.
            if name != "tracing_service" || cfg!(feature = "tracing") {
                check(&document, name, block);
                checked.push(name.to_owned());
            }
        }
    }
    assert!(checked.iter().any(|name| name == "service"), "{checked:?}");
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

fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("a workspace")
}

fn guides() -> impl Iterator<Item = PathBuf> {
    let guides = fs::read_dir(root().join("docs")).expect("a folder");
    let guides = guides.map(|guide| guide.expect("a file").path());
    guides.filter(|guide| guide.extension().is_some_and(|it| it == "md"))
}

fn read(document: &Path) -> String {
    fs::read_to_string(document).expect("a text")
}

/// Words for which a reader puts a name of their own.
const PLACEHOLDERS: [&str; 2] = ["NAME", "TARGET"];
/// Folders that are made by a build or a run.
const GENERATED: [&str; 2] = ["target", "fuzz/artifacts"];

#[test]
fn paths_in_documents_exist() {
    let of_root = ["README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY"];
    let of_root = of_root.map(|name| root().join(name).with_extension("md"));
    let packages = [
        "alloc-counter",
        "cli",
        "criterion",
        "examples",
        "fuzz",
        "macros",
    ];
    let packages = packages.map(|name| root().join(name).join("README.md"));
    let mut all = Vec::new();
    collect(root(), &mut all);
    let (mut checked, mut wrong) = (0, Vec::new());
    for document in of_root.into_iter().chain(guides()).chain(packages) {
        for name in paths(&read(&document)) {
            checked += 1;
            if !exists(&name, &document, &all) {
                wrong.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked > 100, "{checked}");
}

/// Collects the files and folders of the repository, except those of its root that a build makes.
fn collect(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let is_made = path == root().join("target") || path == root().join(".git");
        if !is_made && path.is_dir() {
            collect(&path, all);
        }
        all.push(path);
    }
}

/// Returns the paths that a document names in code or as targets of links. Blocks of code are left out.
fn paths(document: &str) -> Vec<String> {
    let text: String = document.split("\n```").step_by(2).collect();
    assert_eq!(text.matches('`').count() % 2, 0, "a backtick is missing");
    let code = text.split('`').skip(1).step_by(2);
    let named = { code.flat_map(str::split_whitespace) }.filter(|word| is_path(word));
    let links = text.split("](").skip(1);
    let links = links.filter_map(|link| link.split([')', '#']).next());
    let links = links.filter(|link| !link.is_empty() && !link.contains("://"));
    named.chain(links).map(str::to_owned).collect()
}

/// Whether a word of code is meant as a path of the repository: a folder, a file of Rust, or a path in
/// a folder that has an extension or stands in the repository's root.
fn is_path(word: &str) -> bool {
    let extension = Path::new(word).extension();
    let is_path = match word.split_once('/') {
        Some(("", _)) => false,
        Some((first, _)) => {
            word.ends_with('/') || extension.is_some() || root().join(first).exists()
        }
        None => extension.is_some_and(|it| it == "rs"),
    };
    let is_generated = GENERATED.iter().any(|it| Path::new(word).starts_with(it));
    let is_placeholder = PLACEHOLDERS.iter().any(|it| word.contains(it));
    is_path && !word.contains("://") && !is_generated && !is_placeholder
}

/// A path is relative to the repository, to `src/` or to the document. A single name may stand anywhere:
/// the sentence says in which folder.
fn exists(name: &str, document: &Path, all: &[PathBuf]) -> bool {
    let bases = [
        root(),
        &root().join("src"),
        document.parent().expect("a folder"),
    ];
    let is_single = Path::new(name).components().count() == 1;
    bases.iter().any(|base| base.join(name).exists())
        || is_single && all.iter().any(|path| path.ends_with(name))
}

#[test]
fn the_readme_states_the_instructions_of_the_benchmarks() {
    let [readme, benchmarks] = ["README.md", "docs/benchmarks.md"].map(|it| read(&root().join(it)));
    let table = benchmarks.split("<!-- instructions -->").nth(1);
    let table = table.and_then(|after| after.split("<!-- -->").next());
    let figure = |what: &str| {
        let mut lines = table.expect("a table").lines();
        let figure = lines.find_map(|line| line.strip_prefix(&format!("| {what} | ")));
        figure.and_then(|it| it.strip_suffix(" |")).expect(what)
    };
    let call = figure("a call, counted, with peak and busy time");
    let tracing = figure("– a `tracing` span, bare `Registry`");
    let fastrace = figure("– a `fastrace` span");
    let row = format!("| a call, in instructions | {call} | {tracing} | {fastrace} |");
    assert!(readme.contains(&row), "{row}");

    let sentences = readme.split(" instructions");
    let words = sentences.filter_map(|before| before.split_whitespace().next_back());
    let mut stated = words.filter(|word| word.bytes().all(|it| it.is_ascii_digit()));
    let first = stated.next();
    assert_eq!(first, Some(call));
    assert!(stated.all(|other| other == call));
}
