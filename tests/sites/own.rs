//! Addresses of this process.

use std::fs;
use std::hint::black_box;
use std::ops::RangeInclusive;
use std::path::Path;

use tracer::sites::{Frame, Module, Symbols, Unresolved, frames_in_file};

use super::programs::Program;
use super::replaced::{build_id, bytes};

/// Returns the module of the running test. It has no build id: that the file is the right one is known
/// from `/proc/self/exe`.
pub(crate) fn running() -> Module {
    let path = fs::read_link("/proc/self/exe").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let name = path.to_str().unwrap();
    let addresses: Vec<usize> = maps
        .lines()
        .filter(|line| line.ends_with(name))
        .flat_map(|line| line.split(' ').next().unwrap().split('-'))
        .map(|address| usize::from_str_radix(address, 16).unwrap())
        .collect();
    let (start, end) = (addresses[0], *addresses.last().unwrap());
    Module {
        path,
        range: start..end,
        // The file has its first mapping at 0.
        bias: start,
        build_id: Vec::new(),
    }
}

/// Returns an address that a call made by the first instruction of a function would return to.
pub(crate) fn in_function(function: *const ()) -> usize {
    function as usize + 1
}

/// Asserts that the frames are of an address in this function, between these lines of a file whose path
/// ends so. What is inlined into the function comes first.
pub(crate) fn assert_in(frames: &[Frame], function: &str, file: &str, lines: RangeInclusive<u32>) {
    let frame = frames.last().unwrap();
    // One of the compiler's two ways to mangle names tells for which types a function was compiled.
    let name = frame.function.as_deref().unwrap().split("::<").next();
    assert_eq!(name, Some(function));
    assert!(
        Path::new(frame.file.as_deref().unwrap()).ends_with(file),
        "{frame:?}"
    );
    assert!(lines.contains(&frame.line.unwrap()), "{lines:?}: {frame:?}");
    assert_eq!(frame.unresolved, None);
}

/// Asserts that the address is in [`plain`].
pub(crate) fn assert_plain(frames: &[Frame]) {
    let line = plain();
    assert_in(
        frames,
        "sites::own::plain",
        "tests/sites/own.rs",
        line - 1..=line,
    );
}

#[inline(never)]
pub(crate) fn plain() -> u32 {
    black_box(line!())
}

#[inline(never)]
fn generic<T>(value: T) -> (u32, T) {
    black_box((line!(), value))
}

#[test]
fn addresses_of_the_running_program_have_functions_and_lines() {
    let mut symbols = Symbols::new(vec![running()]);
    let addresses = [
        generic::<u8> as *const (),
        std::env::current_dir as *const (),
        plain as *const (),
        generic::<u8> as *const (),
    ]
    .map(in_function);
    let assert_generic = |frames: &[Frame]| {
        let (line, _) = generic(1_u8);
        assert_in(
            frames,
            "sites::own::generic",
            "tests/sites/own.rs",
            line - 1..=line,
        );
    };
    for _ in 0..2 {
        let found = symbols.frames(&addresses);
        assert_eq!(found.len(), 4);
        assert_generic(&found[0]);
        assert_in(
            &found[1],
            "std::env::current_dir",
            "library/std/src/env.rs",
            1..=u32::MAX,
        );
        assert_plain(&found[2]);
        assert_generic(&found[3]);
    }
}

#[test]
fn addresses_of_several_modules_come_back_in_their_order() {
    let program = Program::compiled(&["-g"]);
    let build_id = bytes(&build_id(&program.path));
    let at = [0x1000_0000, 0x3000_0000];
    let load = |start: usize| Module {
        path: program.path.clone(),
        range: start..start + 0x1000_0000,
        bias: start,
        build_id: build_id.clone(),
    };
    let mut symbols = Symbols::new(vec![load(at[1]), running(), load(at[0])]);
    let addresses: Vec<usize> = program
        .offsets
        .iter()
        .flat_map(|offset| {
            let offset = usize::try_from(*offset).unwrap();
            [
                at[1] + offset + 1,
                in_function(plain as *const ()),
                at[0] + offset + 1,
            ]
        })
        .collect();
    let expected = frames_in_file(&program.path, &build_id, &program.offsets);
    let found = symbols.frames(&addresses);
    assert_eq!(found.len(), 3 * expected.len());
    for (found, expected) in found.chunks(3).zip(&expected) {
        assert_eq!((&found[0], &found[2]), (expected, expected));
        assert_plain(&found[1]);
    }
}

#[test]
fn an_address_between_the_modules_is_in_none() {
    let mut symbols = Symbols::new(vec![running()]);
    // The call before the first byte of the module is not in the module.
    for address in [0, 1, running().range.start, usize::MAX] {
        let frames = &symbols.frames(&[address])[0];
        let [frame] = &**frames else {
            panic!("expected a single frame: {frames:?}");
        };
        assert_eq!(frame.unresolved, Some(Unresolved::UnknownModule));
        assert_eq!(frame.offset, address.saturating_sub(1) as u64);
        assert_eq!((&frame.module, &frame.function), (&None, &None));
    }
}
