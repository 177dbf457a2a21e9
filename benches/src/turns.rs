//! Rivals measured in turns.

use std::time::Duration;

use crate::repeat::count;

/// The approximate length of a turn: long compared with a clock read, short compared with a time slice.
const TURN: Duration = Duration::from_micros(500);
const TURNS: usize = 401;

/// The time of one run in nanoseconds: the median of the turns and the quartiles.
pub(crate) struct Quartiles {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

/// Runs a given number of times, and returns the time.
pub(crate) type Run<'a> = Box<dyn FnMut(u64) -> Duration + 'a>;

/// Runs the rivals in turns. Each round begins with another rival.
pub(crate) fn take_turns(rivals: &mut [Run<'_>]) -> Vec<Quartiles> {
    let times: Vec<u64> = rivals.iter_mut().map(|run| calibrate(run)).collect();
    let mut turns = vec![Vec::with_capacity(TURNS); rivals.len()];
    for turn in 0..TURNS {
        for place in 0..rivals.len() {
            let index = (place + turn) % rivals.len();
            let elapsed = rivals[index](times[index]);
            turns[index].push(elapsed.as_secs_f64() * 1e9 / count(times[index]));
        }
    }
    turns.into_iter().map(quartiles).collect()
}

/// Returns the number of runs in a turn. The fastest of three measurements counts, because an
/// interrupted one would make all turns too short.
fn calibrate(run: &mut dyn FnMut(u64) -> Duration) -> u64 {
    let mut times = 1;
    while (0..3).any(|_| run(times) < TURN) {
        times *= 2;
    }
    times
}

fn quartiles(mut turns: Vec<f64>) -> Quartiles {
    turns.sort_by(f64::total_cmp);
    let [lower, median, upper] = [1, 2, 3].map(|quarter| turns[TURNS * quarter / 4]);
    Quartiles {
        lower,
        median,
        upper,
    }
}
