//! Programs with all kinds of debug information, and without.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tracer::sites::frames_in_file;

use super::shown;

/// A compiled `program.rs`, in a folder of its own.
pub(crate) struct Program {
    folder: TempDir,
    pub(crate) path: PathBuf,
    /// What it printed: the virtual addresses of four instructions.
    pub(crate) offsets: Vec<u64>,
}

impl Program {
    pub(crate) fn compiled(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // As the compiler sees it, which resolves links.
        let path = folder.path().canonicalize().unwrap().join("program");
        fs::write(path.with_extension("rs"), include_str!("program.rs")).unwrap();
        compile(&path, flags);
        let printed = Command::new(&path).output().unwrap().stdout;
        let printed = String::from_utf8(printed).unwrap();
        let offsets = printed.lines().map(|line| line.parse().unwrap()).collect();
        Self {
            folder,
            path,
            offsets,
        }
    }

    /// Returns the frames of each address, as text.
    fn shown(&self) -> Vec<Vec<String>> {
        let folder = self.path.parent().unwrap();
        let frames = frames_in_file(&self.path, &[], &self.offsets);
        frames.iter().map(|frames| shown(frames, folder)).collect()
    }

    /// Removes the files with this extension; returns their number.
    fn remove(&self, extension: &str) -> usize {
        let files = fs::read_dir(self.folder.path()).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let paths = paths.filter(|path| path.extension() == Some(OsStr::new(extension)));
        paths.map(|path| fs::remove_file(path).unwrap()).count()
    }
}

/// Compiles `program.rs` beside `path`, in its folder.
pub(crate) fn compile(path: &Path, flags: &[&str]) {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .current_dir(path.parent().unwrap())
        .args([
            "program.rs",
            "--edition=2024",
            "-Csymbol-mangling-version=v0",
        ])
        .args(["-Clink-arg=-Wl,--build-id", "-o"])
        .arg(path)
        .args(flags)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Asserts what comes out for each of the program's addresses. Of the last one, which is in the standard
/// library, only the beginning and the end are the same with all compilers.
fn assert_shown(program: &Program, expected: [&[&str]; 3], of_std: (&str, &str)) {
    let shown = program.shown();
    assert_eq!(shown.len(), 4);
    for (shown, expected) in shown.iter().zip(expected) {
        assert_eq!(shown, expected);
    }
    let [of_std_shown] = &shown[3][..] else {
        panic!("expected a single frame: {:?}", shown[3]);
    };
    let (start, end) = of_std;
    assert!(
        of_std_shown.starts_with(start) && of_std_shown.contains(end),
        "expected {start}…{end}: {of_std_shown}"
    );
}

/// A function of the standard library, which is distributed with lines.
const CURRENT_DIR: (&str, &str) = ("std::env::current_dir /", "/library/std/src/env.rs:");

const OPTIMISED: [&[&str]; 3] = [
    &[
        "program::here program.rs:13",
        "program::inlined program.rs:25",
    ],
    &[
        "program::here program.rs:13",
        "program::generic::<u8> program.rs:31",
    ],
    &[
        "program::here program.rs:13",
        "program::main::{closure#0} program.rs:43",
        "program::call program.rs:36",
    ],
];

const WITHOUT_THE_SPLIT_FILE: [&[&str]; 3] = [
    &["program::inlined program.rs:13 (inlined functions not known)"],
    &["program::generic::<u8> program.rs:13 (inlined functions not known)"],
    &["program::call program.rs:13 (inlined functions not known)"],
];

#[test]
fn a_debug_build_has_functions_and_lines() {
    let expected: [&[&str]; 3] = [
        &[
            "program::here program.rs:13",
            "program::inlined program.rs:25",
        ],
        &[
            "program::here program.rs:13",
            "program::generic::<u8> program.rs:31",
        ],
        &[
            "program::here program.rs:13",
            "program::main::{closure#0} program.rs:43",
        ],
    ];
    assert_shown(&Program::compiled(&["-g"]), expected, CURRENT_DIR);
}

#[test]
fn a_release_build_with_debug_information_has_the_inlined_functions() {
    assert_shown(&Program::compiled(&["-O", "-g"]), OPTIMISED, CURRENT_DIR);
}

#[test]
fn with_line_tables_only_the_names_of_inlined_functions_have_no_path() {
    let expected: [&[&str]; 3] = [
        &["here program.rs:13", "program::inlined program.rs:25"],
        &["here program.rs:13", "program::generic::<u8> program.rs:31"],
        &[
            "here program.rs:13",
            "{closure#0} program.rs:43",
            "program::call program.rs:36",
        ],
    ];
    let program = Program::compiled(&["-O", "-Cdebuginfo=line-tables-only"]);
    assert_shown(&program, expected, CURRENT_DIR);
}

#[test]
fn a_symbol_table_has_functions_without_lines() {
    let expected: [&[&str]; 3] = [
        &["program::inlined ?:? (no debug information)"],
        &["program::generic::<u8> ?:? (no debug information)"],
        &["program::call ?:? (no debug information)"],
    ];
    let of_std = ("std::env::current_dir ?:?", "(no debug information)");
    let program = Program::compiled(&["-O", "-g", "-Cstrip=debuginfo"]);
    assert_shown(&program, expected, of_std);
}

#[test]
fn a_stripped_program_has_offsets() {
    let program = Program::compiled(&["-O", "-g", "-Cstrip=symbols"]);
    let nothing: &[&str] = &["? ?:? (no symbols)"];
    assert_shown(&program, [nothing; 3], ("? ?:?", "(no symbols)"));
    for (frames, offset) in frames_in_file(&program.path, &[], &program.offsets)
        .iter()
        .zip(&program.offsets)
    {
        assert_eq!(frames[0].module.as_deref(), Some("program"));
        assert_eq!((frames[0].offset, &frames[0].build_id), (*offset, &None));
    }
}

#[test]
fn compressed_debug_information_is_read() {
    let flag = "-Clink-arg=-Wl,--compress-debug-sections=zlib";
    let program = Program::compiled(&["-O", "-g", flag]);
    assert_shown(&program, OPTIMISED, CURRENT_DIR);
}

#[test]
fn packed_split_debug_information_is_found_beside_the_program() {
    let program = Program::compiled(&["-O", "-g", "-Csplit-debuginfo=packed"]);
    assert_shown(&program, OPTIMISED, CURRENT_DIR);
    assert_eq!(program.remove("dwp"), 1);
    assert_shown(&program, WITHOUT_THE_SPLIT_FILE, CURRENT_DIR);
}

#[test]
fn unpacked_split_debug_information_is_found_where_it_was_compiled() {
    let program = Program::compiled(&["-O", "-g", "-Csplit-debuginfo=unpacked"]);
    assert_shown(&program, OPTIMISED, CURRENT_DIR);
    assert_ne!(program.remove("dwo"), 0);
    assert_shown(&program, WITHOUT_THE_SPLIT_FILE, CURRENT_DIR);
}
