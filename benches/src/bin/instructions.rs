//! What `benches/instructions` counts under callgrind: one kind of work in a run, and of that only what
//! happens in `counted`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use fastrace::local::LocalSpan;
use tracer::recorder::{Policy, Recorder, Recording};
use tracer::{Call, Counting, Trace, call};
use tracer_benches::requests::{in_fastrace, in_span, record_elsewhere, traced, traced_call};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// So many portions, after as many that are not counted: then all memory is there.
const PORTIONS: u64 = 20;
/// So many calls fill a page of records, nearly.
const CALLS: u64 = 28;
/// So many checkpoints are inside one call.
const CHECKPOINTS: u64 = 20;
/// So many requests are over one after the other.
const REQUESTS: u64 = 8;

/// The script tells callgrind to count in functions of this name.
#[inline(never)]
fn counted<T, R>(opened: &mut T, times: u64, run: &mut impl FnMut(&mut T) -> R) {
    for _ in 0..times {
        black_box(run(opened));
    }
}

/// Portions of some runs, each within something that is opened afresh and not counted. Says how many
/// runs were counted.
fn within<T, R>(size: u64, mut open: impl FnMut() -> T, mut run: impl FnMut(&mut T) -> R) -> u64 {
    for _ in 0..PORTIONS {
        let mut opened = open();
        for _ in 0..size {
            black_box(run(&mut opened));
        }
    }
    for _ in 0..PORTIONS {
        counted(&mut open(), size, &mut run);
    }
    PORTIONS * size
}

fn alone<R>(mut run: impl FnMut() -> R) -> u64 {
    within(CALLS, || (), |()| run())
}

/// Ten calls: one outermost, six in it, three in these.
fn work() {
    let _handle = call!();
    (0..3).for_each(|_| query());
    leaf();
    leaf();
    leaf();
}

fn query() {
    let _call = call!();
    black_box(Box::new([0_u8; 64]));
    leaf();
}

fn leaf() {
    call!().stop();
}

fn recorder() -> Recorder {
    let policy = Policy::none().failed().slower_than(Duration::from_hours(1));
    let recorder = Recorder::builder().policy(policy).start();
    recorder.expect("a thread")
}

fn open(recorder: &Recorder) -> Recording {
    let recording = recorder.begin("GET /orders/{id}");
    let _scope = recording.inject();
    work();
    recording
}

#[expect(unsafe_code, reason = "only one allocator is the global one")]
fn allocate(allocator: &impl GlobalAlloc) {
    let layout = black_box(Layout::new::<[u8; 64]>());
    // SAFETY: the layout has a size, and what comes from the allocator is given back to it with the
    // same layout, unless it is null.
    unsafe {
        let memory = black_box(allocator.alloc(layout));
        if !memory.is_null() {
            allocator.dealloc(memory, layout);
        }
    }
}

/// Does one kind of work; says how often. None if there is no such kind.
fn run(what: &str) -> Option<u64> {
    Some(match what {
        "nothing" => alone(|| ()),
        "call" => within(CALLS, traced, |_| call!().stop()),
        "call-id" => within(CALLS, traced, |_| {
            let id = black_box("ca7a87c4-58d0-4fdf-857c-ef49fc3bf271");
            call!("{id}").stop();
        }),
        "call-no-trace" => alone(|| call!().stop()),
        "checkpoint" => within(CHECKPOINTS, traced_call, |(call, _): &mut (Call, _)| {
            call.checkpoint("serialize");
        }),
        "trace" => alone(|| drop(traced())),
        "traced-ten" => within(
            REQUESTS,
            || (),
            |()| {
                let trace = Trace::new();
                let _scope = trace.inject();
                work();
            },
        ),
        "recorded-ten" => {
            let recorder = recorder();
            within(REQUESTS, || (), |()| drop(open(&recorder)))
        }
        "finish-ten" => {
            let recorder = recorder();
            let many = || (0..REQUESTS).map(|_| open(&recorder)).collect::<Vec<_>>();
            within(REQUESTS, many, |recordings| drop(recordings.pop()))
        }
        "system" => alone(|| allocate(&System)),
        "counting" => alone(|| allocate(&ALLOCATOR)),
        "tracing" => {
            record_elsewhere();
            within(CALLS, in_span, |_| {
                drop(tracing::info_span!("span").entered());
            })
        }
        "tracing-none" => alone(|| drop(tracing::info_span!("span").entered())),
        "fastrace" => {
            record_elsewhere();
            within(CALLS, in_fastrace, |_| {
                drop(LocalSpan::enter_with_local_parent("span"));
            })
        }
        _ => return None,
    })
}

fn main() -> ExitCode {
    let what = std::env::args().nth(1).unwrap_or_default();
    if let Some(times) = run(&what) {
        println!("{times}");
        ExitCode::SUCCESS
    } else {
        eprintln!("unknown work `{what}`");
        ExitCode::from(2)
    }
}
