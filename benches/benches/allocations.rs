//! Allocations of making a report and of writing it, by the number of calls.
//!
//! This is the only bench that does not measure time. Allocations repeat exactly, so one allocation more
//! is a regression for criterion. A report's allocations belong to its reader and to no call. Recording
//! allocates nothing once the tracer's own memory is warm.

use std::hint::black_box;

use criterion::Criterion;
use tracer::{Counting, Report, Trace, call};
use tracer_criterion::{Heap, count, one_iteration};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const CALLS: [usize; 3] = [10, 100, 1_000];

struct Subject {
    calls: usize,
    trace: Trace,
    report: Report,
}

type Work = fn(&Subject);

const WORK: [(&str, Work); 4] = [
    ("record", |it| drop(record(it.calls))),
    ("report", |it| drop(black_box(it.trace.report()))),
    ("text", |it| drop(black_box(it.report.to_string()))),
    ("tree", |it| drop(black_box(format!("{:#}", it.report)))),
];

fn record(calls: usize) -> Trace {
    let trace = Trace::with_capacity(calls);
    let scope = trace.inject();
    for number in 0..calls / 5 {
        let call = call!("request {number}");
        call.checkpoint("begun");
        for _ in 0..4 {
            call!().stop();
        }
    }
    drop(scope);
    trace
}

fn main() {
    let subjects = CALLS.map(|calls| {
        let trace = record(calls);
        let report = trace.report();
        assert_eq!(report.calls.len(), calls);
        Subject {
            calls,
            trace,
            report,
        }
    });
    if std::env::args().any(|argument| argument == "--table") {
        return print_table(&subjects);
    }
    measure("allocations", Heap::allocations(), &subjects);
    measure("bytes", Heap::bytes(), &subjects);
    measure("peak", Heap::peak_bytes(), &subjects);
    Criterion::default().configure_from_args().final_summary();
}

fn measure(figure: &str, heap: Heap, subjects: &[Subject]) {
    let mut criterion = heap.criterion().configure_from_args();
    for (name, work) in WORK {
        let mut group = criterion.benchmark_group(format!("{figure}: {name}"));
        for subject in subjects {
            group.bench_function(subject.calls.to_string(), |bencher| {
                bencher.iter_custom(|iterations| count(iterations, || work(subject)));
            });
        }
    }
}

fn print_table(subjects: &[Subject]) {
    println!("| of so many calls | | allocations | bytes | peak bytes |\n|---|--:|--:|--:|--:|");
    for (name, work) in WORK {
        for subject in subjects {
            let heap = one_iteration(|| work(subject));
            let counts = heap.counts.expect("Counting is installed");
            println!(
                "| {name} | {} | {} | {} | {} |",
                subject.calls,
                counts.allocates(),
                counts.bytes_allocated,
                heap.peak_bytes.expect("no trace is left open"),
            );
        }
    }
    println!();
}
