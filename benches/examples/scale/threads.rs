//! Requests on more threads than processors.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use tracer::recorder::Recorder;
use tracer_benches::processor::thread_time;

use super::{is_short, request};

const SIZES: [u32; 5] = [1, 2, 4, 8, 64];
const ROUNDS: usize = 7;
const TURN: Duration = Duration::from_millis(400);

/// What all threads of a turn did.
#[derive(Clone, Copy)]
struct Turn {
    requests: f64,
    processor: f64,
    wall: f64,
}

fn turn(recorder: &Recorder, threads: u32) -> Turn {
    let together = Barrier::new(threads as usize);
    let time = if is_short() { TURN / 20 } else { TURN };
    let work = || {
        together.wait();
        let (start, used) = (Instant::now(), thread_time());
        let mut requests = 0_u32;
        while start.elapsed() < time {
            for _ in 0..10 {
                // None of them fails.
                request(recorder, 1 + u64::from(requests % 50));
                requests += 1;
            }
        }
        let processor = thread_time().saturating_sub(used);
        (requests, processor.as_secs_f64())
    };
    let start = Instant::now();
    let ran: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        { running.into_iter() }
            .map(|it| it.join().expect("requests"))
            .collect()
    });
    Turn {
        requests: ran.iter().map(|it| f64::from(it.0)).sum(),
        processor: ran.iter().map(|it| it.1).sum(),
        wall: start.elapsed().as_secs_f64(),
    }
}

/// Returns whether each request was counted.
pub(crate) fn run() -> bool {
    println!("| threads | requests/s | ratio | processor ns for a request of 10 calls | ratio |");
    println!("|--:|--:|--:|--:|--:|");
    let recorder = Recorder::builder().start().expect("a recorder");
    let mut turns = vec![Vec::new(); SIZES.len()];
    for _ in 0..ROUNDS {
        for (turns, threads) in turns.iter_mut().zip(SIZES) {
            turns.push(turn(&recorder, threads));
        }
    }
    let mut first = None;
    for (turns, threads) in turns.iter().zip(SIZES) {
        let [rate, processor]: [fn(&Turn) -> f64; 2] = [
            |turn| turn.requests / turn.wall,
            |turn| turn.processor * 1e9 / turn.requests,
        ];
        let [rate, processor] = [rate, processor].map(|figure| {
            let mut figures: Vec<_> = turns.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[ROUNDS / 2]
        });
        let of = *first.get_or_insert((rate, processor));
        println!(
            "| {threads} | {rate:.0} | {:.2} | {processor:.0} | {:.2} |",
            rate / of.0,
            processor / of.1
        );
    }
    println!();
    let it = recorder.statistics();
    let all: f64 = turns.iter().flatten().map(|turn| turn.requests).sum();
    #[expect(clippy::cast_precision_loss, reason = "far fewer")]
    let counted = (it.kept + it.not_kept + it.dropped) as f64;
    (counted - all).abs() < 0.5 && it.in_flight == 0
}
