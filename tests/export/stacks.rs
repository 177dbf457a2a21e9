//! Folded stacks of hotspots.

use std::io;

use tracer::hotspots::{By, Hotspots};
use tracer::{Report, Trace, call};

use crate::common::allocate;

fn leaf(count: u64) {
    let _call = call!();
    allocate(count);
}

fn first(count: u64) {
    let _call = call!();
    allocate(3);
    leaf(count);
    leaf(count);
}

fn second() {
    let _call = call!();
    leaf(100);
}

pub(crate) fn traced(count: u64) -> Report {
    let trace = Trace::new();
    let scope = trace.inject();
    first(count);
    second();
    drop(scope);
    trace.report()
}

pub(crate) fn hotspots(reports: &[Report]) -> Hotspots {
    let mut hotspots = Hotspots::new();
    for report in reports {
        hotspots.add(report);
    }
    hotspots
}

const HOSTILE: &str = "a;b\n\t<script>alert(\"1\")</script>&\0\u{1b}[2J 7 8";

/// Returns a report whose first function has a hostile name.
pub(crate) fn hostile() -> Report {
    let mut report = traced(5);
    report.calls[0].name = HOSTILE.into();
    report
}

fn stacks(hotspots: &Hotspots, by: By) -> String {
    let mut stacks = Vec::new();
    hotspots.write_stacks(by, &mut stacks).unwrap();
    String::from_utf8(stacks).unwrap()
}

#[test]
fn stacks_by_self_and_by_total() {
    let hotspots = hotspots(&[traced(5), traced(10)]);
    assert_eq!(
        stacks(&hotspots, By::SelfAllocations),
        "export::stacks::first 6\n\
         export::stacks::first;export::stacks::leaf 30\n\
         export::stacks::second;export::stacks::leaf 200\n"
    );
    assert_eq!(
        stacks(&hotspots, By::Bytes),
        "export::stacks::first 36\n\
         export::stacks::first;export::stacks::leaf 30\n\
         export::stacks::second 200\n\
         export::stacks::second;export::stacks::leaf 200\n"
    );
    assert_eq!(stacks(&hotspots, By::Failures), "");
}

fn deep(levels: u64) {
    let _call = call!();
    allocate(1);
    if levels > 1 {
        deep(levels - 1);
    }
}

/// A path has all of its names, so the size would grow with the square of the depth.
#[test]
fn deep_paths_are_cut_and_no_figure_is_lost() {
    let trace = Trace::new();
    let scope = trace.inject();
    deep(700);
    drop(scope);
    let hotspots = hotspots(&[trace.report()]);
    let last_of = |by: By, lines: usize, sum: u64| {
        let stacks = stacks(&hotspots, by);
        let figures: Vec<u64> = stacks
            .lines()
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect();
        assert_eq!((figures.len(), figures.iter().sum()), (lines, sum), "{by}");
        let deepest = stacks.lines().last().unwrap();
        assert_eq!(deepest.matches("::deep").count(), lines);
        figures[lines - 1]
    };
    assert_eq!(last_of(By::SelfAllocations, 500, 700), 201);
    assert_eq!(last_of(By::Calls, 500, 700), 201);
    // A function that calls itself has all of it once, at the outermost call.
    assert_eq!(last_of(By::Allocations, 1, 700), 700);
}

#[test]
fn a_hostile_name_is_one_frame_of_one_line() {
    let stacks = stacks(&hotspots(&[hostile()]), By::SelfAllocations);
    assert_eq!(
        stacks,
        "export::stacks::a\\u{3b}b\\n\\t<script>alert(\"1\")</script>&\\0\\u{1b}[2J\\u{20}7\\u{20}8 3\n\
         export::stacks::a\\u{3b}b\\n\\t<script>alert(\"1\")</script>&\\0\\u{1b}[2J\\u{20}7\\u{20}8;export::stacks::leaf 10\n\
         export::stacks::second;export::stacks::leaf 100\n"
    );
}

#[test]
fn a_failed_write_is_an_error() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("no space left"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let hotspots = hotspots(&[traced(5)]);
    let error = hotspots.write_stacks(By::Bytes, Full).unwrap_err();
    assert_eq!(error.to_string(), "no space left");
    let error = hotspots.write_flamegraph(By::Bytes, Full).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the flame graph could not be written: no space left"
    );
}
