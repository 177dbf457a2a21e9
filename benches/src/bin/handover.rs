//! What `inject` costs where a trace is handed over to: on this thread, on one that waits for it, in
//! `spawn_blocking`. Prints a table: `cargo run --release -p tracer-benches --no-default-features --bin handover`.
//!
//! Each row is another place in which the same work is timed, once in each request: nothing, which is what two clock
//! reads take there; eight lines of memory that the thread of the request has just written; `inject` and the end of
//! its scope; and that once more, at once. If a place makes all of them slow, it is the place. If only the first
//! `inject` is slow, it is what it touches for the first time there.

use std::hint::black_box;
use std::sync::mpsc::{Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use quanta::Clock;
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;
use tracer::{Counting, Trace, call};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const REQUESTS: usize = 4_000;
const LINES: usize = 8;
/// More than the second-level cache of a processor.
const MUCH: usize = 4 << 20;

/// A line of memory.
#[repr(align(64))]
struct Line(u64);

/// What is handed over, and timed where it arrives.
struct Work {
    clock: Clock,
    trace: Trace,
    lines: Box<[Line; LINES]>,
}

impl Work {
    /// Returns the ticks of each kind of work.
    fn run(mut self) -> [u64; 4] {
        let moments = [
            self.clock.raw(),
            self.clock.raw(),
            self.write_lines(),
            self.inject(),
            self.inject(),
        ];
        std::array::from_fn(|index| moments[index + 1].saturating_sub(moments[index]))
    }

    fn write_lines(&mut self) -> u64 {
        for line in &mut *self.lines {
            line.0 += 1;
        }
        black_box(&mut self.lines);
        self.clock.raw()
    }

    fn inject(&self) -> u64 {
        drop(black_box(self.trace.inject()));
        self.clock.raw()
    }
}

fn main() {
    let clock = Clock::new();
    let blocking = Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    let waiting = Waiting::start();
    let mut much = vec![0_u8; MUCH];

    println!("| where | nothing | {LINES} lines | `inject` | once more | the end |");
    println!("|---|--:|--:|--:|--:|--:|");
    row(&clock, "on this thread, warm", Work::run);
    row(
        &clock,
        "on this thread, after 4 MiB of other memory",
        |work| {
            for byte in much.iter_mut().step_by(64) {
                *byte += 1;
            }
            black_box(&mut much);
            work.run()
        },
    );
    row(&clock, "on a thread that spins", |work| waiting.run(work));
    row(&clock, "in `spawn_blocking`", |work| {
        run_blocking(&blocking, work)
    });
    row(&clock, "in `spawn_blocking`, after 4 MiB there", |work| {
        run_blocking_cold(&blocking, work)
    });
}

/// Prints the medians of each kind of work in a place, in nanoseconds.
fn row(clock: &Clock, place: &str, mut run: impl FnMut(Work) -> [u64; 4]) {
    let mut times: [Vec<u64>; 5] = Default::default();
    for _ in 0..REQUESTS {
        let trace = Trace::with_capacity(10);
        let scope = trace.inject();
        let outer = call!("handler");
        let mut lines = Box::new([const { Line(0) }; LINES]);
        for line in &mut *lines {
            line.0 += 1;
        }
        let trace = tracer::fetch();
        let work = Work {
            clock: clock.clone(),
            trace,
            lines: black_box(lines),
        };
        let there = run(work);
        let start = clock.raw();
        drop(outer);
        drop(scope);
        let end = clock.raw() - start;
        for (times, ticks) in times.iter_mut().zip(there.into_iter().chain([end])) {
            times.push(clock.delta_as_nanos(0, ticks));
        }
    }
    print!("| {place} |");
    for mut times in times {
        times.sort_unstable();
        print!(" {} |", times[times.len() / 2]);
    }
    println!();
}

fn run_blocking(runtime: &Runtime, work: Work) -> [u64; 4] {
    runtime
        .block_on(async { spawn_blocking(|| work.run()).await })
        .expect("no panic")
}

fn run_blocking_cold(runtime: &Runtime, work: Work) -> [u64; 4] {
    let run = move || {
        let mut much = vec![0_u8; MUCH];
        for byte in much.iter_mut().step_by(64) {
            *byte += 1;
        }
        black_box(&mut much);
        work.run()
    };
    runtime
        .block_on(async { spawn_blocking(run).await })
        .expect("no panic")
}

/// A thread that waits for work without sleeping.
struct Waiting {
    work: Sender<Work>,
    done: Arc<Mutex<Option<[u64; 4]>>>,
}

impl Waiting {
    fn start() -> Self {
        let (work, arrives) = channel::<Work>();
        let done = Arc::new(Mutex::new(None));
        let place = Arc::clone(&done);
        thread::spawn(move || {
            loop {
                match arrives.try_recv() {
                    Ok(work) => *place.lock().expect("no panic") = Some(work.run()),
                    Err(TryRecvError::Empty) => std::hint::spin_loop(),
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        });
        Self { work, done }
    }

    fn run(&self, work: Work) -> [u64; 4] {
        self.work.send(work).expect("the thread is there");
        loop {
            if let Some(done) = self.done.lock().expect("no panic").take() {
                return done;
            }
            std::hint::spin_loop();
        }
    }
}
