//! Differences between two sets of reports, and rules that limit them.

use std::hint::black_box;
use std::time::Duration;

use proptest::prelude::*;
use tracer::hotspots::{By, Diff, Hotspots, Rule};
use tracer::{Report, Trace, call};

fn allocate(count: u64) {
    for _ in 0..count {
        drop(black_box(vec![1_u8; black_box(100)]));
    }
}

fn leaf(count: u64) {
    let _call = call!();
    allocate(count);
}

fn parse(count: u64) {
    let _call = call!();
    leaf(count);
}

fn store(count: u64) {
    let _call = call!();
    leaf(count);
    allocate(5);
}

fn old() {
    let _call = call!();
    allocate(7);
}

fn new() {
    let _call = call!();
    allocate(9);
}

/// Returns a report of `work`, with places and times that are the same in every run.
fn traced(work: impl FnOnce()) -> Report {
    let trace = Trace::new();
    let scope = trace.inject();
    work();
    drop(scope);
    let mut report = trace.report();
    for (place, call) in report.calls.iter_mut().enumerate() {
        call.file = "src/orders.rs".into();
        call.line = 10 + u32::try_from(place).unwrap();
        if &*call.name == "leaf" {
            call.line = 1;
        }
        call.start = Duration::ZERO;
        call.wall = Duration::from_micros(10);
        (call.busy, call.self_busy, call.self_wall) = (call.wall, call.wall, call.wall);
    }
    report
}

fn sum(reports: &[Report]) -> Hotspots {
    let mut hotspots = Hotspots::new();
    for report in reports {
        hotspots.add(report);
    }
    hotspots
}

fn before() -> Report {
    traced(|| {
        parse(41);
        store(20);
        old();
    })
}

fn after() -> Report {
    traced(|| {
        parse(57);
        store(10);
        new();
    })
}

fn breaches(before: &Hotspots, after: &Hotspots, rules: &[&str]) -> Vec<String> {
    let rules: Vec<Rule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let breaches = Diff::between(before, after).breaches(&rules);
    breaches.iter().map(ToString::to_string).collect()
}

#[test]
fn a_table_of_what_has_changed() {
    let (before, after) = (sum(&[before()]), sum(&[after()]));
    assert_eq!(
        Diff::between(&before, &after).to_string(),
        "\
1 report before, 1 after

function  allocations ▼   growth  before  after  calls      bytes    peak      time  self-time        at
──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
parse               +16   +39.0%      41     57      =  +1.56 KiB       =         =          =        src/orders.rs:10
store               -10   -40.0%      25     15      =   -1,000 B       =         =          =        src/orders.rs:12
new                  +9                0      9     +1     +900 B  +100 B  +10.0 µs   +10.0 µs  new   src/orders.rs:14
old                  -7  -100.0%       7      0     -1     -700 B  -100 B  -10.0 µs   -10.0 µs  gone  src/orders.rs:14
leaf                 +6    +9.8%      61     67      =     +600 B       =         =          =        src/orders.rs:1

path          allocations ▼   growth  before  after  calls      bytes    peak      time        at
───────────────────────────────────────────────────────────────────────────────────────────────────────────────
parse                   +16   +39.0%      41     57      =  +1.56 KiB       =         =        src/orders.rs:10
parse > leaf            +16   +39.0%      41     57      =  +1.56 KiB       =         =        src/orders.rs:1
store                   -10   -40.0%      25     15      =   -1,000 B       =         =        src/orders.rs:12
store > leaf            -10   -50.0%      20     10      =   -1,000 B       =         =        src/orders.rs:1
new                      +9                0      9     +1     +900 B  +100 B  +10.0 µs  new   src/orders.rs:14
old                      -7  -100.0%       7      0     -1     -700 B  -100 B  -10.0 µs  gone  src/orders.rs:14
"
    );
}

#[test]
fn functions_of_one_name_are_told_apart_by_their_modules() {
    let report = |counts: [u64; 2]| {
        let mut report = traced(|| {
            leaf(counts[0]);
            leaf(counts[1]);
        });
        for (call, module) in report.calls.iter_mut().zip(["shop::users", "shop::orders"]) {
            call.module = module.into();
        }
        report
    };
    let (before, after) = (sum(&[report([1, 2])]), sum(&[report([3, 7])]));
    let table = Diff::between(&before, &after).table().width(40).to_string();
    let names: Vec<_> = table
        .lines()
        .skip(4)
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(names, ["orders::leaf", "users::leaf"]);
    assert_eq!(
        breaches(&before, &after, &["allocations > +2"]),
        [
            "all together: allocations 3 -> 10 (+7, +233.3%), allowed +2",
            "orders::leaf (src/orders.rs:1): allocations 2 -> 7 (+5, +250.0%), allowed +2",
        ]
    );
}

#[test]
fn the_most_changed_and_the_unchanged() {
    let (before, after) = (sum(&[before()]), sum(&[after()]));
    let diff = Diff::between(&before, &after);
    assert_eq!(
        diff.table().by(By::SelfBytes).top(1).width(70).to_string(),
        "\
1 report before, 1 after

function  self-bytes ▼  growth  before  after  calls  allocations
──────────────────────────────────────────────────────────────────────
new             +900 B             0 B  900 B     +1           +9  new

2 more functions that changed
2 functions with the same self-bytes as before

path          self-bytes ▼  growth    before     after  allocations
───────────────────────────────────────────────────────────────────
parse > leaf     +1.56 KiB  +39.0%  4.00 KiB  5.57 KiB          +16

3 more paths that changed
2 paths with the same self-bytes as before
"
    );
    let markdown = diff.table().top(1).markdown().to_string();
    assert_eq!(
        markdown.lines().take(5).collect::<Vec<_>>(),
        [
            "1 report before, 1 after",
            "",
            "| function | allocations ▼ | growth | before | after | bytes | at |",
            "|---|--:|--:|--:|--:|--:|---|",
            "| `parse` | +16 | +39.0% | 41 | 57 | +1.56 KiB | `src/orders.rs:10` |",
        ]
    );
}

#[test]
fn equal_reports_have_no_changes() {
    let (before, again) = (sum(&[before()]), sum(&[before()]));
    let diff = Diff::between(&before, &again);
    assert_eq!(
        diff.to_string(),
        "1 report before, 1 after\n\n4 functions with the same allocations as before\n"
    );
    let rules = [
        "allocations > +0",
        "bytes > +0%",
        "peak > +0",
        "calls > +0",
        "time > +0",
    ];
    assert_eq!(breaches(&before, &again, &rules), [""; 0]);
}

#[test]
fn a_function_that_has_moved_is_the_same() {
    let mut moved = before();
    for call in &mut moved.calls {
        call.line += 100;
        call.file = "src/elsewhere.rs".into();
    }
    let (before, after) = (sum(&[before()]), sum(&[moved]));
    let diff = Diff::between(&before, &after);
    let changes = diff.functions(By::Allocations);
    assert!(changes.iter().all(|it| it.before == it.after), "{diff}");
    assert_eq!(changes[0].frames[0].file, "src/elsewhere.rs");
}

#[test]
fn rules_name_what_breaks_them() {
    let (before, after) = (sum(&[before()]), sum(&[after()]));
    let rules = [
        "allocations > +0",
        "bytes > +10%",
        "calls > +0",
        "peak > +99 B",
    ];
    assert_eq!(
        breaches(&before, &after, &rules),
        [
            "all together: allocations 73 -> 81 (+8, +11.0%), allowed +0",
            "parse (src/orders.rs:10): allocations 41 -> 57 (+16, +39.0%), allowed +0",
            "new (src/orders.rs:14): allocations 0 -> 9 (+9), allowed +0",
            "leaf (src/orders.rs:1): allocations 61 -> 67 (+6, +9.8%), allowed +0",
            "all together: bytes 7,300 -> 8,100 B (+800, +11.0%), allowed +10%",
            "parse (src/orders.rs:10): bytes 4,100 -> 5,700 B (+1,600, +39.0%), allowed +10%",
            "new (src/orders.rs:14): bytes 0 -> 900 B (+900), allowed +10%",
            "parse > leaf (src/orders.rs:1): bytes 4,100 -> 5,700 B (+1,600, +39.0%), allowed +10%",
            "new (src/orders.rs:14): calls 0 -> 1 (+1), allowed +0",
            "new (src/orders.rs:14): peak 0 -> 100 B (+100), allowed +99B",
        ]
    );
    // Exact to the last unit: 41 allocations grow by 16.
    let of_parse = |rule: &str| {
        breaches(&before, &after, &[rule])
            .iter()
            .any(|it| it.starts_with("parse"))
    };
    assert!(of_parse("allocations > +15") && !of_parse("allocations > +16"));
    assert!(of_parse("allocations > +39.024%") && !of_parse("allocations > +39.025%"));
    assert!(!of_parse("self-allocations > +0"));
}

#[test]
fn figures_are_per_report_if_the_numbers_of_reports_differ() {
    let third = || traced(|| parse(1));
    let before = sum(&[third(), third(), traced(|| parse(2))]);
    let same = sum(&[
        third(),
        third(),
        traced(|| parse(2)),
        third(),
        third(),
        traced(|| parse(2)),
    ]);
    let rules = ["allocations > +0", "bytes > +0%", "calls > +0", "time > +0"];
    assert_eq!(breaches(&before, &same, &rules), [""; 0]);
    let more = sum(&[third(), traced(|| parse(2))]);
    assert_eq!(
        breaches(&before, &more, &["allocations > +0", "self-bytes > +12.5%"])[..2],
        [
            "all together: allocations per report 1.333 -> 1.5 (+0.166, +12.5%), allowed +0",
            "leaf (src/orders.rs:1): allocations per report 1.333 -> 1.5 (+0.166, +12.5%), allowed +0",
        ]
    );
    assert_eq!(
        breaches(&before, &more, &["self-bytes > +12.5%", "calls > +0"]),
        [""; 0]
    );
    assert_eq!(
        breaches(&before, &more, &["self-bytes > +12.499%"]).len(),
        2
    );
    assert!(
        Diff::between(&before, &more)
            .to_string()
            .starts_with("3 reports before, 2 after; figures are per report\n")
    );
    // One side has no reports.
    assert_eq!(
        breaches(&Hotspots::new(), &before, &["calls > +2"]).len(),
        3
    );
    assert_eq!(
        breaches(&before, &Hotspots::new(), &["calls > +0"]),
        [""; 0]
    );
}

#[test]
fn a_rule_on_a_figure_that_was_not_counted_is_broken() {
    let mut uncounted = before();
    uncounted.total = None;
    for call in &mut uncounted.calls {
        (call.total, call.self_counts, call.peak_bytes) = (None, None, None);
    }
    let (before, uncounted) = (sum(&[before()]), sum(&[uncounted]));
    for (before, after) in [(&before, &uncounted), (&uncounted, &before)] {
        assert_eq!(
            breaches(before, after, &["peak > +1%", "calls > +0"]),
            ["all together: peak not counted on both sides, allowed +1%"]
        );
    }
}

#[test]
fn malformed_rules_are_rejected() {
    let error = |text: &str| text.parse::<Rule>().unwrap_err().to_string();
    let figures = By::ALL.map(By::name).join(", ");
    for (text, message) in [
        ("", format!("rule ``, column 1: expected a figure, one of {figures}")),
        (" size > +1", format!("rule ` size > +1`, column 2: expected a figure, one of {figures}")),
        ("bytes", "rule `bytes`, column 6: expected `>`".into()),
        ("bytes < +1", "rule `bytes < +1`, column 7: expected `>`".into()),
        ("bytes > 1", "rule `bytes > 1`, column 9: expected `+` and how much it may grow".into()),
        ("bytes > +", "rule `bytes > +`, column 10: expected a number".into()),
        ("bytes > +KiB", "rule `bytes > +KiB`, column 10: expected a number".into()),
        (
            "bytes > +1 kib",
            "rule `bytes > +1 kib`, column 12: expected `B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`, `%` or the end".into(),
        ),
        ("calls > +1µs", "rule `calls > +1µs`, column 11: expected `%` or the end".into()),
        ("bytes > +1.5KiB", "rule `bytes > +1.5KiB`, column 10: expected a whole number, or one of per cent".into()),
        ("bytes > +1.%", "rule `bytes > +1.%`, column 12: expected one to three digits".into()),
        ("bytes > +1.2345%", "rule `bytes > +1.2345%`, column 12: expected one to three digits".into()),
        ("bytes > +1% or so", "rule `bytes > +1% or so`, column 13: expected the end".into()),
        (
            "calls > +18446744073709551616",
            "rule `calls > +18446744073709551616`, column 10: expected a number up to 18446744073709551615".into(),
        ),
        ("\u{1b}[2J\n", format!("rule `\\u{{1b}}[2J\\n`, column 1: expected a figure, one of {figures}")),
    ] {
        assert_eq!(error(text), message);
    }
    assert!(error("bytes > +18446744073709551615GiB").contains("expected a number up to"));
}

proptest! {
    #[test]
    fn a_rule_is_read_as_it_is_written(by in 0..By::ALL.len(), most: u64, percent in any::<Option<u16>>()) {
        let by = By::ALL[by];
        let text = match percent {
            Some(percent) => format!("{by}>+{}.{:03} %", percent / 1000, percent % 1000),
            None => format!(" {by} > + {most}"),
        };
        let rule: Rule = text.parse().unwrap();
        prop_assert_eq!(rule.by(), by);
        prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
    }

    #[test]
    fn no_text_is_too_bad(text: String, tail in "[ a-z>+.0-9%µ-]{0,20}") {
        for text in [text, tail.clone(), format!("bytes{tail}"), format!("time > +{tail}")] {
            if let Err(error) = text.parse::<Rule>() {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
