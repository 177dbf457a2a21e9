//! Criterion measures allocations: its saved estimates, its output, and its verdict on a change.

use std::cell::Cell;
use std::fs;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use criterion::{BatchSize, Bencher, Criterion};
use serde_json::Value;
use tracer_criterion::{Counting, Heap, alloc, count, one_iteration, time_and_heap};

#[global_allocator]
static A: Counting = Counting::system();

/// The measure of an iteration without allocations.
const NONE: f64 = 1.0 / 1_073_741_824.0;

/// Criterion's folder of results, one for each test, empty at first.
struct Results(PathBuf);

impl Results {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
        let folder = folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        Self(folder)
    }

    fn criterion(&self, heap: Heap) -> Criterion<Heap> {
        heap.criterion()
            .output_directory(&self.0)
            .warm_up_time(Duration::from_millis(1))
            .measurement_time(Duration::from_millis(5))
    }

    /// Runs one bench once, as `cargo bench` does.
    fn run(&self, heap: Heap, bench: impl FnMut(&mut Bencher<'_, Heap>)) {
        self.criterion(heap).bench_function("bench", bench);
    }

    /// Returns the point estimates that the last run saved, or `None` if it saved none.
    fn estimates<const N: usize>(&self, of: &str, statistics: [&str; N]) -> Option<[f64; N]> {
        let file = self.0.join("bench").join(of).join("estimates.json");
        let estimates: Value = serde_json::from_slice(&fs::read(file).ok()?).unwrap();
        let point = |statistic| &estimates[statistic]["point_estimate"];
        Some(statistics.map(|statistic| point(statistic).as_f64().unwrap()))
    }

    /// Returns the mean and the standard deviation of the averages of the samples.
    fn new_estimates(&self) -> Option<[f64; 2]> {
        self.estimates("new", ["mean", "std_dev"])
    }
}

/// Returns the estimates of one run of a bench.
fn measured(name: &str, heap: Heap, bench: impl FnMut(&mut Bencher<'_, Heap>)) -> Option<[f64; 2]> {
    let results = Results::new(name);
    results.run(heap, bench);
    results.new_estimates()
}

/// Two allocations and a reallocation; 28 bytes in all, 24 of them live at once.
fn three() -> Vec<u8> {
    drop(black_box(Box::new([1_u8; 4])));
    let mut bytes = black_box(Vec::with_capacity(8));
    bytes.reserve_exact(24);
    bytes
}

fn boxes(count: u32) {
    (0..count).for_each(|_| drop(black_box(Box::new(1_u8))));
}

/// Allocates seven times when it is dropped.
struct Costly;

impl Drop for Costly {
    fn drop(&mut self) {
        boxes(7);
    }
}

#[test]
fn each_figure_is_exact() {
    let of = |name, heap| {
        measured(name, heap, |bencher| {
            bencher.iter_custom(|iterations| count(iterations, three));
        })
    };
    assert_eq!(of("allocations", Heap::allocations()), Some([3.0, 0.0]));
    assert_eq!(of("bytes", Heap::bytes()), Some([28.0, 0.0]));
    assert_eq!(of("peak", Heap::peak_bytes()), Some([24.0, 0.0]));
}

#[test]
fn no_loop_counts_allocations_of_criterion() {
    type Loop = fn(&mut Bencher<'_, Heap>);
    let sizes = [
        BatchSize::SmallInput,
        BatchSize::LargeInput,
        BatchSize::PerIteration,
        BatchSize::NumBatches(3),
        BatchSize::NumIterations(7),
    ];
    for (index, size) in sizes.into_iter().enumerate() {
        let name = format!("batched_{index}");
        let batched = measured(&name, Heap::bytes(), |bencher| {
            bencher.iter_batched(three, |input| (input, three()), size);
        });
        assert_eq!(batched, Some([28.0, 0.0]), "{size:?}");
        let by_ref = measured(&name, Heap::allocations(), |bencher| {
            bencher.iter_batched_ref(three, |_| three(), size);
        });
        assert_eq!(by_ref, Some([3.0, 0.0]), "{size:?}");
    }
    let iter: Loop = |bencher| bencher.iter(three);
    let large_drop: Loop = |bencher| bencher.iter_with_large_drop(three);
    for (name, bench) in [("iter", iter), ("large_drop", large_drop)] {
        let allocations = measured(name, Heap::allocations(), bench);
        assert_eq!(allocations, Some([3.0, 0.0]), "{name}");
        assert_eq!(
            measured(name, Heap::bytes(), bench),
            Some([28.0, 0.0]),
            "{name}"
        );
    }
}

#[test]
fn only_iter_counts_drops_of_outputs() {
    let heap = Heap::allocations();
    let output = || {
        boxes(1);
        Costly
    };
    let iter = measured("drop_iter", heap, |bencher| bencher.iter(output));
    assert_eq!(iter, Some([8.0, 0.0]));
    let large_drop = measured("drop_large", heap, |bencher| {
        bencher.iter_with_large_drop(output);
    });
    assert_eq!(large_drop, Some([1.0, 0.0]));
    let counted = measured("drop_counted", heap, |bencher| {
        bencher.iter_custom(|iterations| count(iterations, output));
    });
    assert_eq!(counted, Some([1.0, 0.0]));
}

#[test]
fn other_threads_are_not_in_the_figure() {
    let (there, and_back) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let (ask, asked) = there;
    let (answer, answered) = and_back;
    thread::spawn(move || {
        for () in asked {
            boxes(100);
            answer.send(()).unwrap();
        }
    });
    let own = measured("threads", Heap::allocations(), |bencher| {
        bencher.iter_custom(|iterations| {
            count(iterations, || {
                alloc::exclude(|| ask.send(()).unwrap());
                alloc::exclude(|| answered.recv().unwrap());
                boxes(2);
            })
        });
    });
    assert_eq!(own, Some([2.0, 0.0]));
}

/// Runs a bench twice, with `runs` allocations per iteration. Returns the change from the first run to
/// the second.
fn change(name: &str, runs: [u32; 2]) -> Option<[f64; 2]> {
    let results = Results::new(name);
    for allocations in runs {
        results.run(Heap::allocations(), |bencher| {
            bencher.iter_custom(|iterations| count(iterations, || boxes(allocations)));
        });
    }
    results.estimates("change", ["mean", "median"])
}

#[test]
fn a_change_is_measured_exactly() {
    assert_eq!(change("more", [4, 5]), Some([0.25, 0.25]));
    assert_eq!(change("fewer", [4, 3]), Some([-0.25, -0.25]));
    assert_eq!(change("as_many", [4, 4]), Some([0.0, 0.0]));
}

#[test]
fn changes_from_and_to_zero_are_found() {
    // Criterion's files are read with an error in the last digit.
    let nearly = |change: Option<[f64; 2]>, expected: f64| {
        for point in change.unwrap() {
            let error = (point - expected) / expected.abs().max(1.0);
            assert!(error.abs() < 1e-12, "{point} is not {expected}");
        }
    };
    nearly(change("from_nothing", [0, 3]), 3.0 / NONE - 1.0);
    nearly(change("to_nothing", [4, 0]), NONE / 4.0 - 1.0);
    nearly(change("nothing", [0, 0]), 0.0);
}

/// Not a test, but a bench in a loop of criterion's own. The number of allocations is an argument.
#[test]
#[ignore = "run by another"]
fn loops() {
    let told = |name| std::env::var(name).unwrap_or_default();
    let allocations = told("ALLOCATIONS").parse().unwrap_or(0);
    let results = Results(told("RESULTS").into());
    results.run(Heap::allocations(), |bencher| {
        bencher.iter(|| boxes(allocations));
    });
}

/// Each run has another number of iterations, by which criterion divides.
#[test]
fn loops_of_criterion_compare_zero_as_well() {
    let results = Results::new("loops");
    let verdict_on = |allocations: u32| {
        let this = std::env::current_exe().unwrap();
        let output = Command::new(this)
            .args(["--exact", "loops", "--ignored", "--nocapture"])
            .env("RESULTS", &results.0)
            .env("ALLOCATIONS", allocations.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let verdicts = ["No change", "has improved", "has regressed", "within noise"];
        let said = verdicts.iter().filter(|it| printed.contains(**it));
        said.copied().collect::<Vec<_>>().join(" and ")
    };
    for (allocations, verdict) in [
        (0, ""),
        (0, "No change"),
        (0, "No change"),
        (0, "No change"),
        (1, "has regressed"),
        (1, "No change"),
        (0, "has improved"),
        (3, "has regressed"),
    ] {
        assert_eq!(verdict_on(allocations), verdict, "{allocations}");
    }
}

#[test]
fn a_peak_in_a_loop_of_criterions_own_is_refused() {
    let results = Results::new("refused_peak");
    let run = || results.run(Heap::peak_bytes(), |bencher| bencher.iter(three));
    let refused = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    let message = refused.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("iter_custom(|iterations| tracer_criterion::count("),
        "{message}"
    );
}

#[test]
fn occasional_allocations_are_averaged() {
    let turns = Cell::new(0_u32);
    let results = Results::new("now_and_then");
    results.run(Heap::allocations(), |bencher| {
        bencher.iter_custom(|iterations| {
            turns.set(0);
            count(2 * iterations, || {
                turns.set(turns.get() + 1);
                boxes(turns.get() % 2);
            })
        });
    });
    // Two rounds for each iteration that criterion knows of.
    assert_eq!(results.new_estimates(), Some([1.0, 0.0]));
}

#[test]
fn one_iteration_is_one_after_the_first() {
    let (mut runs, mut kept) = (0, Vec::new());
    let heap = one_iteration(|| {
        runs += 1;
        kept.resize(64, 1_u8);
        three()
    });
    assert_eq!(runs, 2);
    let counts = heap.counts.unwrap();
    assert_eq!(
        (counts.allocates(), counts.bytes_allocated, heap.peak_bytes),
        (3, 28, Some(24))
    );
}

/// Not a test, but the process whose output [`the_output`] checks.
#[test]
#[ignore = "run by another"]
fn prints() {
    let results = Results::new("printed");
    let bench = |id, heap, boxed: u32, kept: usize| {
        results.criterion(heap).bench_function(id, |bencher| {
            bencher.iter_custom(|iterations| {
                count(iterations, || {
                    boxes(boxed);
                    black_box(vec![1_u8; kept])
                })
            });
        });
    };
    println!();
    for boxed in [200, 201, 201, 0] {
        bench("allocations", Heap::allocations(), boxed, 0);
    }
    for boxed in [0, 0, 1] {
        bench("nothing", Heap::allocations(), boxed, 0);
    }
    bench("bytes", Heap::bytes(), 0, 1536);
    bench("peak", Heap::peak_bytes(), 9, 1000);
    let mut criterion = Criterion::default()
        .without_plots()
        .output_directory(&results.0)
        .sample_size(10)
        .nresamples(2_000)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_millis(5));
    time_and_heap(&mut criterion, "timed", three);
    let mut criterion = criterion.with_filter("another");
    time_and_heap(&mut criterion, "filtered out", three);
}

#[test]
fn the_output() {
    let this = std::env::current_exe().unwrap();
    let arguments = ["--exact", "prints", "--ignored", "--nocapture"];
    let output = Command::new(this).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines = printed
        .lines()
        .filter(|line| line.starts_with("    ") || line.contains("time:"));
    // Times are not compared. Between two runs without allocations criterion finds no difference,
    // or one in the last digit, depending on the number of iterations.
    let lines = lines.map(|line| match line.trim_start() {
        timed if timed.starts_with("timed ") => "timed",
        "No change in performance detected." | "Change within noise threshold." => {
            "                        None."
        }
        _ => line.split(" (p = ").next().unwrap(),
    });
    let no_change = |line: &&str| line.contains("change:") && line.contains("0.0000%");
    let lines: Vec<_> = lines.filter(|line| !no_change(line)).collect();
    assert_eq!(
        lines.join("\n"),
        "\
allocations             time:   [200.00 allocs 200.00 allocs 200.00 allocs]
allocations             time:   [201.00 allocs 201.00 allocs 201.00 allocs]
                        change: [+0.5000% +0.5000% +0.5000%]
                        Performance has regressed.
allocations             time:   [201.00 allocs 201.00 allocs 201.00 allocs]
                        None.
allocations             time:   [0.0000 allocs 0.0000 allocs 0.0000 allocs]
                        change: [−100.000% −100.000% −100.000%]
                        Performance has improved.
nothing                 time:   [0.0000 allocs 0.0000 allocs 0.0000 allocs]
nothing                 time:   [0.0000 allocs 0.0000 allocs 0.0000 allocs]
                        None.
nothing                 time:   [1.0000 allocs 1.0000 allocs 1.0000 allocs]
                        change: [+107374182300% +107374182300% +107374182300%]
                        Performance has regressed.
bytes                   time:   [1.5000 KiB 1.5000 KiB 1.5000 KiB]
peak                    time:   [1000.0 B 1000.0 B 1000.0 B]
timed
                        heap:   [3 allocs, 28 B, peak 24 B]"
    );
}
