//! The workload that the Go library of the same name is measured with: a request of nine calls and
//! six checkpoints, four levels deep.
//!
//! ```text
//! root ── a ── a1 ── closure
//!      │    └─ a2
//!      └─ b ── b1 ── closure
//!           └─ closure
//! ```
//!
//! Two checkpoints each in `root`, `a` and `b`. Every library traces the same tree of functions,
//! none of them inlined; in those that have no checkpoints, an event is one. The request itself is
//! in what is measured: to make the trace and to finish it.

use std::fmt::Write;
use std::hint::black_box;

use tracer::{Counting, Trace};
use tracer_benches::processor::process_time;
use tracer_benches::{Race, each_of, each_of_by, requests};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// So many requests are collected together by `fastrace`: enough that the thread which it starts
/// for that weighs little.
const HANDED_IN: u32 = 500;

/// The tree of functions, in one library: `$root`, `$call` and `$checkpoint` are macros that open
/// the outermost call and another one, and set a checkpoint in one.
macro_rules! tree {
    ($library:ident, $root:ident, $call:ident, $checkpoint:ident) => {
        mod $library {
            #[inline(never)]
            pub(crate) fn root() {
                let call = $root!();
                $checkpoint!(call, "a");
                a();
                $checkpoint!(call, "b");
                b();
                drop(call);
            }

            #[inline(never)]
            fn a() {
                let call = $call!("a");
                $checkpoint!(call, "a1");
                a1();
                $checkpoint!(call, "a2");
                a2();
                drop(call);
            }

            #[inline(never)]
            fn a1() {
                let call = $call!("a1");
                closure();
                drop(call);
            }

            #[inline(never)]
            fn a2() {
                drop($call!("a2"));
            }

            #[inline(never)]
            fn b() {
                let call = $call!("b");
                $checkpoint!(call, "b1");
                b1();
                $checkpoint!(call, "closure");
                closure();
                drop(call);
            }

            #[inline(never)]
            fn b1() {
                let call = $call!("b1");
                closure();
                drop(call);
            }

            #[inline(never)]
            fn closure() {
                drop($call!("closure"));
            }
        }
    };
}

/// A function that does nothing but to be called.
struct Untraced;

impl Drop for Untraced {
    fn drop(&mut self) {
        black_box(());
    }
}

macro_rules! untraced {
    ($($name:literal)?) => {
        crate::Untraced
    };
}

macro_rules! no_checkpoint {
    ($call:ident, $name:literal) => {
        std::hint::black_box($name)
    };
}

tree!(untraced, untraced, untraced, no_checkpoint);

macro_rules! traced {
    ($($name:literal)?) => {
        tracer::call!()
    };
}

macro_rules! checkpoint {
    ($call:ident, $name:literal) => {
        $call.checkpoint($name)
    };
}

tree!(traced, traced, traced, checkpoint);

macro_rules! tracing_root {
    () => {
        tracing::info_span!("root").entered()
    };
}

macro_rules! tracing_span {
    ($name:literal) => {
        tracing::info_span!($name).entered()
    };
}

macro_rules! tracing_event {
    ($span:ident, $name:literal) => {
        tracing::info!($name)
    };
}

tree!(in_tracing, tracing_root, tracing_span, tracing_event);

macro_rules! fastrace_root {
    () => {
        tracer_benches::requests::in_fastrace()
    };
}

macro_rules! fastrace_no_root {
    () => {
        fastrace::local::LocalSpan::enter_with_local_parent("root")
    };
}

macro_rules! fastrace_span {
    ($name:literal) => {
        fastrace::local::LocalSpan::enter_with_local_parent($name)
    };
}

macro_rules! fastrace_event {
    ($span:ident, $name:literal) => {
        fastrace::local::LocalSpan::add_event(fastrace::Event::new($name))
    };
}

tree!(in_fastrace, fastrace_root, fastrace_span, fastrace_event);
tree!(
    in_fastrace_without_parent,
    fastrace_no_root,
    fastrace_span,
    fastrace_event
);

fn main() {
    with_no_trace();
    requests::record_elsewhere();
    recorded();
    reported();
}

/// The floor is the tree without any tracing.
fn with_no_trace() {
    Race::new("9 calls, 6 checkpoints, with no trace")
        .rival("untraced", untraced::root)
        .rival("tracer", traced::root)
        .rival("tracing, no subscriber", in_tracing::root)
        .rival("fastrace, no parent", in_fastrace_without_parent::root)
        .run();
}

/// The floor is the tree with the clock reads that nine timed calls and six checkpoints need. The
/// bare `Registry` reads none. What `fastrace` hands to its collector's thread is not waited for
/// within the time.
fn recorded() {
    let clock = quanta::Clock::new();
    Race::new("9 calls, 6 checkpoints, recorded")
        .rival("untraced, and 24 bare clock reads", || {
            untraced::root();
            for _ in 0..24 {
                black_box(clock.raw());
            }
        })
        .rival("tracer", || drop(request()))
        .rival("tracing, bare Registry", in_tracing::root)
        .timed("fastrace", |times| {
            requests::collected(times, |times| each_of(times, 1, in_fastrace::root))
        })
        .run();
}

/// Until something can be read. A report of `tracer` is plain data, as are the records that
/// `fastrace` makes, of many requests at a time, on a thread of its own. So this is the time of
/// processors, of all threads. Only `tracer` writes text.
fn reported() {
    let mut text = String::with_capacity(4096);
    Race::new("9 calls, 6 checkpoints, until it can be read: processor time")
        .timed("tracer: recorded and reported", |times| {
            each_of_by(process_time, times, 1, || request().report())
        })
        .timed("tracer: recorded and printed", |times| {
            each_of_by(process_time, times, 1, || {
                text.clear();
                let written = write!(text, "{}", request());
                black_box((&written, &text));
            })
        })
        .timed("fastrace: recorded and collected", |times| {
            each_of_by(process_time, times, HANDED_IN, || {
                for _ in 0..HANDED_IN {
                    in_fastrace::root();
                }
                fastrace::flush();
            })
        })
        .run();
}

/// In `tracer`, finished but for its last handle.
fn request() -> Trace {
    let trace = Trace::new();
    let _scope = trace.inject();
    traced::root();
    trace
}
