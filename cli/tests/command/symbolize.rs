//! `tracer symbolize`: reports whose functions and lines are looked up in compiled programs.

use std::fs;
use std::process::Command;

use crate::{Folder, line, three};

/// The build ids of the programs below.
const BUILD_ID: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER_BUILD_ID: &str = "7654321076543210765432107654321076543210";

/// A program that prints the virtual address of its function `work`.
const PROGRAM: &str = r#"
#[inline(never)]
fn work() -> usize {
    std::hint::black_box(7)
}

fn main() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let start = usize::from_str_radix(maps.split('-').next().unwrap(), 16).unwrap();
    println!("{}", work as *const () as usize - start + work() - 7);
}
"#;

/// Compiles the program with a build id, as `name`, and returns the address.
fn compile(folder: &Folder, name: &str, build_id: &str) -> u64 {
    fs::write(folder.path("program.rs"), PROGRAM).unwrap();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut compile = Command::new(compiler);
    compile
        .current_dir(folder.0.path())
        .args(["program.rs", "--edition=2024", "-g", "-o", name])
        .arg(format!("-Clink-arg=-Wl,--build-id=0x{build_id}"));
    let output = compile.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = Command::new(folder.path(name)).output().unwrap().stdout;
    let printed = String::from_utf8(printed).unwrap();
    printed.trim().parse().unwrap()
}

fn objcopy(folder: &Folder, arguments: &[&str]) {
    let mut command = Command::new("objcopy");
    let output = command.current_dir(folder.0.path()).args(arguments);
    let output = output.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Returns a report whose call `work` has a site with these frames, which stand in this order in the stack.
fn with_site(frames: &str, order: &str) -> String {
    let place =
        format!(r#"{{"frames":[{order}],"cut":true,"allocations":20,"bytes_allocated":2000}}"#);
    let site = format!(r#"{{"frames":[{frames}],"places":[{place}]}}"#);
    let own = r#""peak_bytes":100,"outcome":"ok""#;
    let place = line(1, 20, 1000, "\"ok\"").replace("\"store\"", "\"work\"");
    let place = place.replace("src/store.rs", "program.rs");
    let (before, after) = place.rsplit_once(own).unwrap();
    format!(r#"{before}{own},"sites":{site}{after}"#)
}

fn frame(module: &str, build_id: &str, offset: u64) -> String {
    format!(
        r#"{{"module":"{module}","build_id":"{build_id}","offset":{offset},"unresolved":"not_looked_up"}}"#
    )
}

#[test]
fn symbolize_looks_up_the_frames_of_a_binary() {
    let folder = Folder::new();
    let offset = compile(&folder, "program", BUILD_ID);
    objcopy(&folder, &["--strip-all", "program", "stripped"]);
    objcopy(&folder, &["--only-keep-debug", "program", "split.debug"]);
    let library = frame("libc.so.6", OTHER_BUILD_ID, 4096);
    let program = frame("service", BUILD_ID, offset);
    let reports = with_site(&format!("{library},{program}"), "0,1,0");
    fs::write(folder.path("traces.jsonl"), &reports).unwrap();
    let frames = |program: &str, order: &str| {
        format!(r#""frames":[{library},{program}],"places":[{{"frames":[{order},"#)
    };
    let path = folder.path("program.rs").canonicalize().unwrap();
    let found = format!(
        r#"{{"function":"program::work","file":"{}","line":3,"module":"service","build_id":"{BUILD_ID}","offset":{offset}}}"#,
        path.display()
    );
    // The frames outside of the call's function are left out.
    let whole = frames(&found, r#"0,1],"allocations":20"#);
    for binaries in [
        &["program"][..],
        &["split.debug"],
        // One after another, until it is known.
        &["stripped", "program"],
        &["program", "stripped"],
    ] {
        let binaries = binaries.iter().flat_map(|it| ["--binary", it]);
        let arguments: Vec<_> = ["symbolize"].into_iter().chain(binaries).collect();
        let ran = folder.run(&[&arguments[..], &["traces.jsonl"]].concat());
        assert_eq!((ran.code, &*ran.errors), (Some(0), ""));
        assert!(ran.out.contains(&whole), "{whole}\n{}", ran.out);
        // All else is as it was.
        let again = folder.run_with(&["symbolize", "--binary", "program"], &ran.out);
        assert_eq!((&again.out, &*again.errors), (&ran.out, ""));
        let shown = |reports: &str| folder.run_with(&["show", "--plain"], reports).out;
        assert_eq!(shown(&ran.out), shown(&reports));
    }
    let ran = folder.run_with(
        &["symbolize", "--binary", "program"],
        &with_site(&program, "0"),
    );
    let tree = folder.run_with(&["show"], &ran.out).out;
    let shown = format!("▸ program::work at {}:3\n", path.display());
    assert!(tree.contains(&shown), "{tree}");
    // A stripped file has nothing, and says so.
    let ran = folder.run_with(&["symbolize", "--binary", "stripped"], &reports);
    let marked = program.replace("not_looked_up", "no_symbols");
    let marked = frames(&marked, r#"0,1,0],"cut":true"#);
    assert_eq!((ran.code, &*ran.errors), (Some(0), ""));
    assert!(ran.out.contains(&marked), "{marked}\n{}", ran.out);
    // A file with symbols has functions.
    objcopy(&folder, &["--strip-debug", "program", "symbols"]);
    let ran = folder.run_with(&["symbolize", "--binary", "symbols"], &reports);
    let function = format!(
        r#"{{"function":"program::work","module":"service","build_id":"{BUILD_ID}","offset":{offset},"unresolved":"no_lines"}}"#
    );
    assert!(ran.out.contains(&function), "{}", ran.out);

    let written = [
        "symbolize",
        "--binary",
        "program",
        "traces.jsonl",
        "-o",
        "out.jsonl",
    ];
    assert_eq!(folder.run(&written).out, "");
    let written = fs::read_to_string(folder.path("out.jsonl")).unwrap();
    assert!(written.contains(&whole), "{written}");
}

#[test]
fn symbolize_takes_no_line_of_another_binary() {
    let folder = Folder::new();
    let offset = compile(&folder, "program", OTHER_BUILD_ID);
    let reports = [
        frame("program", BUILD_ID, offset),
        frame("lib\\u001b.so", "aa", 1),
    ];
    let reports = with_site(&reports.join(","), "0,1");
    let refused = |arguments: &[&str], reports: &str| {
        let ran = folder.run_with(&[&["symbolize", "-o", "out"], arguments].concat(), reports);
        assert_eq!((ran.code, &*ran.out), (Some(2), ""));
        assert!(!folder.path("out").exists());
        ran.errors
    };
    let program = ["--binary", "program"];
    assert_eq!(
        refused(&program, &reports),
        format!(
            "tracer: program: no frame has its build id, {OTHER_BUILD_ID}: the frames are of \
             program ({BUILD_ID}), lib\\u{{1b}}.so (aa)\n"
        )
    );
    let without = reports.replace(&format!(r#""build_id":"{BUILD_ID}","#), "");
    assert!(refused(&program, &without).contains("program (no build id)"));
    let nothing = format!("tracer: program: no frame has its build id, {OTHER_BUILD_ID}: ");
    assert_eq!(
        refused(&program, &three()),
        format!("{nothing}the reports have no allocation sites\n")
    );
    // Of two binaries, each must be of some use.
    let matching = reports.replace(BUILD_ID, OTHER_BUILD_ID);
    assert_eq!(
        folder
            .run_with(&["symbolize", "--binary", "program"], &matching)
            .code,
        Some(0)
    );
    compile(&folder, "another", BUILD_ID);
    let both = ["--binary", "program", "--binary", "another"];
    assert!(refused(&both, &matching).starts_with("tracer: another: no frame has its build id, "));

    assert_eq!(
        refused(&["--binary", "none"], &reports),
        "tracer: none: No such file or directory (os error 2)\n"
    );
    assert_eq!(
        refused(&["--binary", "program.rs"], &reports),
        "tracer: program.rs: expected a program or library, as an ELF file\n"
    );
    objcopy(
        &folder,
        &[
            "--remove-section",
            ".note.gnu.build-id",
            "program",
            "without",
        ],
    );
    let told = refused(&["--binary", "without"], &reports);
    assert!(
        told.starts_with("tracer: without: it has no build id, "),
        "{told}"
    );
    assert_eq!(
        refused(&program, "{}\n"),
        "tracer: standard input: line 1, column 2: not a report of version 1: missing field `tracer_report`\n"
    );
    assert_eq!(
        refused(&program, ""),
        "tracer: standard input: no reports: expected a line of JSON for each\n"
    );
    let told = refused(&[], &reports);
    assert!(told.contains("--binary <PATH>"), "{told}");
}
