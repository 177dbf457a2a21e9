//! Records the sites of some work, and checks that each has its frames: a program for `.ci/sites`, which
//! compiles it in several ways.

use std::hint::black_box;
use std::process::ExitCode;

use alloc_counter::{Counting, Site, sites};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

#[inline(never)]
fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1; bytes])
}

#[inline(never)]
fn twice() -> [Vec<u8>; 2] {
    black_box([block(1000), block(2000)])
}

/// Calls back from C code, whose frames are between.
#[inline(never)]
fn from_c() {
    extern "C" fn compare(_: *const std::ffi::c_void, _: *const std::ffi::c_void) -> i32 {
        drop(block(3000));
        0
    }
    let mut numbers = black_box([2_u8, 1]);
    // SAFETY: it sorts as many bytes as there are, and the function to compare them reads nothing.
    unsafe {
        libc::qsort(
            numbers.as_mut_ptr().cast(),
            numbers.len(),
            1,
            Some(compare as extern "C" fn(_, _) -> i32 as _),
        );
    }
    black_box(numbers);
}

/// Whether a frame is in a function, whose code has less than 400 bytes.
fn is_in(frame: usize, function: Code) -> bool {
    (1..400).contains(&frame.wrapping_sub(function.addr()))
}

fn work() {
    drop(black_box(twice()));
    from_c();
}

/// The address of a function.
type Code = *const ();

fn is_right(site: &Site, bytes: u64, callers: &[Code]) -> bool {
    let are_there = || {
        let mut frames = site.frames.iter();
        let mut next = |caller: &Code| frames.any(|frame| is_in(*frame, *caller));
        callers.iter().all(&mut next)
    };
    site.is_whole && site.bytes_allocated == bytes && site.allocations == 1 && are_there()
}

fn main() -> ExitCode {
    let recorded = sites(work);
    let sites = recorded.sites.unwrap_or_default();
    let (block, twice, from_c) = (block as Code, twice as Code, from_c as Code);
    let expected = [
        (3000, [block, from_c]),
        (2000, [block, twice]),
        (1000, [block, twice]),
    ];
    let are_right = sites.len() == expected.len() && { sites.iter().zip(expected) }
        .all(|(site, (bytes, callers))| is_right(site, bytes, &callers));
    if are_right {
        println!("all sites have their frames");
        ExitCode::SUCCESS
    } else {
        eprintln!("block at {block:?}, twice at {twice:?}, from_c at {from_c:?}");
        eprintln!("{sites:#x?}");
        ExitCode::FAILURE
    }
}
