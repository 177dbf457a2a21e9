//! A race: rivals measured in turns within one run, so that what disturbs the machine disturbs
//! them alike, and their ratio means something where their nanoseconds do not.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// One thing to be measured: runs so many times and says how long that took.
type Rival<'a> = (&'a str, Box<dyn FnMut(u64) -> Duration + 'a>);

/// Rivals that take turns.
#[must_use = "a race is run for its table"]
pub struct Race<'a> {
    title: &'a str,
    rivals: Vec<Rival<'a>>,
}

impl fmt::Debug for Race<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race")
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}

/// A turn lasts about this long: long against a clock read, short against a time slice.
const TURN: Duration = Duration::from_micros(500);
const TURNS: usize = 401;

impl<'a> Race<'a> {
    /// A race without rivals; the first one added is what the others are compared with.
    pub fn new(title: &'a str) -> Self {
        Self {
            title,
            rivals: Vec::new(),
        }
    }

    /// Adds what is run again and again on this thread.
    pub fn rival<T>(self, name: &'a str, mut run: impl FnMut() -> T + 'a) -> Self {
        self.timed(name, move |times| {
            let start = Instant::now();
            for _ in 0..times {
                black_box(run());
            }
            start.elapsed()
        })
    }

    /// Adds what runs so many times by itself and says how long that took.
    pub fn timed(mut self, name: &'a str, run: impl FnMut(u64) -> Duration + 'a) -> Self {
        self.rivals.push((name, Box::new(run)));
        self
    }

    /// Runs the race and prints a Markdown table: the median of the turns in nanoseconds, the
    /// quartiles, and the ratio of the medians and the difference to the first.
    pub fn run(mut self) {
        let times: Vec<u64> = self
            .rivals
            .iter_mut()
            .map(|(_, run)| calibrate(run))
            .collect();
        let mut turns = vec![Vec::with_capacity(TURNS); self.rivals.len()];
        for turn in 0..TURNS {
            for place in 0..self.rivals.len() {
                // Everyone comes after everyone else in turn.
                let index = (place + turn) % self.rivals.len();
                let elapsed = self.rivals[index].1(times[index]);
                turns[index].push(nanos(elapsed) / count(times[index]));
            }
        }
        println!(
            "| {} | median ns | quartiles | ratio | difference |",
            self.title
        );
        println!("|---|--:|--:|--:|--:|");
        let mut first = None;
        for ((name, _), mut turns) in self.rivals.iter().zip(turns) {
            turns.sort_by(f64::total_cmp);
            let [lower, median, upper] = [1, 2, 3].map(|quarter| turns[TURNS * quarter / 4]);
            let first = *first.get_or_insert(median);
            println!(
                "| {name} | {median:.2} | {lower:.2}–{upper:.2} | {:.2} | {:+.2} |",
                median / first,
                median - first
            );
        }
        println!();
    }
}

/// How often to run for a turn.
fn calibrate(run: &mut dyn FnMut(u64) -> Duration) -> u64 {
    let mut times = 1;
    while run(times) < TURN {
        times *= 2;
    }
    times
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

#[expect(clippy::cast_precision_loss, reason = "a number of runs")]
fn count(times: u64) -> f64 {
    times as f64
}
