//! Allocation sites beside those of dhat, which counts the same allocations of the same process.

// It needs lines, which optimised tests have not.
#![cfg(all(target_os = "linux", target_arch = "x86_64", debug_assertions))]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::hint::black_box;

use alloc_counter::{Counting, Site, sites};

const ALLOCATOR_LINE: u32 = line!() + 2;
#[global_allocator]
static ALLOCATOR: Counting<dhat::Alloc> = Counting::new(dhat::Alloc);

#[inline(never)]
fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1; bytes])
}

#[inline(never)]
fn words(text: &str) -> BTreeMap<String, usize> {
    let mut words = BTreeMap::new();
    for word in text.split(' ') {
        *words.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    words
}

const GROWS: u32 = line!() + 5;
#[inline(never)]
fn grow(to: usize) -> Vec<u8> {
    let mut grown = Vec::new();
    for _ in 0..to {
        grown.push(black_box(7));
    }
    grown
}

#[inline(never)]
fn each(number: usize) -> Box<dyn Fn() -> Vec<u8>> {
    Box::new(move || block(black_box(number)))
}

fn work() {
    for size in 1..=100 {
        drop(block(size));
    }
    drop(words(
        &"The quick brown fox Jumps over the lazy Dog ".repeat(9),
    ));
    drop(grow(3000));
    let works: Vec<_> = (0..10).map(each).collect();
    for work in &works {
        drop(work());
    }
    drop(black_box(format!("{}{:?}", 7, "seven")));
}
const FORMATS: u32 = line!() - 2;

/// The lines of this file that lead to an allocation, the innermost first.
type Lines = Vec<u32>;

const FILE: &str = "tests/beside_dhat.rs";

#[derive(Debug, Default, PartialEq)]
struct Figures {
    blocks: u64,
    /// Of blocks that are never resized. A block that is resized has its whole size again in dhat, and only the
    /// growth here.
    bytes: u64,
}

fn here(recorded: &[Site]) -> BTreeMap<Lines, Figures> {
    let mut by_lines: BTreeMap<Lines, Figures> = BTreeMap::new();
    for site in recorded {
        let (mut lines, mut is_of_dhat) = (Vec::new(), false);
        for frame in &site.frames {
            backtrace::resolve((frame - 1) as *mut c_void, |symbol| {
                let file = symbol.filename().and_then(|file| file.to_str());
                if let (Some(line), true) = (symbol.lineno(), file.is_some_and(is_here)) {
                    lines.push(line);
                }
                let name = symbol.name().map(|name| name.to_string());
                is_of_dhat |= name.is_some_and(|name| name.starts_with("dhat::"));
            });
        }
        // What dhat allocates itself is no less counted.
        if !is_of_dhat {
            let figures = by_lines.entry(lines).or_default();
            figures.blocks += site.allocations + site.reallocations;
            figures.bytes += site.bytes_allocated;
        }
    }
    by_lines
}

fn is_here(file: &str) -> bool {
    file.ends_with(FILE)
}

/// Reads dhat's file: <https://valgrind.org/docs/manual/dh-manual.html>.
fn of_dhat(file: &std::path::Path) -> BTreeMap<Lines, Figures> {
    let text = std::fs::read_to_string(file).unwrap();
    let profile: serde_json::Value = serde_json::from_str(&text).unwrap();
    let frames = profile["ftbl"].as_array().unwrap();
    let line = |frame: &serde_json::Value| {
        let frame = frames[usize::try_from(frame.as_u64().unwrap()).unwrap()].as_str();
        // `0x12ab: name (file:line:column)`
        let (_, place) = frame?.strip_suffix(')')?.rsplit_once('(')?;
        let mut parts = place.rsplitn(3, ':');
        let (_, line) = (parts.next()?, parts.next()?);
        is_here(parts.next()?).then(|| line.parse::<u32>().unwrap())
    };
    let mut by_lines: BTreeMap<Lines, Figures> = BTreeMap::new();
    for point in profile["pps"].as_array().unwrap() {
        let lines = point["fs"].as_array().unwrap().iter().filter_map(line);
        let figures = by_lines.entry(lines.collect()).or_default();
        figures.blocks += point["tbk"].as_u64().unwrap();
        figures.bytes += point["tb"].as_u64().unwrap();
    }
    by_lines
}

/// Leaves out the lines of the allocator and of the test, and what was allocated outside of `work`.
fn of_work(all: BTreeMap<Lines, Figures>) -> BTreeMap<Lines, Figures> {
    let work = ALLOCATOR_LINE + 1..=FORMATS;
    let lines = all.into_iter().map(|(mut lines, figures)| {
        lines.retain(|line| work.contains(line));
        (lines, figures)
    });
    lines.filter(|(lines, _)| !lines.is_empty()).collect()
}

#[test]
fn the_same_places_with_the_same_counts() {
    // Both know the names of functions before.
    work();
    drop(sites(work));
    let file = std::env::temp_dir().join(format!("tracer-dhat-{}.json", std::process::id()));
    let profiler = dhat::Profiler::builder();
    let profiler = profiler.file_name(&file).trim_backtraces(None).build();
    let recorded = sites(work);
    drop(profiler);
    let (ours, mut dhats) = (here(&recorded.sites.unwrap()), of_dhat(&file));
    std::fs::remove_file(&file).unwrap();
    // What the recording allocates comes from the allocator itself, and is in dhat's figures only.
    dhats.retain(|lines, _| lines.get(1) != Some(&ALLOCATOR_LINE));
    let (mut ours, mut dhats) = (of_work(ours), of_work(dhats));
    for figures in [&mut ours, &mut dhats] {
        for (lines, figures) in figures.iter_mut() {
            if [GROWS, FORMATS].contains(&lines[0]) {
                figures.bytes = 0;
            }
        }
    }
    assert_eq!(ours, dhats);
    assert_eq!(ours.len(), 8, "{ours:#?}");
}
