//! Reports of a stripped program, whose functions and lines another machine looks up.

#![cfg(target_os = "linux")]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tracer::alloc::Sites;
use tracer::report::{SiteReport, json};
use tracer::sites::{Binary, Unresolved};
use tracer::{Counting, Report, Trace, call, traced};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// A build id of this program, as a linker would write it. Some linkers write none unless they are asked; others
/// put their own in place of this one.
// SAFETY: the section has notes only, and this is one.
#[unsafe(link_section = ".note.gnu.build-id")]
#[used]
static BUILD_ID: [u32; 9] = [
    4,
    20,
    3,
    u32::from_ne_bytes(*b"GNU\0"),
    0x0a0a_0a0a,
    0x0b0b_0b0b,
    0x0c0c_0c0c,
    0x0d0d_0d0d,
    0x0e0e_0e0e,
];

/// Returns the file of this program.
fn this() -> PathBuf {
    std::env::current_exe().unwrap()
}

#[inline(never)]
fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1; bytes])
}

#[traced]
#[inline(never)]
fn inner() {
    drop(block(10));
    drop(block(20));
}

#[inline(never)]
fn outer() -> Trace {
    let trace = Trace::builder().sites(Sites::exact()).build();
    let scope = trace.inject();
    drop(block(1000));
    {
        let _call = call!("outer");
        drop(block(100));
        inner();
    }
    drop(scope);
    trace
}

/// Where the test below lets a stripped copy of this program write its reports.
const OUTPUT: &str = "TRACER_TEST_REPORTS";

#[test]
fn writes_reports() {
    let Some(path) = std::env::var_os(OUTPUT) else {
        return;
    };
    let report = outer().report();
    let mut lines = Vec::new();
    // As it is, and as a recorder keeps it.
    json::write_line(&report, &mut lines).unwrap();
    json::write_line(&report.resolved(), &mut lines).unwrap();
    fs::write(path, lines).unwrap();
}

/// Copies this program without symbols and debug information.
fn stripped(folder: &TempDir) -> PathBuf {
    let copy = folder.path().join("stripped");
    run(Command::new("objcopy")
        .arg("--strip-all")
        .args([&this(), &copy]));
    copy
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Returns the reports of a copy of this program, by way of a file in a folder.
fn reports_of(program: &Path, folder: &TempDir) -> Vec<Report> {
    let path = folder.path().join("reports.jsonl");
    let mut command = Command::new(program);
    run(command
        .args(["--exact", "writes_reports"])
        .env(OUTPUT, &path));
    let lines = fs::read(path).unwrap();
    json::Lines::new(&lines[..]).map(Result::unwrap).collect()
}

/// Returns a line for each site, with all that is known of its frames but the module's name.
fn shown(report: &Report) -> Vec<String> {
    let build_id = Binary::open(&this()).unwrap().build_id().to_owned();
    let of_calls = report.calls.iter().map(|call| (&*call.name, &call.sites));
    let all = of_calls.chain([("outside", &report.sites)]);
    let sites = all.flat_map(|(name, sites)| sites.iter().flatten().map(move |it| (name, it)));
    let show = |(name, site): (&str, &SiteReport)| {
        let frames = site
            .frames
            .iter()
            .filter(|it| it.build_id.as_deref() == Some(&*build_id));
        let frames = frames.map(|it| {
            let (function, file) = (it.function.as_deref(), it.file.as_deref());
            format!(
                "{function:?} {file:?}:{:?} {:#x} {:?}",
                it.line, it.offset, it.unresolved
            )
        });
        let frames: Vec<_> = frames.collect();
        format!(
            "{name} {} {}: {frames:#?}",
            site.bytes_allocated, site.is_whole
        )
    };
    sites.map(show).collect()
}

#[test]
fn another_machine_has_the_lines_that_the_program_itself_would_have() {
    let folder = tempfile::tempdir().unwrap();
    let program = stripped(&folder);
    // On a thread of its own, as libtest runs a test.
    let expected = reports_of(&this(), &folder);
    let reports = reports_of(&program, &folder);
    assert_eq!((reports.len(), expected.len()), (2, 2));
    let whole = &expected[1];
    let of_inner = shown(whole);
    assert!(
        of_inner.iter().any(|it| it.contains("symbolized::inner")),
        "{of_inner:#?}"
    );
    let mut binary = Binary::open(&this()).unwrap();
    for report in reports {
        assert_ne!(shown(&report), shown(whole));
        let module = report.calls[1].sites.as_ref().unwrap()[0].frames[0]
            .module
            .clone();
        assert_eq!(module.as_deref(), Some("stripped"));
        let report = report.resolved_with(&mut binary);
        assert_eq!(shown(&report), shown(whole));
        assert_eq!(
            report.calls[1].sites.as_ref().unwrap()[0].frames[0].module,
            module
        );
        // What is known stays.
        assert_eq!(report.clone().resolved_with(&mut binary), report);
    }
}

#[test]
fn debug_information_may_be_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let program = stripped(&folder);
    let debug = folder.path().join("some.debug");
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([&this(), &debug]));
    let expected = &reports_of(&this(), &folder)[1];
    let mut binaries = [&program, &debug].map(|path| Binary::open(path).unwrap());
    for report in reports_of(&program, &folder) {
        let [program, debug] = &mut binaries;
        let without = report.resolved_with(program);
        let frame = &without.calls[1].sites.as_ref().unwrap()[0].frames[0];
        assert_eq!(frame.unresolved, Some(Unresolved::NoSymbols));
        assert_eq!(shown(&without.resolved_with(debug)), shown(expected));
    }
}

#[test]
fn a_file_without_debug_information_takes_no_function_away() {
    let folder = tempfile::tempdir().unwrap();
    let program = stripped(&folder);
    let symbols = folder.path().join("symbols");
    run(Command::new("objcopy")
        .arg("--strip-debug")
        .args([&this(), &symbols]));
    let [mut stripped, mut symbols, mut whole] =
        [&program, &symbols, &this()].map(|path| Binary::open(path).unwrap());
    let report = reports_of(&program, &folder)
        .remove(0)
        .resolved_with(&mut symbols);
    let frames = report.calls[1].sites.as_ref().unwrap()[0].frames.clone();
    let inner = frames.last().unwrap();
    assert_eq!(inner.function.as_deref(), Some("symbolized::inner"));
    assert_eq!(
        (inner.line, inner.unresolved),
        (None, Some(Unresolved::NoLines))
    );
    let report = report.resolved_with(&mut stripped);
    assert_eq!(report.calls[1].sites.as_ref().unwrap()[0].frames, frames);
    let report = report.resolved_with(&mut whole);
    let frames = &report.calls[1].sites.as_ref().unwrap()[0].frames;
    assert_eq!(frames.last().unwrap().unresolved, None);
}

#[test]
fn a_file_that_is_no_binary_with_a_build_id_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let refused = |name: &str| {
        let error = Binary::open(&path(name)).unwrap_err().to_string();
        error.replace(folder.path().to_str().unwrap(), "…")
    };
    assert_eq!(
        refused("none"),
        "…/none: No such file or directory (os error 2)"
    );
    fs::write(path("te\nxt"), "text").unwrap();
    assert_eq!(
        refused("te\nxt"),
        "…/te\\nxt: expected a program or library, as an ELF file"
    );
    assert_eq!(refused(""), "…/: expected a file");
    run(Command::new("objcopy")
        .args(["--remove-section", ".note.gnu.build-id"])
        .args([this(), path("without")]));
    assert_eq!(
        refused("without"),
        "…/without: it has no build id, by which frames are found: link it with `-Clink-arg=-Wl,--build-id`"
    );
}
