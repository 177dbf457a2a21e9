//! Profiles for pprof, read by Go's own `pprof`.

use std::hint::black_box;
use std::process::Command;

use tracer::alloc::Sites;
use tracer::export::Format;
use tracer::hotspots::Hotspots;
use tracer::{Report, Trace, call};

fn leaf(count: u32) {
    let _call = call!();
    for _ in 0..count {
        drop(black_box(Box::new(black_box([0_u8; 100]))));
    }
}

fn first() {
    let _call = call!();
    leaf(5);
    leaf(10);
}

fn second() {
    let _call = call!();
    drop(black_box(vec![0_u8; 1000]));
    leaf(100);
}

fn traced() -> Report {
    let trace = Trace::new();
    let scope = trace.inject();
    first();
    second();
    drop(scope);
    trace.report()
}

fn profile(report: &Report) -> Vec<u8> {
    let mut hotspots = Hotspots::new();
    hotspots.add(report);
    hotspots.add(report);
    let mut profile = Vec::new();
    hotspots.write_pprof(&mut profile).unwrap();
    profile
}

/// Returns the output of `go tool pprof`, or `None` if Go is not installed. CI has Go.
fn pprof(profile: &[u8], arguments: &[&str]) -> Option<Vec<String>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), profile).unwrap();
    let output = Command::new("go")
        .args(["tool", "pprof"])
        .args(arguments)
        .arg(file.path())
        .output()
        .ok()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(text.lines().map(words).collect())
}

#[test]
fn pprof_shows_what_each_function_allocated() {
    let profile = profile(&traced());
    let Some(lines) = pprof(&profile, &["-top", "-unit=B"]) else {
        return;
    };
    assert_eq!(
        lines,
        [
            "tracer: 2 reports",
            "Type: bytes",
            "Showing nodes accounting for 25000B, 100% of 25000B total",
            "flat flat% sum% cum cum%",
            "23000B 92.00% 92.00% 23000B 92.00% export::pprof::leaf",
            "2000B 8.00% 100% 22000B 88.00% export::pprof::second",
            "0 0% 100% 3000B 12.00% export::pprof::first",
        ]
    );
    let lines = pprof(&profile, &["-top", "-sample_index=allocations"]).unwrap();
    assert_eq!(lines[4], "230 99.14% 99.14% 230 99.14% export::pprof::leaf");
    let lines = pprof(&profile, &["-top", "-sample_index=calls"]).unwrap();
    assert_eq!(lines[4], "6 60.00% 60.00% 6 60.00% export::pprof::leaf");
}

#[test]
fn pprof_finds_files_lines_and_paths() {
    let report = traced();
    let Some(lines) = pprof(&profile(&report), &["-raw"]) else {
        return;
    };
    for (place, call) in [0, 1, 3]
        .map(|place| &report.calls[place])
        .iter()
        .enumerate()
    {
        let (name, line) = (&call.name, call.line);
        let function = format!(
            "{}: 0x0 M=1 export::pprof::{name} tests/export/pprof.rs:{line} s={line}",
            place + 1
        );
        assert!(lines.contains(&function), "{function} in {lines:#?}");
    }
    let times = |places: &[usize]| {
        let sum: u128 = places
            .iter()
            .map(|place| report.calls[*place].wall.as_nanos())
            .sum();
        2 * sum
    };
    let leaves = times(&[1, 2]);
    assert!(
        lines.contains(&format!("4 {leaves} {leaves} 30 3000: 2 1")),
        "{lines:#?}"
    );
    let types = "calls/count time/nanoseconds busy/nanoseconds allocations/count bytes/bytes[dflt]";
    assert_eq!(lines[4], types);
    // The output is deterministic.
    assert_eq!(profile(&report), profile(&report));
}

const LINES: u32 = line!() + 5;
#[inline(never)]
fn lines() {
    let _call = call!();
    for _ in 0..3 {
        drop(black_box(vec![7_u8; 100]));
        drop(black_box(vec![7_u8; 20]));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn pprof_lists_the_lines_that_allocate() {
    let trace = Trace::builder().sites(Sites::exact()).build();
    let scope = trace.inject();
    lines();
    drop(scope);
    let mut profile = Vec::new();
    let format: Format = "pprof".parse().unwrap();
    format
        .write([trace.report().resolved()], &mut profile)
        .unwrap();
    let Some(listed) = pprof(&profile, &["-list=pprof::lines$", "-unit=B"]) else {
        return;
    };
    let allocating =
        { listed.iter() }.filter(|line| line.contains("vec!") && !line.starts_with('.'));
    let expected = [
        format!("300B 300B {LINES}: drop(black_box(vec![7_u8; 100]));"),
        format!("60B 60B {}: drop(black_box(vec![7_u8; 20]));", LINES + 1),
    ];
    assert_eq!(
        allocating.cloned().collect::<Vec<_>>(),
        expected,
        "{listed:#?}"
    );
}

#[test]
fn hostile_names_are_one_line() {
    let mut report = traced();
    report.calls[0].name = "a;b\n\t<script>\"\0\u{1b}[2J".into();
    report.calls[0].file = "src/\n.rs".into();
    // pprof takes `<>` for template arguments: it shows a name without them, and then the whole name.
    let Some(lines) = pprof(&profile(&report), &["-raw"]) else {
        return;
    };
    let line = report.calls[0].line;
    let expected = format!(
        "1: 0x0 M=1 export::pprof::a;b\\n\\t\"\\0\\u{{1b}}[2J src/\\n.rs:{line} s={line}\
         (export::pprof::a;b\\n\\t<script>\"\\0\\u{{1b}}[2J)"
    );
    assert!(lines.contains(&expected), "{lines:#?}");
}

#[test]
fn a_figure_that_was_not_counted_is_not_the_first_sample_type() {
    let mut report = traced();
    report.total = None;
    for call in &mut report.calls {
        (call.total, call.self_counts, call.peak_bytes) = (None, None, None);
    }
    let mut hotspots = Hotspots::new();
    hotspots.add(&report);
    let mut profile = Vec::new();
    hotspots.write_pprof(&mut profile).unwrap();
    let Some(lines) = pprof(&profile, &["-top"]) else {
        return;
    };
    assert_eq!(lines[..2], ["tracer: 1 report", "Type: time"]);
}

#[test]
fn of_no_reports() {
    let mut profile = Vec::new();
    Hotspots::new().write_pprof(&mut profile).unwrap();
    let Some(lines) = pprof(&profile, &["-top", "-unit=B"]) else {
        return;
    };
    assert_eq!(lines[..2], ["tracer: 0 reports", "Type: bytes"]);
}
