//! Rivals measured in turns.

use std::time::Duration;

use crate::repeat::count;

/// A turn lasts about this long: long against a clock read, short against a time slice.
const TURN: Duration = Duration::from_micros(500);
const TURNS: usize = 401;

/// What one run took, in nanoseconds: the median of the turns and the quartiles.
pub(crate) struct Quartiles {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

/// Runs so many times and says how long that took.
pub(crate) type Run<'a> = Box<dyn FnMut(u64) -> Duration + 'a>;

/// Everyone runs in turn, and comes after everyone else in turn.
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

/// How often to run for a turn. The quickest of three counts: one that was interrupted would make
/// all turns too short.
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
