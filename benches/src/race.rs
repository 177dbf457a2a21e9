//! A race: rivals that do the same, or a floor that no rival can go below.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;

use crate::repeat::within;
use crate::turns::{Quartiles, Run, take_turns};

/// Rivals, compared with the first.
#[must_use = "a race is run for its figures"]
pub struct Race<'a> {
    title: &'a str,
    names: Vec<&'a str>,
    runs: Vec<Run<'a>>,
}

impl fmt::Debug for Race<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race")
            .field("title", &self.title)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl<'a> Race<'a> {
    /// Creates a race without rivals. The others are compared with the first rival added.
    pub fn new(title: &'a str) -> Self {
        Self {
            title,
            names: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Adds work that is run repeatedly on this thread.
    pub fn rival<T>(self, name: &'a str, mut run: impl FnMut() -> T + 'a) -> Self {
        self.timed(name, move |times| {
            let start = Instant::now();
            for _ in 0..times {
                black_box(run());
            }
            start.elapsed()
        })
    }

    /// Adds work that is run in portions, each within something newly opened: see [`within`].
    pub fn within<T, R>(
        self,
        name: &'a str,
        size: u64,
        mut open: impl FnMut() -> T + 'a,
        mut run: impl FnMut(&mut T) -> R + 'a,
    ) -> Self {
        self.timed(name, move |times| within(times, size, &mut open, &mut run))
    }

    /// Adds work that runs a given number of times and returns its time.
    pub fn timed(mut self, name: &'a str, run: impl FnMut(u64) -> Duration + 'a) -> Self {
        self.names.push(name);
        self.runs.push(Box::new(run));
        self
    }

    /// Runs the race through criterion, or in turns for a table: each rival's median in nanoseconds,
    /// the quartiles, the ratio to the first rival's median and the difference from it.
    pub fn run(mut self) {
        if !wants_table() {
            return self.run_in_criterion();
        }
        let turns = take_turns(&mut self.runs);
        println!(
            "| {} | median ns | quartiles | ratio | difference |",
            self.title
        );
        println!("|---|--:|--:|--:|--:|");
        let first = turns.first().map_or(0.0, |first| first.median);
        for (name, turns) in self.names.iter().zip(turns) {
            let Quartiles {
                lower,
                median,
                upper,
            } = turns;
            println!(
                "| {name} | {median:.2} | {lower:.2}–{upper:.2} | {:.2} | {:+.2} |",
                median / first,
                median - first
            );
        }
        println!();
    }

    pub(crate) fn run_in_criterion(self) {
        let mut criterion = Criterion::default()
            .without_plots()
            .sample_size(50)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_secs(1))
            .configure_from_args();
        let mut group = criterion.benchmark_group(self.title);
        for (name, mut run) in self.names.into_iter().zip(self.runs) {
            group.bench_function(name, |bencher| bencher.iter_custom(&mut run));
        }
        group.finish();
    }

    pub(crate) fn title(&self) -> &'a str {
        self.title
    }

    /// Runs the rivals in turns, and returns their names and medians.
    pub(crate) fn medians(mut self) -> Vec<(&'a str, f64)> {
        let medians = take_turns(&mut self.runs);
        let medians = medians.into_iter().map(|turns| turns.median);
        self.names.into_iter().zip(medians).collect()
    }
}

/// Whether the process was started with `--table`.
pub(crate) fn wants_table() -> bool {
    std::env::args().any(|argument| argument == "--table")
}
