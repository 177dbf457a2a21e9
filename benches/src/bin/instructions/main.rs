//! The program that `benches/instructions` runs under callgrind: one kind of work per process, counted
//! only inside [`counted`].
//!
//! Without an argument it lists the kinds, one a line: `NAME|BASE|LABEL`. With a name it does that
//! work and prints the number of times.

mod allocator;
mod calls;
mod futures;
mod http;
mod propagation;
mod requests;
mod spans;

use std::hint::black_box;
use std::process::ExitCode;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// The number of counted portions. The same number runs before, so that all memory is warm.
const PORTIONS: u64 = 20;

/// A kind of work: a line of the table.
struct Kind {
    name: &'static str,
    /// The kind whose instructions are subtracted; `nothing` is the loop itself.
    base: &'static str,
    /// Begins with a dash for a peer, which is printed but not checked.
    label: &'static str,
    /// Does the work, and returns the number of times that callgrind counted.
    run: fn() -> u64,
}

/// Returns a line with all instructions of the work.
const fn all(name: &'static str, label: &'static str, run: fn() -> u64) -> Kind {
    Kind {
        name,
        base: "nothing",
        label,
        run,
    }
}

/// Returns a line with the instructions of the work less those of its base.
const fn over(
    base: &'static str,
    name: &'static str,
    label: &'static str,
    run: fn() -> u64,
) -> Kind {
    Kind {
        name,
        base,
        label,
        run,
    }
}

const KINDS: &[Kind] = &[
    all(
        "call",
        "a call, counted, with peak and busy time",
        calls::call,
    ),
    all(
        "call-tracing",
        "– a `tracing` span, bare `Registry`",
        calls::span_in_tracing,
    ),
    all(
        "call-fastrace",
        "– a `fastrace` span",
        calls::span_in_fastrace,
    ),
    all("call-id", "a call with an id of 36 bytes", calls::with_id),
    all(
        "call-no-trace",
        "a call with no trace",
        calls::with_no_trace,
    ),
    all(
        "call-no-trace-tracing",
        "– a `tracing` span, no subscriber",
        calls::with_no_subscriber,
    ),
    all(
        "span",
        "a `tracing` span as a call, `layer()` over a `Registry`",
        spans::as_call,
    ),
    all(
        "span-no-trace",
        "a `tracing` span with that layer and no trace",
        spans::with_no_trace,
    ),
    all(
        "span-wrapped",
        "a `tracing` span as a call, in a wrapped subscriber",
        spans::as_call_in_wrapped,
    ),
    all(
        "span-wrapped-no-trace",
        "a `tracing` span in a wrapped subscriber and no trace",
        spans::in_wrapped_with_no_trace,
    ),
    all(
        "span-empty-layer",
        "– a `tracing` span, `Registry` with a layer that does nothing",
        spans::with_empty_layer,
    ),
    all(
        "span-label",
        "a `tracing` span as a call with a label",
        spans::as_call_with_label,
    ),
    all(
        "span-label-tracing",
        "– a `tracing` span with a field, bare `Registry`",
        spans::with_field,
    ),
    all(
        "span-pending",
        "a `tracing` span around a future, as a call, two polls",
        spans::around_future,
    ),
    all(
        "span-pending-empty-layer",
        "– in a `Registry` with a layer that does nothing",
        spans::around_future_with_empty_layer,
    ),
    all(
        "span-opentelemetry",
        "– a `tracing` span in `tracing-opentelemetry`, exported to nowhere",
        spans::in_opentelemetry,
    ),
    all("checkpoint", "a checkpoint", calls::checkpoint),
    all(
        "checkpoint-tracing",
        "– a `tracing` event, bare `Registry`",
        calls::event_in_tracing,
    ),
    all(
        "checkpoint-fastrace",
        "– a `fastrace` event",
        calls::event_in_fastrace,
    ),
    all(
        "async-call",
        "an async call, ready at the first poll",
        futures::ready_at_once,
    ),
    all(
        "async-call-tracing",
        "– in a `tracing` span, bare `Registry`",
        futures::ready_at_once_in_tracing,
    ),
    all(
        "async-call-fastrace",
        "– in a `fastrace` span",
        futures::ready_at_once_in_fastrace,
    ),
    all(
        "async-call-pending",
        "an async call, ready at the second poll",
        futures::pending_once,
    ),
    all(
        "async-call-pending-tracing",
        "– in a `tracing` span, bare `Registry`, two polls",
        futures::pending_once_in_tracing,
    ),
    all(
        "async-call-pending-fastrace",
        "– in a `fastrace` span, two polls",
        futures::pending_once_in_fastrace,
    ),
    all(
        "trace",
        "an empty trace: made, injected, dropped",
        requests::empty_trace,
    ),
    all(
        "trace-fastrace",
        "– a `fastrace` root span",
        requests::root_in_fastrace,
    ),
    all(
        "request",
        "a request of 9 calls and 6 checkpoints, recorded",
        requests::recorded,
    ),
    all(
        "request-tracing",
        "– in `tracing`, bare `Registry`",
        requests::in_tracing,
    ),
    all("request-fastrace", "– in `fastrace`", requests::in_fastrace),
    all("report", "its report: `Trace::report`", requests::report),
    all(
        "report-lines",
        "the report as lines: `{report}`",
        requests::lines,
    ),
    all(
        "report-tree",
        "the report as a tree: `{report:#}`",
        requests::tree,
    ),
    all(
        "recorder",
        "the request in a recorder that does not keep it",
        requests::in_recorder,
    ),
    all("recorder-finish", "of that, `finish`", requests::finish),
    all(
        "router",
        "an HTTP request to a plain axum router",
        http::plain,
    ),
    over(
        "router",
        "router-layer",
        "`RecorderLayer` adds, with no calls",
        http::recorded,
    ),
    over(
        "router",
        "router-layer-calls",
        "`RecorderLayer` adds, with 9 calls and 6 checkpoints",
        http::recorded_with_calls,
    ),
    over(
        "router",
        "router-layer-two",
        "`RecorderLayer` adds, with 9 calls and 2 checkpoints",
        http::recorded_with_two_checkpoints,
    ),
    over(
        "router-layer",
        "router-layer-header",
        "– a further header of the request adds, until it is dropped",
        http::recorded_with_header,
    ),
    over(
        "router-layer-header",
        "router-layer-traceparent",
        "if that is a `traceparent`, `RecorderLayer` adds",
        http::recorded_with_caller,
    ),
    all(
        "inject",
        "`propagation::inject` into the headers of a request",
        propagation::inject,
    ),
    all(
        "inject-continued",
        "`propagation::inject` in a trace that continues a caller's",
        propagation::inject_continued,
    ),
    all(
        "inject-by-hand",
        "– two headers of constant texts, inserted in the same way",
        propagation::by_hand,
    ),
    all("trace-id", "`fetch().trace_id()`", propagation::trace_id),
    over(
        "router",
        "router-empty-layer",
        "– a layer adds that puts the body into another one and does nothing else",
        http::empty_layer,
    ),
    over(
        "router",
        "router-middleware",
        "– an empty axum middleware adds",
        http::empty_middleware,
    ),
    over(
        "router",
        "router-trace-layer",
        "– tower-http's `TraceLayer` adds, its text discarded",
        http::trace_layer,
    ),
    over(
        "router",
        "router-spans",
        "`TraceLayer` and `layer().recorder(…)` add, with 9 spans and 6 events",
        http::spans_recorded,
    ),
    over(
        "router",
        "router-spans-fmt",
        "– `TraceLayer` and `fmt` add, with 9 spans and 6 events, the text discarded",
        http::spans_printed,
    ),
    all(
        "system",
        "alloc + free of 64 bytes, `System` (glibc)",
        allocator::system,
    ),
    over("system", "counting", "`Counting` adds", allocator::counting),
];

/// The script makes callgrind count inside functions of this name.
#[inline(never)]
fn counted<T, R>(opened: &mut T, times: u64, run: &mut impl FnMut(&mut T) -> R) {
    for _ in 0..times {
        black_box(run(opened));
    }
}

/// Runs portions of `size`, each within something that is opened for it and not counted. Returns the
/// number of counted runs.
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

/// Like [`within`], for work that consumes a value: `size` values are made, which is not counted.
fn each<T, R>(size: u64, mut make: impl FnMut() -> T, mut run: impl FnMut(T) -> R) -> u64 {
    let many = move || (0..size).map(|_| make()).collect::<Vec<_>>();
    within(size, many, |made| made.pop().map(&mut run))
}

/// Like [`within`], for work that needs nothing around it.
fn alone<R>(mut run: impl FnMut() -> R) -> u64 {
    within(28, || (), |()| run())
}

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        for Kind {
            name, base, label, ..
        } in KINDS
        {
            println!("{name}|{base}|{label}");
        }
        return ExitCode::SUCCESS;
    };
    let nothing = all("nothing", "", || alone(|| ()));
    let kind = KINDS
        .iter()
        .chain([&nothing])
        .find(|kind| kind.name == name);
    if let Some(kind) = kind {
        println!("{}", (kind.run)());
        ExitCode::SUCCESS
    } else {
        eprintln!("unknown work `{name}`");
        ExitCode::from(2)
    }
}
