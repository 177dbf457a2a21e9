//! Calls that repeat, in the tree.

use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;
use tracer::alloc::Counts;
use tracer::{Call, Limits, Outcome, Report, Trace, call};

use crate::common::allocate;

/// Gives the calls of a report times that are the same in each run: each starts a millisecond after the one before,
/// and the one with the place `place` takes `wall(place)`.
fn fixed(mut report: Report, wall: impl Fn(u32) -> Duration) -> Report {
    (report.trace, report.elapsed) = (7, Duration::from_secs(1));
    for (place, call) in (0..).zip(&mut report.calls) {
        call.start = Duration::from_millis(1) * place;
        (call.wall, call.busy) = (wall(place), wall(place) / 2);
        (call.thread.number, call.thread.name) = (1, Some("main".into()));
        for checkpoint in &mut call.checkpoints {
            (checkpoint.at, checkpoint.wall) = (Duration::ZERO, Duration::from_micros(1));
        }
    }
    report
}

fn query(id: u32) {
    let call = call!("{id}", table = "orders", page = id / 4);
    call.checkpoint("sent");
    decode();
    decode();
    if id.is_multiple_of(5) {
        call.checkpoint(["first", "second", "third", "fourth", "fifth"][id as usize / 5]);
    }
    if id == 7 {
        retry();
    }
}

fn decode() {
    let _call = call!();
    allocate(3);
}

fn retry() {
    call!().fail("timeout");
}

fn render(id: u32) {
    let _call = call!("{id}");
    allocate(1);
}

/// A request that queries and renders in turns.
fn request(trace: &Trace, queries: u32) -> Report {
    let scope = trace.inject();
    let handle = call!();
    for id in 0..queries {
        query(id);
        if id < 9 {
            render(id);
        }
    }
    handle.stop();
    drop(scope);
    trace.report()
}

#[test]
fn eight_equal_siblings_are_one_line() {
    let report = request(&Trace::with_capacity(100), 21);
    let report = fixed(report, |place| {
        Duration::from_micros(100 + u64::from(place))
    });
    assert_eq!(
        format!("{report:#}"),
        "\
trace 7: 1.00 s, allocates 135 (135 bytes)
   wall     busy  allocates  self-allocs  bytes  self-bytes  peak  call
 100 µs  50.0 µs        135            0    135           0     1  request @ main #1
2.78 ms  1.39 ms        120            0    120           0     1  ├─ query ×20 table=orders · 141 µs each (p50), 171 µs (max)
20.0 µs                   0                   0                    │  ├─ · sent ×20
1.00 µs                   6                   6                    │  ├─ · first ×1
1.00 µs                   6                   6                    │  ├─ · second ×1
3.00 µs                  18                  18                    │  ├─ · other checkpoints ×3
5.62 ms  2.81 ms        120          120    120         120     1  │  └─ decode ×40 · 143 µs each (p50), 173 µs (max)
1.08 ms   541 µs          9            9      9           9     1  ├─ render ×9 · 120 µs each (p50), 137 µs (max)
 129 µs  64.5 µs          6            0      6           0     1  └─ query [7] table=orders page=1
1.00 µs                   0                   0                       ├─ · sent
 130 µs  65.0 µs          3            3      3           3     1     ├─ decode
 131 µs  65.5 µs          3            3      3           3     1     ├─ decode
 132 µs  66.0 µs          0            0      0           0     0     └─ retry, failed: timeout
calls recorded: 74, memory: 16,384 bytes"
    );
}

#[test]
fn seven_equal_siblings_have_a_line_each() {
    let report = request(&Trace::new(), 7);
    assert_eq!(
        report.tree().to_string(),
        report.tree().unfolded().to_string()
    );
    assert!(!report.tree().to_string().contains('×'));
}

#[test]
fn lines_that_did_not_simply_stop_stay_visible() {
    let trace = Trace::new();
    let scope = trace.inject();
    let handle = call!("handle");
    let mut running = None;
    for id in 0..30 {
        let call = call!("{id}");
        match id {
            3 => call.fail("no rows"),
            4 => drop(call!("branch").instrument(async {})),
            5 => {
                let _ = std::panic::catch_unwind(|| {
                    let _call = call;
                    std::panic::resume_unwind(Box::new(()));
                });
            }
            29 => running = Some(call),
            _ => {}
        }
    }
    let tree = trace.report().tree().to_string();
    let texts: Vec<_> = tree
        .lines()
        .map(|line| line.split(['─', ',']).collect::<Vec<_>>())
        .collect();
    let starts = |text: &str| {
        texts
            .iter()
            .flatten()
            .filter(|it| it.trim().contains(text))
            .count()
    };
    let name = "lines_that_did_not_simply_stop_stay_visible";
    assert_eq!(starts(&format!("{name} ×26")), 1, "{tree}");
    for one in [
        "[3], failed: no rows",
        "[4]\n",
        "[branch], cancelled",
        "[5], panicked",
        "[29], running",
    ] {
        assert!(tree.contains(&format!("{name} {one}")), "{one}: {tree}");
    }
    drop((running, handle, scope));
}

#[test]
fn calls_of_many_threads_are_together() {
    let trace = Trace::new();
    let scope = trace.inject();
    let handle = call!("handle");
    let barrier = std::sync::Barrier::new(8);
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(tracer::in_current_trace(|| {
                let _call = call!("work");
                barrier.wait();
                allocate(1);
                barrier.wait();
            }));
        }
    });
    handle.stop();
    drop(scope);
    let report = trace.report();
    let tree = report.tree().to_string();
    let line = tree.lines().find(|line| line.contains("×8")).unwrap();
    assert!(line.contains(" ×8 @ 8 threads · "), "{line}");
    assert!(line.ends_with(" (max), up to 8 at once"), "{line}");
    assert_eq!(columns(line).0[2], "8", "{line}");
}

#[test]
fn ten_thousand_calls_are_a_few_lines() {
    let trace = Trace::new();
    let scope = trace.inject();
    let handle = call!("handle");
    for id in 0..4_999 {
        let _call = call!("{id}");
        call!("inner").stop();
    }
    handle.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(report.calls.len(), 9_999);
    let (tree, unfolded) = (
        report.tree().to_string(),
        report.tree().unfolded().to_string(),
    );
    assert_eq!(tree.lines().count(), 2 + 3 + 1);
    assert_eq!(unfolded.lines().count(), 2 + 9_999 + 1);
    assert_eq!(tree.matches(" ×4,999 · ").count(), 2, "{tree}");
}

#[test]
fn a_recursion_of_ten_thousand_calls_below_repeated_ones_is_merged_level_by_level() {
    fn down(depth: u32) {
        if depth > 0 {
            let _call = call!();
            down(depth - 1);
        }
    }
    let trace = Trace::new();
    let scope = trace.inject();
    let handle = call!("handle");
    (0..8).for_each(|_| down(1_000));
    handle.stop();
    drop(scope);
    let tree = trace.report().tree().to_string();
    assert_eq!(tree.matches(" ×8").count(), 1_000);
}

/// One step of a program.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Opens a call at one of three callsites.
    Open(u8),
    Allocate,
    Stop,
    Fail,
    Cancel,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..3_u8).prop_map(Step::Open),
        8 => Just(Step::Allocate),
        17 => Just(Step::Stop),
        1 => Just(Step::Fail),
        1 => Just(Step::Cancel),
    ]
}

fn open(callsite: u8, id: usize) -> Call {
    match callsite {
        0 => call!("{id}"),
        1 => call!("{id}", kind = "one"),
        _ => call!("{id}", kind = id),
    }
}

fn run(program: &[Step], trace: &Trace) {
    // A vector that grows in the trace would be kept by the calls that are open meanwhile.
    let mut calls = Vec::with_capacity(program.len());
    let scope = trace.inject();
    for (id, step) in program.iter().enumerate() {
        match step {
            Step::Open(callsite) => calls.push(open(*callsite, id)),
            Step::Allocate => allocate(1),
            Step::Stop => drop(calls.pop()),
            Step::Fail => calls.iter().for_each(|call| call.fail("no rows")),
            Step::Cancel => drop(call!("cancelled").instrument(async {})),
        }
    }
    while calls.pop().is_some() {}
    drop(scope);
}

/// A line as a test sees it: its depth, its text as far as the first mark, the calls, their allocations and their
/// own ones.
type Line = (usize, String, usize, u64, u64);

/// Divides a line into its figures and the text behind them.
fn columns(line: &str) -> (Vec<&str>, &str) {
    let mut rest = line;
    let mut figures = Vec::new();
    while figures.len() < 7 {
        rest = rest.trim_start();
        let (figure, more) = rest.split_at(rest.find("  ").unwrap());
        figures.push(figure);
        rest = more;
    }
    (figures, &rest[2..])
}

fn lines(tree: &str, facts: usize) -> Vec<Line> {
    let all: Vec<_> = tree.lines().collect();
    let of_calls = &all[2..all.len() - facts];
    of_calls
        .iter()
        .map(|line| {
            let (figures, text) = columns(line);
            let depth = text
                .chars()
                .position(|it| it == '─')
                .map_or(0, |at| at / 3 + 1);
            let text: String = text.chars().skip(3 * depth).collect();
            let text = text.split(" @ ").next().unwrap();
            let text = text
                .split(" · ")
                .next()
                .unwrap()
                .split(", ")
                .next()
                .unwrap();
            let (name, count) = match text.split_once(" ×") {
                Some((name, count)) => (name, count.split(' ').next().unwrap().parse().unwrap()),
                None => (text, 1),
            };
            let number = |figure: &str| figure.replace(',', "").parse().unwrap();
            (
                depth,
                name.to_owned(),
                count,
                number(figures[2]),
                number(figures[3]),
            )
        })
        .collect()
}

/// Children of these calls, or the outermost ones.
fn children(report: &Report, of: Option<&[usize]>) -> Vec<usize> {
    let is_child = |call: &usize| match (of, report.calls[*call].parent) {
        (Some(of), Some(parent)) => of.contains(&parent),
        (None, None) => true,
        _ => false,
    };
    (0..report.calls.len()).filter(is_child).collect()
}

fn is_quiet(report: &Report, call: usize) -> bool {
    let mut inside = children(report, Some(&[call])).into_iter();
    report.calls[call].outcome == Outcome::Ok && inside.all(|call| is_quiet(report, call))
}

fn title(report: &Report, call: usize) -> String {
    let call = &report.calls[call];
    let mut title = call.name.to_string();
    if let Some(id) = &call.id {
        let _ = write!(title, " [{id}]");
    }
    for (name, value) in &call.labels {
        let _ = write!(title, " {name}={value}");
    }
    title
}

/// The naive tree: `folds` says from how many equal calls on they are one line.
fn expected(
    report: &Report,
    (of, is_merged): (Option<&[usize]>, bool),
    depth: usize,
    folds: usize,
    lines: &mut Vec<Line>,
) {
    let all = children(report, of);
    let mut done = Vec::new();
    for call in all.iter().copied() {
        if done.contains(&call) {
            continue;
        }
        let line = |it: &usize| report.calls[*it].line;
        let is_equal = |it: &&usize| line(it) == line(&call) && is_quiet(report, **it);
        let mut equal: Vec<usize> = all.iter().filter(is_equal).copied().collect();
        let is_one = is_merged || (is_quiet(report, call) && equal.len() >= folds);
        if !is_one {
            equal = vec![call];
        }
        let sum = |of: fn(&tracer::CallReport) -> Option<Counts>| {
            let counts = equal.iter().map(|call| of(&report.calls[*call]).unwrap());
            counts.map(|it| it.allocates()).sum()
        };
        let name = if is_one {
            report.calls[call].name.to_string()
        } else {
            title(report, call)
        };
        lines.push((
            depth,
            name,
            equal.len(),
            sum(|it| it.total),
            sum(|it| it.self_counts),
        ));
        expected(report, (Some(&equal), is_one), depth + 1, folds, lines);
        done.extend(equal);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_are_those_of_a_naive_tree(program in prop::collection::vec(step(), 0..120)) {
        let trace = Trace::with_limits(10, Limits::default().calls(200));
        run(&program, &trace);
        let report = trace.report();
        if !report.calls.is_empty() {
            for (tree, folds) in [(report.tree().unfolded(), usize::MAX), (report.tree(), 8)] {
                let mut naive = Vec::new();
                expected(&report, (None, false), 0, folds, &mut naive);
                let found = lines(&tree.to_string(), 1);
                prop_assert_eq!(&found, &naive, "{}", tree);
                prop_assert_eq!(found.iter().map(|it| it.2).sum::<usize>(), report.calls.len());
            }
        }
    }
}
