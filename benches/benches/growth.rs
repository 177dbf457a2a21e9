//! The cost of a call and of a request as their number grows. A flat curve is the goal.
//!
//! Each point of a curve is a rival, in turns with the other points. All costs include the trace itself,
//! its begin and its end, so per call a trace of one call costs more than a trace of ten.

use std::hint::black_box;
use std::num::NonZero;
use std::pin::Pin;
use std::sync::Barrier;
use std::task::{Context, Waker};
use std::thread::{ScopedJoinHandle, available_parallelism};
use std::time::{Duration, Instant};

use tracer::{Counting, Trace, call, traced};
use tracer_benches::processor::thread_time;
use tracer_benches::{Curves, Race, each_of};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

fn main() {
    let clock = quanta::Clock::new();
    // Some curves are repeated with bare clock reads, to show the machine's own part: how deep it
    // predicts returns, and what processors share.
    let clock_reads = || {
        for _ in 0..20 {
            black_box(clock.raw());
        }
    };
    Curves::new("growth")
        .curve(calls_in_a_trace())
        .curve(depth(
            "a call, of so many inside one another",
            || Trace::new().inject(),
            || call!(),
        ))
        .curve(depth(
            "two bare clock reads, of so many inside one another",
            || (),
            || Clocked::start(&clock),
        ))
        .curve(open_traces())
        .curve(threads(
            "a request of 10 calls, on so many threads: processor time",
            processor_time,
            || request(10),
        ))
        .curve(threads(
            "the same: wall-clock time × processors",
            wall_time,
            || request(10),
        ))
        .curve(threads(
            "20 bare clock reads: wall-clock time × processors",
            wall_time,
            clock_reads,
        ))
        .run();
}

fn calls_in_a_trace() -> Race<'static> {
    let sizes = [
        ("1", 1),
        ("10", 10),
        ("100", 100),
        ("1,000", 1_000),
        ("10,000", 10_000),
    ];
    let race = Race::new("a call, in a trace of so many");
    sizes.into_iter().fold(race, |race, (name, calls)| {
        race.timed(name, move |times| each_of(times, calls, || request(calls)))
    })
}

/// Functions that call one another to a given depth, each with something open, all within `begin`'s value.
fn depth<'a, S, T>(
    title: &'a str,
    begin: impl Fn() -> S + Copy + 'a,
    open: impl Fn() -> T + Copy + 'a,
) -> Race<'a> {
    let sizes = [("1", 1), ("10", 10), ("100", 100), ("1,000", 1_000)];
    sizes
        .into_iter()
        .fold(Race::new(title), |race, (name, depth)| {
            race.timed(name, move |times| {
                each_of(times, depth, || {
                    let _begun = begin();
                    nested(depth, &open);
                })
            })
        })
}

#[inline(never)]
fn nested<T>(depth: u32, open: &impl Fn() -> T) {
    let _opened = open();
    if black_box(depth) > 1 {
        nested(depth - 1, open);
    }
}

/// Reads the clock when it is made and when it is dropped.
struct Clocked<'a>(&'a quanta::Clock);

impl<'a> Clocked<'a> {
    fn start(clock: &'a quanta::Clock) -> Self {
        black_box(clock.raw());
        Self(clock)
    }
}

impl Drop for Clocked<'_> {
    fn drop(&mut self) {
        black_box(self.0.raw());
    }
}

/// The other open traces are waiting requests of an async service, each inside a call.
fn open_traces() -> Race<'static> {
    let sizes = [
        ("1", 1),
        ("10", 10),
        ("100", 100),
        ("1,000", 1_000),
        ("10,000", 10_000),
    ];
    let race = Race::new("a request of 10 calls, one of so many open");
    sizes.into_iter().fold(race, |race, (name, open)| {
        let others: Vec<_> = (1..open).map(|_| waiting()).collect();
        race.rival(name, move || {
            request(10);
            others.len()
        })
    })
}

fn waiting() -> Pin<Box<impl Future<Output = ()>>> {
    #[traced]
    async fn wait() {
        std::future::pending::<()>().await;
    }

    let mut request = Box::pin(Trace::new().instrument(wait()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(request.as_mut().poll(&mut context).is_pending());
    request
}

/// The same work on several threads at once, per run on one of them. The curve is flat if threads don't
/// contend.
fn threads<'a, R>(
    title: &'a str,
    time: fn(&[Ran]) -> Duration,
    work: impl Fn() -> R + Copy + Sync + 'a,
) -> Race<'a> {
    let sizes = [("1", 1), ("2", 2), ("4", 4), ("8", 8)];
    sizes
        .into_iter()
        .fold(Race::new(title), |race, (name, threads)| {
            race.timed(name, move |times| {
                time(&on_threads(threads, times, work)) / threads
            })
        })
}

/// The time of processors. Waiting for another thread is not in it.
fn processor_time(threads: &[Ran]) -> Duration {
    threads.iter().map(|ran| ran.processor_time).sum()
}

/// The time from the first start to the last end, times the processors that the threads can use. It
/// includes other programs on these processors.
fn wall_time(threads: &[Ran]) -> Duration {
    let started = threads.iter().map(|ran| ran.started).min();
    let ended = threads.iter().map(|ran| ran.ended).max();
    let wall = started
        .zip(ended)
        .map_or(Duration::ZERO, |(started, ended)| ended - started);
    let processors = available_parallelism().map_or(1, NonZero::get);
    let used = threads.len().min(processors);
    wall * u32::try_from(used).unwrap_or(u32::MAX)
}

/// The times of one thread.
struct Ran {
    started: Instant,
    ended: Instant,
    processor_time: Duration,
}

fn on_threads<R>(threads: u32, times: u64, work: impl Fn() -> R + Sync) -> Vec<Ran> {
    let together = Barrier::new(threads as usize);
    let run = || {
        black_box(work());
        together.wait();
        let (started, used) = (Instant::now(), thread_time());
        for _ in 0..times {
            black_box(work());
        }
        Ran {
            processor_time: thread_time().saturating_sub(used),
            started,
            ended: Instant::now(),
        }
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let ended = running.into_iter().map(ScopedJoinHandle::join);
        ended.map(|ran| ran.expect("the work panicked")).collect()
    })
}

fn request(calls: u32) {
    let _scope = Trace::new().inject();
    for _ in 0..calls {
        call!().stop();
    }
}
