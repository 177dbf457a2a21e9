//! Files that are no longer those that were loaded.

use std::fs;
use std::path::Path;
use std::process::Command;

use tracer::sites::{Frame, Module, Symbols, Unresolved, frames_in_file};

use super::own::{assert_plain, in_function, plain, running};
use super::programs::{Program, compile};

/// Returns a build id as `readelf` shows it.
pub(crate) fn build_id(path: &Path) -> String {
    let output = Command::new("readelf")
        .env("LC_ALL", "C")
        .arg("-n")
        .arg(path)
        .output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let (_, id) = text.split_once("Build ID: ").unwrap();
    id.lines().next().unwrap().to_owned()
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    let pairs = digits.chunks(2).map(String::from_iter);
    pairs
        .map(|pair| u8::from_str_radix(&pair, 16).unwrap())
        .collect()
}

/// Where the tests pretend that a program is loaded.
const LOADED_AT: usize = 0x7000_0000;

fn loaded(path: &Path, build_id: Vec<u8>) -> Symbols {
    Symbols::new(vec![Module {
        path: path.to_owned(),
        range: LOADED_AT..2 * LOADED_AT,
        bias: LOADED_AT,
        build_id,
    }])
}

fn return_address(program: &Program) -> usize {
    LOADED_AT + usize::try_from(program.offsets[0]).unwrap() + 1
}

/// Asserts that only the place in the module is known.
fn assert_unresolved(frames: &[Frame], program: &Program, build_id: &str, why: Unresolved) {
    let [frame] = frames else {
        panic!("expected a single frame: {frames:?}");
    };
    assert_eq!(frame.unresolved, Some(why));
    assert_eq!(frame.offset, program.offsets[0]);
    assert_eq!(frame.module.as_deref(), Some("program"));
    assert_eq!(
        frame.build_id.as_deref(),
        Some(build_id).filter(|id| !id.is_empty())
    );
    assert_eq!(
        (&frame.function, &frame.file, frame.line),
        (&None, &None, None)
    );
}

#[test]
fn no_line_is_read_from_a_file_with_another_build_id() {
    let program = Program::compiled(&["-g"]);
    let id = build_id(&program.path);
    let mut before = loaded(&program.path, bytes(&id));
    let address = return_address(&program);
    let found = before.frames(&[address]);
    assert_eq!(found[0][1].function.as_deref(), Some("program::inlined"));
    assert_eq!(found[0][1].line, Some(25));
    assert_eq!(found[0][1].build_id.as_deref(), Some(&*id));

    fs::remove_file(&program.path).unwrap();
    compile(&program.path, &["-g", "-O"]);
    assert_ne!(build_id(&program.path), id);
    let mut after = loaded(&program.path, bytes(&id));
    for _ in 0..2 {
        assert_unresolved(
            &after.frames(&[address])[0],
            &program,
            &id,
            Unresolved::Replaced,
        );
    }
    let elsewhere = frames_in_file(&program.path, &bytes(&id), &program.offsets[..1]);
    assert_unresolved(&elsewhere[0], &program, &id, Unresolved::Replaced);
    // What was read before the file was replaced is still right.
    assert_eq!(before.frames(&[address]), found);
}

#[test]
fn a_file_that_is_no_program_is_missing() {
    let program = Program::compiled(&["-g"]);
    let id = build_id(&program.path);
    let frames = || loaded(&program.path, bytes(&id)).frames(&[return_address(&program)]);
    let assert_missing = || assert_unresolved(&frames()[0], &program, &id, Unresolved::Missing);

    let cut = fs::read(&program.path).unwrap()[..1000].to_owned();
    fs::remove_file(&program.path).unwrap();
    assert_missing();
    for content in [&b""[..], b"no program", b"\x7fELF", &cut] {
        fs::write(&program.path, content).unwrap();
        assert_missing();
    }
    fs::remove_file(&program.path).unwrap();
    fs::create_dir(&program.path).unwrap();
    assert_missing();
    fs::remove_dir(&program.path).unwrap();
    // Opening it would wait for a writer.
    let made = Command::new("mkfifo").arg(&program.path).status().unwrap();
    assert!(made.success());
    assert_missing();
}

#[test]
fn a_library_without_a_build_id_has_offsets() {
    let program = Program::compiled(&["-g", "-Clink-arg=-Wl,--build-id=none"]);
    let frames = loaded(&program.path, Vec::new()).frames(&[return_address(&program)]);
    assert_unresolved(&frames[0], &program, "", Unresolved::Unverified);
    // A program that was loaded with a build id is another one.
    let frames = loaded(&program.path, vec![1]).frames(&[return_address(&program)]);
    assert_unresolved(&frames[0], &program, "01", Unresolved::Replaced);
}

/// Set in the process that replaces its own file.
const IS_CHILD: &str = "TRACER_TEST_REPLACES_ITSELF";

#[test]
fn the_running_program_has_lines_after_its_file_was_replaced() {
    if std::env::var_os(IS_CHILD).is_some() {
        return replace_own_file();
    }
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    let copy = folder.path().join("running");
    fs::hard_link(own, &copy).unwrap();
    let name = "replaced::the_running_program_has_lines_after_its_file_was_replaced";
    let mut command = Command::new(copy);
    let output = command
        .args(["--exact", name])
        .env(IS_CHILD, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:#?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 passed"), "{text}");
}

fn replace_own_file() {
    let before = running();
    let program = Program::compiled(&["-g"]);
    fs::remove_file(&before.path).unwrap();
    fs::copy(&program.path, &before.path).unwrap();
    let after = running();
    assert!(after.path.to_str().unwrap().ends_with("running (deleted)"));
    for module in [before, after] {
        let frames = Symbols::new(vec![module]).frames(&[in_function(plain as *const ())]);
        assert_plain(&frames[0]);
        assert_eq!(frames[0][0].module.as_deref(), Some("running"));
    }
}
