//! Hotspots: sums over many reports, by function and by path.

use std::sync::Barrier;

use tracer::hotspots::{By, Hotspots, Path, Totals};
use tracer::report::json;
use tracer::{Limits, Outcome, Report, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;

fn traced(trace: &Trace, work: impl FnOnce()) -> Report {
    let scope = trace.inject();
    work();
    drop(scope);
    trace.report()
}

fn leaf(count: u64) {
    let _call = call!();
    allocate(count);
}

fn first_flow() {
    let _call = call!();
    allocate(1);
    leaf(10);
    leaf(20);
}

fn second_flow() {
    let call = call!();
    leaf(100);
    call.fail("broken pipe");
}

/// Returns a line for each path: `name: calls, failures, allocations, self`, indented by depth.
fn lines(hotspots: &Hotspots) -> Vec<String> {
    hotspots.paths().iter().map(line).collect()
}

fn line(path: &Path<'_>) -> String {
    let indent = "  ".repeat(path.depth);
    format!("{indent}{}: {}", path.frame.name, figures(path.totals))
}

fn figures(totals: &Totals) -> String {
    let [total, own] = [totals.total, totals.self_counts].map(|counts| counts.unwrap().allocations);
    format!("{}, {}, {total}, {own}", totals.calls, totals.failures)
}

fn functions(hotspots: &Hotspots, by: By) -> Vec<String> {
    let functions = hotspots.functions(by).into_iter();
    functions
        .map(|it| format!("{}: {}", it.frame.name, figures(it.totals)))
        .collect()
}

#[test]
fn the_same_function_in_two_flows() {
    let mut hotspots = Hotspots::new();
    for _ in 0..3 {
        hotspots.add(&traced(&Trace::new(), || {
            allocate(1000);
            first_flow();
            second_flow();
        }));
    }
    assert_eq!(hotspots.reports(), 3);
    assert_eq!(
        lines(&hotspots),
        [
            "first_flow: 3, 0, 93, 3",
            "  leaf: 6, 0, 90, 90",
            "second_flow: 3, 3, 300, 0",
            "  leaf: 3, 0, 300, 300",
        ]
    );
    let by_self = [
        "leaf: 9, 0, 390, 390",
        "first_flow: 3, 0, 93, 3",
        "second_flow: 3, 3, 300, 0",
    ];
    assert_eq!(functions(&hotspots, By::SelfAllocations), by_self);
    let by_failures = [
        "second_flow: 3, 3, 300, 0",
        "first_flow: 3, 0, 93, 3",
        "leaf: 9, 0, 390, 390",
    ];
    assert_eq!(functions(&hotspots, By::Failures), by_failures);
    assert_eq!(hotspots.counts(), Some(boxes(3 * 1131)));
    assert_eq!(hotspots.outside_calls(), Some(boxes(3000)));
    let leaf = &hotspots.functions(By::SelfBytes)[0];
    let allocates = leaf.allocates.unwrap();
    assert_eq!(
        (allocates.p50, allocates.p95, allocates.p99, allocates.max),
        (20, 100, 100, 100)
    );
    assert_eq!(leaf.totals.peak_bytes, Some(1));
    assert!(leaf.wall.unwrap().max <= leaf.totals.wall);
}

#[test]
fn a_function_that_calls_itself_is_in_its_totals_once() {
    fn down(depth: u64) {
        let _call = call!();
        allocate(1);
        if depth > 0 {
            down(depth - 1);
        }
    }
    let mut hotspots = Hotspots::new();
    let report = traced(&Trace::new(), || down(2));
    hotspots.add(&report);
    assert_eq!(
        lines(&hotspots),
        [
            "down: 1, 0, 3, 1",
            "  down: 1, 0, 0, 1",
            "    down: 1, 0, 0, 1"
        ]
    );
    assert_eq!(functions(&hotspots, By::Time), ["down: 3, 0, 3, 3"]);
    let functions = hotspots.functions(By::Time);
    assert_eq!(functions[0].totals.wall, report.calls[0].wall);
    assert_eq!(functions[0].allocates.unwrap().max, 3);
}

/// A `select!` that drops one branch because the other is ready.
async fn select() {
    let _call = call!();
    tokio::select! {
        biased;
        () = call!("loses").instrument(std::future::pending()) => unreachable!(),
        () = call!("wins").instrument(async {}) => {}
    }
}

#[test]
fn a_branch_that_a_select_drops_is_cancelled_and_no_failure() {
    let trace = Trace::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(trace.instrument(select()));
    let mut report = trace.report();
    let outcomes: Vec<_> = report
        .calls
        .iter()
        .map(|call| call.outcome.clone())
        .collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Cancelled, Outcome::Ok]);
    for (call, name) in report.calls.iter_mut().zip(["select", "loses", "wins"]) {
        call.name = name.into();
    }
    let mut hotspots = Hotspots::new();
    hotspots.add(&report);
    let figures = |by: By| {
        let functions = hotspots.functions(by).into_iter();
        let figures = functions.map(|it| (it.frame.name.to_owned(), by.of(it.totals)));
        figures
            .filter(|(_, figure)| *figure > 0)
            .collect::<Vec<_>>()
    };
    assert_eq!(figures(By::Failures), []);
    assert_eq!(figures(By::Cancelled), [("loses".to_owned(), 1)]);
    // A column is shown only if it has a figure other than 0.
    let titles = |hotspots: &Hotspots| {
        let table = hotspots.table().width(300).to_string();
        let titles = table.lines().nth(2).unwrap().split_whitespace();
        titles.map(str::to_owned).collect::<Vec<_>>()
    };
    let of = |hotspots: &Hotspots| {
        ["failures", "cancelled"].map(|title| titles(hotspots).contains(&title.to_owned()))
    };
    assert_eq!(of(&hotspots), [false, true]);
    let mut failing = Hotspots::new();
    failing.add(&traced(&Trace::new(), second_flow));
    assert_eq!(of(&failing), [true, false]);
    // Merged hotspots have both columns.
    hotspots.merge(&failing);
    assert_eq!(of(&hotspots), [true, true]);
    let markdown = hotspots
        .table()
        .by(By::Cancelled)
        .top(1)
        .markdown()
        .to_string();
    assert!(
        markdown.contains("| `loses` | 1 | 100.0% | 1 |"),
        "{markdown}"
    );
}

#[test]
fn the_time_of_a_call_itself_is_that_in_which_none_inside_was_open() {
    let trace = Trace::new();
    let both_open = Barrier::new(2);
    let report = traced(&trace, || {
        let _call = call!("around");
        let trace = tracer::fetch();
        std::thread::scope(|threads| {
            for _ in 0..2 {
                let trace = trace.clone();
                let both_open = &both_open;
                threads.spawn(move || {
                    let _scope = trace.inject();
                    let _call = call!();
                    both_open.wait();
                });
            }
        });
    });
    let mut hotspots = Hotspots::new();
    hotspots.add(&report);
    let around = hotspots.paths()[0].totals.clone();
    let [outer, one, two] = &report.calls[..] else {
        panic!("{report}");
    };
    let (first, last) = (
        one.start.min(two.start),
        (one.start + one.wall).max(two.start + two.wall),
    );
    assert!(two.start < one.start + one.wall, "{report}");
    assert_eq!(around.self_wall + last, outer.wall + first);
    assert_eq!(around.busy, outer.wall);
}

#[test]
fn folded_calls_are_in_the_sums_and_not_in_the_percentiles() {
    let limits = Limits::default().calls(3);
    let mut hotspots = Hotspots::new();
    hotspots.add(&traced(&Trace::with_limits(10, limits), || {
        let _call = call!("around");
        for count in 1..=5 {
            leaf(count);
        }
    }));
    assert_eq!(
        functions(&hotspots, By::SelfAllocations)[0],
        "leaf: 5, 0, 15, 15"
    );
    let functions = hotspots.functions(By::SelfAllocations);
    assert_eq!(functions[0].allocates.unwrap().max, 2);
    // Only their peaks are unknown.
    assert_eq!(functions[0].totals.partial, 0);
    assert_eq!(hotspots.outside_calls(), Some(boxes(0)));
}

#[test]
fn merged_is_as_added_together() {
    let mut reports = Vec::new();
    for round in 0..4 {
        reports.push(traced(&Trace::new(), || {
            if round % 2 == 0 {
                first_flow();
            }
            second_flow();
            leaf(1000 * round);
        }));
    }
    let (mut whole, mut left, mut right) = (Hotspots::new(), Hotspots::new(), Hotspots::new());
    for (round, report) in reports.iter().enumerate() {
        whole.add(report);
        if round == 1 { &mut left } else { &mut right }.add(report);
    }
    left.merge(&right);
    assert_eq!(left.reports(), 4);
    assert_eq!(lines(&left), lines(&whole));
    assert_eq!(
        (left.counts(), left.outside_calls()),
        (whole.counts(), whole.outside_calls())
    );
    for (left, whole) in left
        .functions(By::Bytes)
        .iter()
        .zip(whole.functions(By::Bytes))
    {
        assert_eq!((left.frame, left.totals), (whole.frame, whole.totals));
        assert_eq!((left.wall, left.allocates), (whole.wall, whole.allocates));
    }
}

#[test]
fn added_line_by_line_is_as_added_as_reports() {
    let limits = Limits::default().calls(3);
    let folded = traced(&Trace::with_limits(10, limits), || {
        first_flow();
        second_flow();
        leaf(7);
    });
    let recursive = traced(&Trace::new(), || {
        let _call = call!("a \"quoted\" id", path = "src\\main.rs");
        first_flow();
        call!("inside").checkpoint("now");
    });
    let (mut whole, mut by_line) = (Hotspots::new(), Hotspots::new());
    let mut file = Vec::new();
    for report in [&folded, &recursive] {
        whole.add(report);
        json::write_line(report, &mut file).unwrap();
    }
    // By another writer: with spaces, and in another order.
    let value: serde_json::Value = serde_json::to_value(&recursive).unwrap();
    let other = serde_json::to_string_pretty(&value).unwrap();
    file.extend_from_slice(other.replace('\n', " ").as_bytes());
    whole.add(&recursive);
    // A report whose last call is damaged.
    file.push(b'\n');
    let mut bad = serde_json::to_string(&recursive).unwrap();
    let last = bad.rfind("\"outcome\":\"ok\"").unwrap();
    bad.replace_range(last.., "\"outcome\":\"fine\"}]}");
    file.extend_from_slice(bad.as_bytes());
    file.extend_from_slice(b"\n\n");
    json::write_line(&folded, &mut file).unwrap();
    whole.add(&folded);
    let reports = json::Lines::new(&file[..]);
    let mut lines_to_add = json::Lines::new(&file[..]);
    for report in reports {
        let added = by_line.add_next(&mut lines_to_add).unwrap();
        assert_eq!(
            report.map(|_| ()).map_err(|error| error.to_string()),
            added.map_err(|error| error.to_string())
        );
    }
    assert!(by_line.add_next(&mut lines_to_add).is_none());
    assert_eq!((by_line.reports(), whole.reports()), (4, 4));
    assert_eq!(
        (by_line.counts(), by_line.outside_calls()),
        (whole.counts(), whole.outside_calls())
    );
    assert_eq!(lines(&by_line), lines(&whole));
    for by in By::ALL {
        assert_eq!(
            format!("{:?}", by_line.functions(by)),
            format!("{:?}", whole.functions(by))
        );
    }
    assert_eq!(
        format!("{:?}", by_line.paths()),
        format!("{:?}", whole.paths())
    );
}

#[test]
fn long_lines_are_added_in_less_memory_than_a_report() {
    let report = traced(&Trace::with_capacity(10_000), || {
        for _ in 0..4_000 {
            leaf(1);
        }
    });
    let mut line = Vec::new();
    json::write_line(&report, &mut line).unwrap();
    assert!(line.len() > 1 << 20);
    let mut whole = Hotspots::new();
    whole.add(&report);
    let add = |input: &[u8]| {
        let mut hotspots = Hotspots::new();
        let measured = tracer::alloc::measure(|| {
            let mut lines = json::Lines::new(input);
            let added = hotspots.add_next(&mut lines).unwrap();
            (added, hotspots.add_next(&mut lines).is_none())
        });
        let (added, is_over) = measured.value;
        assert!(is_over);
        (hotspots, added, measured.peak_bytes.unwrap())
    };
    let (hotspots, added, peak) = add(&line);
    added.unwrap();
    assert_eq!(lines(&hotspots), lines(&whole));
    // The line and the sums of the calls; both lists grow by doubling.
    let most = 2 * line.len() + 2 * 4_000 * size_of::<tracer::CallReport>();
    assert!(peak < most as u64, "{peak}, {most}");
    // Without its end, and damaged before or after the first mebibyte, it is what it is as a report.
    let text = String::from_utf8(line).unwrap();
    let places = [text.find("calls").unwrap(), text.rfind("outcome").unwrap()];
    let damaged = places.map(|at| [&text[..at], "\u{e9}", &text[at..]].concat());
    let cut = text[..text.len() - 100].to_owned();
    for text in [
        text.trim_end(),
        &damaged[0],
        &damaged[1],
        &cut,
        &format!("{cut}\r\n"),
    ] {
        let mut reports = json::Lines::new(text.as_bytes());
        let (hotspots, added, _) = add(text.as_bytes());
        let read = reports.next().unwrap();
        assert_eq!(hotspots.reports(), u64::from(read.is_ok()));
        assert_eq!(
            added.map_err(|error| error.to_string()),
            read.map(|_| ()).map_err(|error| error.to_string())
        );
    }
    // What is no report is not read into memory.
    let text = format!("{{\"tracer_report\":1,\"trace\":{}", "x".repeat(8 << 20));
    let (_, added, peak) = add(text.as_bytes());
    assert!(added.is_err() && peak < 3 << 20, "{peak}");
}

#[test]
fn of_no_reports() {
    let hotspots = Hotspots::new();
    assert!(hotspots.functions(By::Time).is_empty() && hotspots.paths().is_empty());
    assert_eq!((hotspots.counts(), hotspots.outside_calls()), (None, None));
}

#[test]
fn more_calls_on_the_same_paths_take_no_more_memory() {
    let reports: Vec<_> = (1..=8)
        .map(|count| {
            traced(&Trace::new(), || {
                first_flow();
                leaf(count);
            })
        })
        .collect();
    let mut hotspots = Hotspots::new();
    let mut add_all = || {
        for report in &reports {
            hotspots.add(report);
        }
    };
    add_all();
    let measured = tracer::alloc::measure(|| (0..1000).for_each(|_| add_all()));
    assert_eq!(measured.counts, Some(tracer::alloc::Counts::ZERO));
    assert_eq!(hotspots.reports(), 8 * 1001);
}
