//! The cost of reading reports and adding them up, per call.
//!
//! `tracer hotspots` reads lines and adds them up, without a report if the crate wrote the line. The rivals are
//! that, and the steps by way of a report, to show the share of each.

use std::hint::black_box;

use serde::de::IgnoredAny;
use tracer::hotspots::Hotspots;
use tracer::report::json;
use tracer::{Counting, Report, Trace, call};
use tracer_benches::{Race, each_of};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

fn main() {
    let ten = Sample::of(10);
    let thousand = Sample::of(1_000);
    let mut both = Hotspots::new();
    let (mut lines, mut short_lines) = (Hotspots::new(), Hotspots::new());
    Race::new("a call, in a report of 1,000")
        .timed("added up", |times| thousand.add(times, &thousand.report))
        .timed("added up, read back from JSON", |times| {
            thousand.add(times, &thousand.read_back)
        })
        .timed("parsed and added up", |times| {
            thousand.each(times, || {
                if let Some(report) = thousand.parse() {
                    both.add(&report);
                }
            })
        })
        .timed("a line added up", |times| {
            thousand.each(times, || {
                lines.add_next(&mut json::Lines::new(&thousand.line[..]))
            })
        })
        .timed("parsed", |times| thousand.each(times, || thousand.parse()))
        .timed("passed over by serde_json", |times| {
            thousand.each(times, || {
                serde_json::from_slice::<IgnoredAny>(&thousand.line).is_ok()
            })
        })
        .timed("written as JSON", |times| {
            thousand.each(times, || {
                json::write_line(&thousand.report, std::io::sink())
            })
        })
        .run();
    Race::new("a call, in a report of 10")
        .timed("added up", |times| ten.add(times, &ten.report))
        .timed("added up, read back from JSON", |times| {
            ten.add(times, &ten.read_back)
        })
        .timed("a line added up", |times| {
            ten.each(times, || {
                short_lines.add_next(&mut json::Lines::new(&ten.line[..]))
            })
        })
        .timed("parsed", |times| ten.each(times, || ten.parse()))
        .timed("passed over by serde_json", |times| {
            ten.each(times, || {
                serde_json::from_slice::<IgnoredAny>(&ten.line).is_ok()
            })
        })
        .run();
}

/// A report as it was made, and as it was read back.
struct Sample {
    calls: u32,
    report: Report,
    read_back: Report,
    line: Vec<u8>,
}

impl Sample {
    fn of(calls: u32) -> Self {
        let trace = Trace::with_capacity(usize::try_from(calls).unwrap_or(0));
        let scope = trace.inject();
        request(calls);
        drop(scope);
        let report = trace.report();
        let mut line = Vec::new();
        // Writing into memory does not fail.
        let _ = json::write_line(&report, &mut line);
        let read_back = parse(&line).unwrap_or_else(|| report.clone());
        Self {
            calls,
            report,
            read_back,
            line,
        }
    }

    /// Measures `times` calls, in whole reports.
    fn each<T>(&self, times: u64, mut work: impl FnMut() -> T) -> std::time::Duration {
        each_of(times, self.calls, || black_box(work()))
    }

    fn add(&self, times: u64, report: &Report) -> std::time::Duration {
        let mut hotspots = Hotspots::new();
        self.each(times, || hotspots.add(black_box(report)))
    }

    fn parse(&self) -> Option<Report> {
        parse(&self.line)
    }
}

fn parse(line: &[u8]) -> Option<Report> {
    json::Lines::new(line).next()?.ok()
}

/// A request of `calls` calls of four functions, three deep.
fn request(calls: u32) {
    let _call = call!();
    for number in 0..(calls - 1) / 3 {
        fetch(number);
    }
}

fn fetch(number: u32) {
    let _call = call!("{number}");
    decode();
}

fn decode() {
    let _call = call!();
    store();
}

fn store() {
    let _call = call!();
    drop(black_box(vec![0_u8; 100]));
}
