//! Test: no module imports against the order of the layers.
//!
//! - A folder imports only from folders before it in [`ORDER`]. `lib.rs` is above all of them, so no
//!   module imports from it.
//! - The files of a folder do not import each other in a circle.
//! - A `mod.rs` may import any file below it, and these may import what it defines: that is no circle. An
//!   import of what it re-exports counts as an import of the file that defines it.
//!
//! The test skips comments, strings, items under `#[cfg(test)]`, and the paths of exported macros,
//! `$crate::…`. It can't see a method that is defined in a higher module, by an `impl` there.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use imports::{Written, imports};

/// The folders, from the lowest to the highest. Those in one line are siblings.
const ORDER: &[&[&str]] = &[
    &["primitives"],
    &["store"],
    &["write", "read"],
    &["sites"],
    &["report"],
    &["budget"],
    &["hotspots"],
    &["export"],
    &["hunt"],
    &["search"],
    &["propagation"],
    &["recorder"],
    &["metrics"],
    &["sentry"],
    &["otlp"],
    &["tracing"],
    &["tower"],
    &["web"],
];

/// The models import whatever they check, and this test is no layer.
const EXEMPT: &[&str] = &["models", "layers"];

#[test]
fn no_module_imports_against_the_order() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    read(&source, "", &mut files);
    let problems = problems(&files);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Files by their paths below `src`, with their text.
type Files = BTreeMap<String, String>;

fn read(folder: &Path, prefix: &str, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            if !EXEMPT.contains(&&*name) {
                read(&path, &format!("{name}/"), files);
            }
        } else if name != "lib.rs" && path.extension() == Some("rs".as_ref()) {
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// An import of one file in another.
struct Import {
    from: String,
    line: usize,
    /// From the crate's root.
    path: String,
    /// The file that defines it; `None` for `lib.rs`.
    to: Option<String>,
}

impl Import {
    fn broken(&self, rule: &str) -> String {
        let Self {
            from, line, path, ..
        } = self;
        format!("src/{from}:{line}: imports {path}\n    {rule}")
    }
}

fn problems(files: &Files) -> Vec<String> {
    let written: BTreeMap<&str, Vec<Written>> = files
        .iter()
        .map(|(file, text)| (&**file, imports(file, text)))
        .collect();
    let mut imports = Vec::new();
    for (file, paths) in &written {
        for Written { line, path, .. } in paths {
            imports.push(Import {
                from: (*file).to_owned(),
                line: *line,
                path: format!("crate::{}", path.join("::")),
                to: defined_in(path, &written, 0),
            });
        }
    }
    let mut problems: Vec<_> = imports.iter().filter_map(against_the_order).collect();
    problems.extend(circles(&imports));
    problems
}

fn folder(file: &str) -> &str {
    file.split('/').next().unwrap()
}

fn against_the_order(import: &Import) -> Option<String> {
    let rank = |folder| ORDER.iter().position(|layer| layer.contains(&folder));
    let from = folder(&import.from);
    let Some(own) = rank(from) else {
        return Some(import.broken("this folder has no place in ORDER: give it one"));
    };
    let Some(to) = &import.to else {
        return Some(import.broken("lib.rs is above all: import from the module that defines it"));
    };
    let to = folder(to);
    if from == to || rank(to).is_some_and(|other| other < own) {
        return None;
    }
    let mut allowed = vec!["its own files"];
    allowed.extend(ORDER[..own].concat());
    let allowed = allowed.join(", ");
    Some(import.broken(&format!("{from} may import only {allowed}")))
}

/// The files that each file imports, with one of the imports.
type Edges<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>;

/// The imports that are part of a circle among the files of a folder.
fn circles(imports: &[Import]) -> Vec<String> {
    let mut edges = Edges::new();
    for import in imports {
        let from = &*import.from;
        let Some(to) = import.to.as_deref().filter(|to| *to != from) else {
            continue;
        };
        let is_below = |parent: &str| to.starts_with(parent);
        let is_its_own = from.strip_suffix("mod.rs").is_some_and(is_below);
        if folder(from) == folder(to) && !is_its_own {
            edges.entry(from).or_default().entry(to).or_insert(import);
        }
    }
    let all = edges
        .iter()
        .flat_map(|(from, of)| of.iter().map(move |(to, it)| (from, to, it)));
    let in_circles = all.filter(|(from, to, _)| reaches(&edges, to, from));
    in_circles
        .map(|(_, to, import)| {
            import.broken(&format!(
                "src/{to} imports that file, itself or through others: a folder's files form no circle"
            ))
        })
        .collect()
}

fn reaches(edges: &Edges<'_>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        if file == to {
            return true;
        }
        if seen.insert(file) {
            next.extend(edges.get(file).into_iter().flat_map(BTreeMap::keys));
        }
    }
    false
}

/// Returns the file that defines what a path names, through the re-exports of each `mod.rs` on the way,
/// or `None` if `lib.rs` defines or re-exports it.
fn defined_in(
    path: &[String],
    written: &BTreeMap<&str, Vec<Written>>,
    depth: u32,
) -> Option<String> {
    let mut module = String::new();
    for (place, name) in path.iter().enumerate() {
        let file = format!("{module}{name}.rs");
        if written.contains_key(&*file) {
            return Some(file);
        }
        if written.contains_key(&*format!("{module}{name}/mod.rs")) {
            module = format!("{module}{name}/");
            continue;
        }
        let this = format!("{module}mod.rs");
        let of = written.get(&*this)?;
        let is_it = |it: &&Written| it.name == *name && it.path != path[..=place];
        return match of.iter().find(is_it) {
            // The limit is for names that re-export each other.
            Some(it) if depth < 8 => defined_in(&it.path, written, depth + 1),
            _ => Some(this),
        };
    }
    Some(format!("{module}mod.rs")).filter(|_| !module.is_empty())
}

/// Returns what is wrong with files of these names and texts.
fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
    let own = |(file, text): &(&str, &str)| ((*file).to_owned(), (*text).to_owned());
    problems(&files.iter().map(own).collect())
}

#[test]
fn an_import_of_another_folder_is_found_wherever_it_stands() {
    let found = problems_of(&[
        ("primitives/mod.rs", ""),
        (
            "primitives/sync.rs",
            "fn f() { html! { (super::super::web::X) } }",
        ),
        ("store/mod.rs", ""),
        (
            "store/a.rs",
            "use crate::primitives::sync::{\n    Lock,\n    A,\n};\nfn f() { crate::report::g::<u8>() }",
        ),
        ("write/mod.rs", "use tracer::read::{b, c::{self, d}};"),
        ("read/mod.rs", ""),
        ("report/mod.rs", "pub use crate::write::a as b;"),
        ("web/mod.rs", "use crate::{Trace, store::a};"),
        ("new/mod.rs", "use crate::store::a;"),
    ]);
    assert_eq!(
        found,
        [
            "src/new/mod.rs:1: imports crate::store::a\n    \
             this folder has no place in ORDER: give it one",
            "src/primitives/sync.rs:1: imports crate::web::X\n    \
             primitives may import only its own files",
            "src/store/a.rs:5: imports crate::report::g\n    \
             store may import only its own files, primitives",
            "src/web/mod.rs:1: imports crate::Trace\n    \
             lib.rs is above all: import from the module that defines it",
            "src/write/mod.rs:1: imports crate::read::b\n    \
             write may import only its own files, primitives, store",
            "src/write/mod.rs:1: imports crate::read::c\n    \
             write may import only its own files, primitives, store",
            "src/write/mod.rs:1: imports crate::read::c::d\n    \
             write may import only its own files, primitives, store",
        ]
    );
}

#[test]
fn a_circle_is_found_through_re_exports_but_not_through_what_a_mod_rs_does() {
    let files = [
        (
            "store/mod.rs",
            "mod a;\nmod b;\npub use a::{A as First, x};\nuse b::B;\nstruct Own;",
        ),
        ("store/a.rs", "use super::{B, Own};"),
        ("store/b.rs", "use crate::store::deep;"),
        ("store/deep/mod.rs", "use super::First;\nuse c::C;"),
        ("store/deep/c.rs", "use super::super::Own;"),
    ];
    let found = problems_of(&files);
    let circle = |from: &str, path: &str, to: &str| {
        format!(
            "src/store/{from}: imports crate::store::{path}\n    \
             src/store/{to} imports that file, itself or through others: a folder's files form no circle"
        )
    };
    assert_eq!(
        found,
        [
            circle("a.rs:1", "B", "b.rs"),
            circle("b.rs:1", "deep", "deep/mod.rs"),
            circle("deep/mod.rs:1", "First", "a.rs"),
        ]
    );
    let mut mended = files;
    mended[3].1 = "use super::Own;\nuse c::C;";
    assert_eq!(problems_of(&mended), [""; 0]);
}

#[test]
fn what_is_no_import_is_not_looked_at() {
    let text = r##"
        //! [`crate::web`]
        /// `crate::web`
        const A: (&str, &str, char) = ("\" crate::web", r#"" crate::web"#, '"');
        fn f<'a>(it: &'a u8) {} // crate::web, 'a'
        macro_rules! m { () => { $crate::web::f() } }
        #[cfg(test)]
        use crate::web::{a, b};
        #[cfg(all(loom, test))]
        mod tests { use crate::web; }
        pub(in crate) fn g() { std::web::f() }
        #[cfg(any(test, feature = "web"))]
        use crate::web::Real;
    "##;
    let found = problems_of(&[
        ("store/a.rs", text),
        ("store/mod.rs", ""),
        ("web/mod.rs", ""),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("src/store/a.rs:13: imports crate::web::Real\n"),
        "{found:?}"
    );
}
