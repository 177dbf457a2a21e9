//! The hunt in the documents: two lines allocate the most, and the fix gains what they say, in every run.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Output;

use tracer::hotspots::{By, Diff, Hotspots};
use tracer::report::json::Lines;

use crate::process::{example, stderr, stdout};

fn run(form: &str, arguments: &[&str]) -> Output {
    let mut command = example("hotspots");
    let output = command.args(arguments).env("TRACER_HUNT", form).output();
    output.expect("the example runs")
}

/// Returns the lines of the table that are in the example, without the path before it.
fn lines_of_example(table: &str) -> Vec<String> {
    let lines = table.lines().filter_map(|line| {
        let (figures, place) = line.split_once("examples/hotspots/")?;
        // The program's path has any length.
        if place.starts_with("main.rs:19") {
            return None;
        }
        let figures = figures.trim_end_matches(|it| it != ' ');
        let figures: Vec<_> = figures.split_whitespace().collect();
        Some(format!("{} {place}", figures.join(" ")))
    });
    lines.collect()
}

#[test]
fn two_lines_allocate_the_most() {
    let output = run("table", &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stdout(&output), "1479 words\n");
    let table = stderr(&output);
    let summary = "1 report, 1 call, 18,079 allocations (358 KiB)\n";
    assert!(table.starts_with(summary), "{table}");
    let expected = [
        "▸ post 8,037 44.5% 8,037 143 KiB index.rs:50",
        "▸ words::{{closure}} 7,835 43.3% 17,714 33.3 KiB index.rs:72",
        "▸ post 1,842 10.2% 1,842 66.0 KiB index.rs:58",
        "▸ add 5 0.0% 5 1.50 KiB index.rs:35",
        "▸ main 1 0.0% 1 1.00 KiB main.rs:28",
        "hunt 0 0.0% 18,079 0 B main.rs:17",
    ];
    assert_eq!(lines_of_example(table), expected);
}

fn hotspots(file: &Path) -> Hotspots {
    let mut hotspots = Hotspots::with_sites();
    for report in Lines::new(BufReader::new(File::open(file).unwrap())) {
        hotspots.add(&report.unwrap());
    }
    hotspots
}

/// Runs a version, and returns its hotspots.
fn measured(name: &str, arguments: &[&str]) -> Hotspots {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let output = run(&format!("json={}", file.display()), arguments);
    assert!(output.status.success(), "{output:?}");
    assert_eq!((stdout(&output), stderr(&output)), ("1479 words\n", ""));
    hotspots(&file)
}

#[test]
fn the_fix_gains_what_the_documents_say() {
    let before = measured("before.jsonl", &[]);
    let after = measured("after.jsonl", &["fixed"]);
    let diff = Diff::between(&before, &after);
    let changes = diff.functions(By::SelfAllocations);
    let figure = |totals| By::SelfAllocations.of(totals);
    let mut changes: Vec<_> = { changes.iter() }
        .map(|change| {
            let (before, after) = (change.before.as_ref(), change.after.as_ref());
            let name = change.frame().name;
            (name, before.map_or(0, figure), after.map_or(0, figure))
        })
        // The argument is one of `main`'s.
        .filter(|(name, before, after)| before != after && *name != "main")
        .collect();
    changes.sort_unstable();
    let expected = [
        ("post", 9_879, 3_523),
        ("words", 0, 111),
        ("words::{{closure}}", 7_835, 0),
    ];
    assert_eq!(changes, expected);
}

#[test]
fn counts_are_the_same_in_every_run() {
    let before = measured("once.jsonl", &[]);
    let again = measured("twice.jsonl", &[]);
    let rules = ["allocations > +0", "bytes > +0", "calls > +0", "peak > +0"];
    let rules = rules.map(|rule| rule.parse().unwrap());
    assert_eq!(Diff::between(&before, &again).breaches(&rules), []);
    assert_eq!(Diff::between(&again, &before).breaches(&rules), []);
}

#[test]
fn a_flame_graph_goes_down_to_the_lines() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hunt.svg");
    let output = run(&format!("flamegraph={}", file.display()), &[]);
    assert_eq!((stdout(&output), stderr(&output)), ("1479 words\n", ""));
    let picture = std::fs::read_to_string(&file).unwrap();
    let bar = "<title>hotspots::index::words::{{closure}}:72 (17,714 allocations, 97.98%)</title>";
    assert!(picture.contains(bar), "{picture}");
}

#[test]
fn bad_values_are_named_and_nothing_is_lost() {
    let output = run("csv=x", &[]);
    let (error, table) = stderr(&output).split_once('\n').unwrap();
    let start = "tracer: hunt: TRACER_HUNT=`csv=x`: expected `table`, `off`, `text=FILE`";
    assert!(error.starts_with(start), "{error}");
    assert!(table.contains("▸ post"), "{table}");
    assert_eq!(stdout(&output), "1479 words\n");

    let output = run("json=/nonexistent/a\nb.jsonl", &[]);
    let (error, table) = stderr(&output).split_once('\n').unwrap();
    let start = r"tracer: hunt: /nonexistent/a\nb.jsonl: can't be written: No such file";
    assert!(error.starts_with(start), "{error}");
    assert!(table.contains("▸ post"), "{table}");
    assert!(output.status.success(), "{output:?}");

    let output = run("off", &[]);
    assert_eq!((stdout(&output), stderr(&output)), ("1479 words\n", ""));
}
