//! Whole texts of a report, as lines and as a tree, with fixed times.

use std::hint::black_box;
use std::panic::{catch_unwind, resume_unwind};
use std::time::Duration;

use tracer::alloc::{Counts, measure};
use tracer::{Call, Limits, Outcome, Report, Trace, call};

/// Records a request with something of each kind.
fn record(trace: &Trace) -> Report {
    let request = "ca7a87c4-58d0-4fdf-857c-ef49fc3bf271";
    let scope = trace.inject();
    let handle = call!("{request}", user = "é\n\u{1b}[2J", rows = 3);
    (0..2000).for_each(|_| drop(black_box(Box::new(1_u8))));
    handle.checkpoint("validate");
    let empty = call!();
    empty.stop();
    handle.checkpoint("fetch\u{202e}\tdata");
    let failed = call!("failed");
    failed.fail("no rows\r\u{7f}");
    drop(black_box(vec![0_u8; 1_234_567]));
    failed.stop();
    let _ = catch_unwind(|| {
        let _panicked = call!("");
        resume_unwind(Box::new(()));
    });
    drop(call!("cancelled").instrument(async {}));
    let moved = call!("moved");
    moved.checkpoint("once");
    handle.stop();
    drop(scope);
    moved.stop();
    let scope = trace.inject();
    let running: Call = call!("running");
    call!("not recorded").stop();
    let report = trace.report();
    drop((running, scope));
    fixed(report)
}

/// Fixes the figures that differ from run to run: times, threads, and the allocations of unwinding and
/// of the report itself.
fn fixed(mut report: Report) -> Report {
    report.trace = 7;
    report.grown = 1234;
    report.elapsed = Duration::from_nanos(14_038_083);
    for (index, call) in report.calls.iter_mut().enumerate() {
        let ordinal = u32::try_from(index + 1).unwrap();
        call.name = format!("f{ordinal}").into();
        call.start = Duration::from_millis(1) * ordinal;
        call.wall = Duration::from_nanos(1_234_567) / (ordinal * ordinal * ordinal * ordinal);
        call.busy = call.wall / 2;
        call.self_busy = call.busy / 2;
        call.thread.number = if index == 5 { 2 } else { 1 };
        call.thread.name = (index != 5).then(|| "work\u{7}er".into());
        if matches!(call.outcome, Outcome::Panicked | Outcome::Running) {
            (call.total, call.self_counts) = (Some(Counts::ZERO), Some(Counts::ZERO));
            call.peak_bytes = Some(0);
        }
        if index == 0 {
            call.total = Some(Counts {
                allocations: 2001,
                reallocations: 4,
                bytes_allocated: 1_236_567,
                bytes_deallocated: 1_236_567,
                ..Counts::ZERO
            });
        }
        for (index, point) in call.checkpoints.iter_mut().enumerate() {
            point.at = [1500, 2700][index] * Duration::from_micros(1);
            point.wall = [1500, 1200][index] * Duration::from_micros(1);
        }
    }
    report.total = report.calls[0].total;
    report.dropped = 1;
    for folded in &mut report.folded {
        folded.parent = None;
        (folded.calls, folded.failures, folded.partial) = (2, 1, true);
        (folded.wall, folded.busy) = (Duration::from_micros(3), Duration::from_micros(2));
        let counts = |allocations, bytes_allocated| {
            Some(Counts {
                allocations,
                bytes_allocated,
                ..Counts::ZERO
            })
        };
        (folded.total, folded.self_counts) = (counts(1002, 100), counts(1001, 50));
    }
    report
}

#[test]
fn the_seeds_format() {
    let report = record(&Trace::with_limits(10, Limits::default().calls(7)));
    assert_eq!(
        report.to_string(),
        "\
allocates at call stack: 1234, detailed call stack:
\tcall f1 [ca7a87c4-58d0-4fdf-857c-ef49fc3bf271] user=é\\n\\u{1b}[2J rows=3: 1.234567ms, allocates: 2005
\t\tcheckpoint [validate]: 1.5ms
\t\tcheckpoint [fetch\\u{202e}\\tdata]: 1.2ms
\tcall f2: 77.16µs, allocates: 0
\tcall f3 [failed]: 15.241µs, allocates: 1, failed: no rows\\r\\u{7f}
\tcall f4: 4.822µs, allocates: 0, panicked
\tcall f5 [cancelled]: 1.975µs, allocates: 0, cancelled
\tcall f6 [moved]: 952ns, allocates: 0, moved, partial
\t\tcheckpoint [once]: 1.5ms
\tcall f7 [running]: 514ns running, allocates: 0
\tfolded record: 3µs, allocates: 1002, calls: 2, failed: 1, partial
\t~ 1 not recorded: limit reached"
    );
}

#[test]
fn the_tree() {
    let report = record(&Trace::with_limits(10, Limits::default().calls(7)));
    assert_eq!(
        format!("{report:#}"),
        "\
trace 7: 14.0 ms, allocates 2,005 (1,236,567 bytes)
   wall     busy  allocates  self-allocs      bytes  self-bytes       peak  call
1.23 ms   617 µs      2,005        2,000  1,236,567       2,000  1,234,567  f1 [ca7a87c4-58d0-4fdf-857c-ef49fc3bf271] user=é\\n\\u{1b}[2J rows=3 @ work\\u{7}er #1
77.2 µs  38.6 µs          0            0          0           0          0  ├─ f2
1.50 ms               2,000                   2,000                         ├─ · validate
15.2 µs  7.62 µs          1            1  1,234,567   1,234,567  1,234,567  ├─ f3 [failed], failed: no rows\\r\\u{7f}
1.20 ms                   0                       0                         ├─ · fetch\\u{202e}\\tdata
4.82 µs  2.41 µs          0            0          0           0          0  ├─ f4, panicked
1.98 µs   987 ns          0            0          0           0          0  ├─ f5 [cancelled], cancelled
 952 ns   476 ns          0            0          0           0          0  └─ f6 [moved] @ thread #2, moved, partial
1.50 ms                   0                       0                            └─ · once
 514 ns   257 ns          0            0          0           0          0  f7 [running] @ work\\u{7}er #1, running
3.00 µs  2.00 µs      1,002        1,001        100          50             record, folded calls: 2, failed: 1, partial
calls recorded: 7, folded: 2, not recorded: 1, memory: 8,192 bytes, times grown: 1,234"
    );
    assert_eq!(report.tree().to_string(), format!("{report:#}"));
    // Of a narrow terminal's width, the figures take half at most.
    let narrow = report.tree().within(80).to_string();
    let lines: Vec<_> = narrow.lines().skip(1).take(4).collect();
    assert_eq!(
        lines.join("\n"),
        "   wall  allocates      bytes  call\n\
         1.23 ms      2,005  1,236,567  f1 [ca7a87c4-58d0-4fdf-857c-ef49fc3bf271] user=é\\n\\u{1b}[2J rows=3 @ work\\u{7}er #1\n\
         77.2 µs          0          0  ├─ f2\n\
         1.50 ms      2,000      2,000  ├─ · validate"
    );
    assert!(report.tree().within(0).to_string().contains("\ncall\nf1 "));
}

#[test]
fn what_calls_keep_has_a_column_if_the_trace_keeps_memory() {
    let mut report = record(&Trace::with_limits(10, Limits::default().calls(7)));
    let counts = |bytes_allocated, bytes_deallocated| {
        Some(Counts {
            bytes_allocated,
            bytes_deallocated,
            ..Counts::ZERO
        })
    };
    report.total = counts(6_000_000, 1_700_000);
    report.calls[0].total = counts(6_000_000, 1_500_000);
    report.calls[1].total = counts(0, 1_234);
    report.folded[0].total = counts(7, 7);
    report.calls[0].checkpoints[0].counts = counts(1000, 0);
    report.calls.truncate(3);
    assert_eq!(
        format!("{report:#}"),
        "\
trace 7: 14.0 ms, allocates 0 (6,000,000 bytes), keeps 4,300,000 bytes
   wall     busy  allocates  self-allocs      bytes  self-bytes       peak      keeps  call
1.23 ms   617 µs          0        2,000  6,000,000       2,000  1,234,567  4,500,000  f1 [ca7a87c4-58d0-4fdf-857c-ef49fc3bf271] user=é\\n\\u{1b}[2J rows=3 @ work\\u{7}er #1
77.2 µs  38.6 µs          0            0          0           0          0     -1,234  ├─ f2
1.50 ms                   0                   1,000                             1,000  ├─ · validate
15.2 µs  7.62 µs          1            1  1,234,567   1,234,567  1,234,567          0  ├─ f3 [failed], failed: no rows\\r\\u{7f}
1.20 ms                   0                       0                                 0  └─ · fetch\\u{202e}\\tdata
3.00 µs  2.00 µs          0        1,001          7          50                     0  record, folded calls: 2, failed: 1, partial
calls recorded: 3, folded: 2, not recorded: 1, memory: 8,192 bytes, times grown: 1,234"
    );
    report.total = counts(6_000_000, 6_000_001);
    let tree = format!("{report:#}");
    assert!(!tree.contains("keeps"), "{tree}");
}

#[test]
fn nothing_recorded() {
    let mut report = Trace::new().report();
    report.trace = 7;
    report.elapsed = Duration::ZERO;
    assert_eq!(
        report.to_string(),
        "allocates at call stack: 0, detailed call stack: ~"
    );
    assert_eq!(
        format!("{report:#}"),
        "\
trace 7: 0 ns, allocates 0 (0 bytes)
no calls recorded"
    );
}

/// Opens calls one inside another. Each fails with its message, if it has one.
fn failing(messages: &[&str]) {
    if let [message, rest @ ..] = messages {
        let call = call!();
        failing(rest);
        if !message.is_empty() {
            call.fail(message);
        }
    }
}

#[test]
fn a_forwarded_message_stands_at_the_innermost_call() {
    let endings = |messages: &[&str]| {
        let trace = Trace::new();
        let scope = trace.inject();
        failing(messages);
        drop(scope);
        let tree = trace.report().tree().to_string();
        let lines = tree.lines().skip(2).take(messages.len());
        lines
            .map(|line| line.split_once(", ").map_or("", |it| it.1).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        endings(&["no rows", "no rows", "no rows"]),
        ["failed: see below", "failed: see below", "failed: no rows"]
    );
    // Also across a call that did not fail.
    assert_eq!(
        endings(&["no rows", "", "no rows", ""]),
        ["failed: see below", "", "failed: no rows", ""]
    );
    // A message other than the one below is shown.
    assert_eq!(
        endings(&["load user: no rows", "no rows", "no rows"]),
        [
            "failed: load user: no rows",
            "failed: see below",
            "failed: no rows"
        ]
    );
    // What is to be known of the figures is said, too.
    let trace = Trace::new();
    let scope = trace.inject();
    failing(&["no rows", "no rows"]);
    drop(scope);
    let mut report = trace.report();
    (report.calls[0].moved, report.calls[0].partial) = (true, true);
    let tree = report.tree().to_string();
    assert!(
        tree.contains(", failed: see below, moved, partial\n"),
        "{tree}"
    );
    // Lines of the seed's format are read one by one, so each has its message.
    let trace = Trace::new();
    let scope = trace.inject();
    failing(&["no rows", "no rows"]);
    drop(scope);
    assert_eq!(trace.to_string().matches("failed: no rows").count(), 2);
}

#[test]
fn each_attempt_that_failed_has_its_message() {
    let trace = Trace::new();
    let scope = trace.inject();
    let retried = call!();
    failing(&["no rows"]);
    failing(&["no rows"]);
    retried.fail("no rows");
    retried.stop();
    drop(scope);
    let tree = trace.report().tree().to_string();
    assert_eq!(tree.matches("failed: no rows").count(), 2, "{tree}");
    assert_eq!(tree.matches("failed: see below").count(), 1, "{tree}");
}

#[test]
fn times_have_three_digits_and_a_unit() {
    let mut report = record(&Trace::new());
    report.calls.truncate(4);
    report.elapsed = Duration::from_nanos(1_994_245_099);
    for (call, time) in { report.calls.iter_mut() }.zip([1_994_245_099, 52_000_400, 7_500, 0]) {
        call.wall = Duration::from_nanos(time);
        call.checkpoints.clear();
    }
    let tree = report.tree().to_string();
    assert!(tree.starts_with("trace 7: 1.99 s, allocates "), "{tree}");
    let times: Vec<_> = { tree.lines().skip(2).take(4) }
        .map(|line| line.trim().split("  ").next().unwrap())
        .collect();
    assert_eq!(times, ["1.99 s", "52.0 ms", "7.50 µs", "0 ns"]);
}

#[test]
fn colours_are_whole_lines_and_the_text_is_the_same() {
    let report = record(&Trace::with_limits(10, Limits::default().calls(7)));
    let (plain, coloured) = (report.tree(), report.tree().colour(true));
    let mut stripped = coloured.to_string();
    for code in ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m"] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, plain.to_string());
    assert!(!plain.to_string().contains('\x1b'));
    for line in coloured.to_string().lines() {
        let codes = line.matches('\x1b').count();
        assert!(codes == 0 || codes == 2 && line.starts_with('\x1b') && line.ends_with("\x1b[0m"));
    }
}

#[test]
fn a_trace_prints_as_its_report_does_with_one_allocation() {
    let trace = Trace::new();
    let scope = trace.inject();
    call!("call").stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(trace.to_string(), report.to_string());
    assert_eq!(format!("{trace:#}"), format!("{report:#}"));
    // The one allocation is the returned text.
    let printed = measure(|| trace.to_string());
    assert_eq!(printed.counts.unwrap().deallocations, 0);
    assert_eq!(printed.counts.unwrap().allocations, 1);
}

/// Two modules of a service, each with a function of the same name.
mod users {
    pub(crate) fn get() {
        tracer::call!().stop();
    }
}

mod orders {
    pub(crate) fn get() {
        tracer::call!().stop();
    }
}

/// Returns the names in the tree, which follow the figures.
fn names_in_tree(report: &Report) -> Vec<String> {
    let tree = format!("{report:#}");
    let lines = tree
        .lines()
        .skip(2)
        .take(report.calls.len() + report.folded.len());
    let name = |line: &str| {
        line.split("  ")
            .last()
            .unwrap()
            .trim_start_matches(['├', '└', '─', ' '])
            .to_owned()
    };
    lines.map(name).collect()
}

#[test]
fn functions_of_one_name_are_told_apart_in_the_tree() {
    let trace = Trace::with_limits(10, Limits::default().calls(3));
    let scope = trace.inject();
    let handle = call!("{}", 1);
    users::get();
    orders::get();
    users::get();
    handle.stop();
    drop(scope);
    let mut report = trace.report();
    for call in &mut report.calls {
        call.thread.name = Some("main".into());
        call.thread.number = 1;
    }
    assert_eq!(
        names_in_tree(&report),
        [
            "functions_of_one_name_are_told_apart_in_the_tree [1] @ main #1",
            "users::get",
            "orders::get",
            "users::get, folded calls: 1",
        ]
    );
    // Lines of the seed's format have names without modules.
    let lines = report.to_string();
    assert!(
        lines.contains("\n\tcall get: ") && lines.contains("\n\tfolded get: "),
        "{lines}"
    );
}

#[test]
fn the_outcome_of_a_report_is_that_of_its_outermost_calls() {
    let end = |work: &dyn Fn()| {
        let trace = Trace::with_limits(10, Limits::default().calls(3));
        let scope = trace.inject();
        work();
        drop(scope);
        trace.report().outcome().clone()
    };
    let failed = |why: &str| Outcome::Failed(why.to_owned());
    let cancel = || drop(call!().instrument(async {}));
    assert_eq!(end(&|| ()), Outcome::Ok);
    assert_eq!(end(&|| call!().stop()), Outcome::Ok);
    assert_eq!(end(&|| call!().fail("one")), failed("one"));
    // A failure inside was handled by the call around.
    assert_eq!(
        end(&|| {
            let _handle = call!();
            call!().fail("handled");
            cancel();
        }),
        Outcome::Ok
    );
    // As with branches of a `select!`.
    assert_eq!(
        end(&|| {
            cancel();
            call!().stop();
        }),
        Outcome::Ok
    );
    assert_eq!(
        end(&|| {
            cancel();
            cancel();
        }),
        Outcome::Cancelled
    );
    assert_eq!(
        end(&|| {
            cancel();
            call!().fail("two");
            call!().fail("three");
        }),
        failed("two")
    );
    // The message of a folded call is not known.
    assert_eq!(
        end(&|| {
            (0..3).for_each(|_| call!().stop());
            call!().fail("four");
        }),
        failed("")
    );
    let trace = Trace::new();
    let _scope = trace.inject();
    cancel();
    let _running = call!();
    assert_eq!(trace.report().outcome(), &Outcome::Running);
}

#[test]
fn a_wrapped_subscribers_memory_is_in_the_first_line() {
    let mut report = Trace::new().report();
    (report.trace, report.elapsed) = (7, Duration::from_micros(3));
    report.subscriber = Some(Counts {
        allocations: 1233,
        reallocations: 1,
        bytes_allocated: 5100,
        ..Counts::ZERO
    });
    assert_eq!(
        format!("{report}\n{report:#}"),
        "\
allocates at call stack: 0, subscriber: 1,234 allocations (5,100 bytes), detailed call stack: ~
trace 7: 3.00 µs, allocates 0 (0 bytes), subscriber: 1,234 allocations (5,100 bytes)
no calls recorded"
    );
    report.subscriber = Some(Counts::ZERO);
    let line = report.to_string();
    assert!(
        line.contains(", subscriber: 0 allocations (0 bytes),"),
        "{line}"
    );
}

/// Records nine calls and six checkpoints.
fn recorded() -> Trace {
    let trace = Trace::new();
    let scope = trace.inject();
    let root = call!();
    for branch in ["a", "b"] {
        root.checkpoint(branch);
        let around = call!();
        for inside in ["1", "2"] {
            around.checkpoint(inside);
            let outer = call!();
            if inside == "1" {
                call!().stop();
            }
            outer.stop();
        }
        around.stop();
    }
    root.stop();
    drop(scope);
    trace
}

fn allocates<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let measured = measure(work);
    (measured.value, measured.counts.unwrap().allocates())
}

/// What it keeps is a list of the calls and three lists of checkpoints, whose names are short.
#[test]
fn a_report_has_an_allocation_for_each_list_and_five_more() {
    let trace = recorded();
    drop(trace.report());
    let (report, allocates) = allocates(|| trace.report());
    let checkpoints = report.calls.iter().map(|call| call.checkpoints.len());
    assert_eq!((report.calls.len(), checkpoints.sum()), (9, 6));
    assert_eq!(allocates, 9);
}

/// A tree has fewer than two for each call, most of them for all calls together.
#[test]
fn a_rendering_is_one_text_with_a_few_lists_beside_it() {
    let mut report = recorded().report();
    // The length of the text depends on the times.
    for call in &mut report.calls {
        (call.wall, call.busy) = (Duration::from_nanos(1234), Duration::from_nanos(1234));
        for checkpoint in &mut call.checkpoints {
            checkpoint.wall = Duration::from_nanos(123);
        }
    }
    let (lines, of_lines) = allocates(|| report.to_string());
    let (tree, of_tree) = allocates(|| format!("{report:#}"));
    assert_eq!((lines.lines().count(), tree.lines().count()), (16, 18));
    assert_eq!((of_lines, of_tree), (2, 14));
}
