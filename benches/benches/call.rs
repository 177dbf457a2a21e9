//! The cost of a call, beside the clock reads that it needs and the spans of peers.
//!
//! All calls and spans are opened in a trace of a few dozen, which is replaced by a new one outside of
//! the timed part. So no rival pays for a growing trace, or profits from a trace of one call. `Counting`
//! is the global allocator for all rivals: half a nanosecond of each allocation of a rival is its cost.
//!
//! The rivals do different things. `tracing`'s bare `Registry` keeps the open spans but no times;
//! `fastrace`, `puffin` and `hotpath` keep times but no allocations; `hotpath` keeps sums per function
//! and no tree. They are the alternatives for instrumenting a function. `hotpath` also opens its port on
//! localhost, which is not used.

use std::cell::RefCell;
use std::fmt::Write;
use std::hint::black_box;

use fastrace::Event;
use fastrace::collector::SpanContext;
use fastrace::local::LocalSpan;
use hotpath::{Format, HotpathGuardBuilder, Section};
use tracer::{Counting, Trace, call};
use tracer_benches::requests::{
    self, collected, in_fastrace, in_span, traced, traced_call, within_fastrace,
};
use tracer_benches::{Race, each_of, within};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// Nearly a page of records; a usual request has fewer calls.
const CALLS: u64 = 28;
/// Checkpoints inside one call.
const CHECKPOINTS: u64 = 20;

/// An id of the length of a UUID.
const ID: &str = "ca7a87c4-58d0-4fdf-857c-ef49fc3bf271";

fn main() {
    with_no_trace();
    requests::record_elsewhere();

    a_call();
    with_an_allocation();
    with_an_id();
    a_nested_pair();
    a_checkpoint();
    fetching();
    a_trace();
}

/// The cost of disabled instrumentation. Each rival checks that as in a service.
///
/// `hotpath` is not here, because it is disabled by leaving it out of the build.
fn with_no_trace() {
    Race::new("with no trace")
        .rival("tracing span, no subscriber", || {
            drop(tracing::info_span!("span").entered());
        })
        .rival("fastrace span, no parent", || {
            drop(LocalSpan::enter_with_local_parent("span"));
        })
        .rival("puffin scope, off", || {
            drop(puffin::profile_scope_custom!("scope"));
        })
        .rival("call", || call!().stop())
        .rival("call with an id of 36 bytes", || {
            let id = black_box(ID);
            call!("{id}").stop();
        })
        .rival("two calls, one in the other", || {
            let _outer = call!();
            call!().stop();
        })
        .rival("checkpoint", {
            let call = call!();
            move || black_box(&call).checkpoint("serialize")
        })
        .rival("fetch", tracer::fetch)
        .rival("inject and finish of an empty trace", || {
            drop(Trace::empty().inject());
        })
        .run();
    Race::new("an allocation and its free, with no trace")
        .rival("bare", allocate)
        .rival("in a call", || {
            let _call = call!();
            allocate();
        })
        .run();
}

/// The floor of any timed call is two clock reads, by the clock that `tracer` uses and by the bare
/// instruction.
fn a_call() {
    let clock = quanta::Clock::new();
    let race = Race::new("a call").within("two bare clock reads", CALLS, nothing, |()| {
        black_box(clock.raw());
        clock.raw()
    });
    #[cfg(target_arch = "x86_64")]
    let race = race.within("two bare rdtsc", CALLS, nothing, |()| {
        black_box(rdtsc());
        rdtsc()
    });
    race.within("call", CALLS, traced, |_| call!().stop())
        .within("puffin scope", CALLS, in_puffin, |_| {
            drop(puffin::profile_scope_custom!("scope"));
        })
        .timed("hotpath block", |times| {
            // Dropped at the end of the turn, so that its worker keeps up and its queue doesn't grow.
            let _profiler = HotpathGuardBuilder::new("call")
                .format(Format::None)
                .sections(vec![Section::FunctionsTiming])
                .build();
            within(times, CALLS, nothing, |()| {
                hotpath::measure_block!("block", {});
            })
        })
        .within("tracing span, bare Registry", CALLS, in_span, |_| {
            drop(tracing::info_span!("span").entered());
        })
        .timed("fastrace span", |times| {
            within_fastrace(times, CALLS, || {
                drop(LocalSpan::enter_with_local_parent("span"));
            })
        })
        .run();
}

/// Whether an allocation inside makes a call more expensive. The counters are read anyway.
fn with_an_allocation() {
    let clock = quanta::Clock::new();
    Race::new("a call with an allocation and its free")
        .within("two bare clock reads and both", CALLS, nothing, |()| {
            black_box(clock.raw());
            allocate();
            clock.raw()
        })
        .within("call", CALLS, traced, |_| {
            let _call = call!();
            allocate();
        })
        .run();
}

/// The floor formats the id into a buffer. `fastrace` keeps a `String`, because a request's id is only
/// known at run time. The bare `Registry` does not keep it.
fn with_an_id() {
    let clock = quanta::Clock::new();
    let text = RefCell::new(String::with_capacity(ID.len()));
    Race::new("a call with an id of 36 bytes")
        .within("two bare clock reads and a write!", CALLS, nothing, |()| {
            black_box(clock.raw());
            let mut text = text.borrow_mut();
            text.clear();
            let written = write!(text, "{}", black_box(ID));
            black_box(&written);
            clock.raw()
        })
        .within("call", CALLS, traced, |_| {
            let id = black_box(ID);
            call!("{id}").stop();
        })
        .within("tracing span, bare Registry", CALLS, in_span, |_| {
            let id = black_box(ID);
            drop(tracing::info_span!("span", id).entered());
        })
        .timed("fastrace span", |times| {
            within_fastrace(times, CALLS, || {
                let span = LocalSpan::enter_with_local_parent("span");
                drop(span.with_property(|| ("id", black_box(ID).to_owned())));
            })
        })
        .run();
}

/// Whether nested calls are more expensive: parents are stored, and peaks are passed outwards.
fn a_nested_pair() {
    let clock = quanta::Clock::new();
    Race::new("two calls, one in the other")
        .within("four bare clock reads", CALLS / 2, nothing, |()| {
            for _ in 0..4 {
                black_box(clock.raw());
            }
        })
        .within("calls", CALLS / 2, traced, |_| {
            let _outer = call!();
            call!().stop();
        })
        .within("tracing spans, bare Registry", CALLS / 2, in_span, |_| {
            let _outer = tracing::info_span!("outer").entered();
            drop(tracing::info_span!("inner").entered());
        })
        .timed("fastrace spans", |times| {
            within_fastrace(times, CALLS / 2, || {
                let _outer = LocalSpan::enter_with_local_parent("outer");
                drop(LocalSpan::enter_with_local_parent("inner"));
            })
        })
        .run();
}

/// A checkpoint has a time, so the floor is one clock read. Peers have events.
fn a_checkpoint() {
    let clock = quanta::Clock::new();
    Race::new("a checkpoint")
        .within("a bare clock read", CHECKPOINTS, nothing, |()| clock.raw())
        .within("checkpoint", CHECKPOINTS, traced_call, |(call, _)| {
            call.checkpoint("serialize");
        })
        .within("tracing event, bare Registry", CHECKPOINTS, in_span, |_| {
            tracing::info!("serialize");
        })
        .timed("fastrace event", |times| {
            within_fastrace(times, CHECKPOINTS, || {
                LocalSpan::add_event(Event::new("serialize"));
            })
        })
        .run();
}

/// The cost of a handle of the current trace, with its drop. Peers have such handles too.
fn fetching() {
    Race::new("fetch inside a call")
        .within(
            "tracing's current span, bare Registry",
            CALLS,
            in_span,
            |_| tracing::Span::current(),
        )
        .timed("fastrace's current context", |times| {
            within_fastrace(times, CALLS, SpanContext::current_local_parent)
        })
        .within("fetch", CALLS, traced_call, |_| tracer::fetch())
        .run();
}

/// The cost of an empty trace. The floor is the two clock reads of its begin and end. In `fastrace`
/// and `tracing` it is a root span.
fn a_trace() {
    let clock = quanta::Clock::new();
    Race::new("a trace with nothing in it")
        .rival("two bare clock reads", || {
            black_box(clock.raw());
            clock.raw()
        })
        .rival("trace, injected and finished", || drop(traced()))
        .rival("tracing root span, bare Registry", || drop(in_span()))
        .timed("fastrace root span", |times| {
            collected(times, |times| each_of(times, 1, || drop(in_fastrace())))
        })
        .run();
}

fn allocate() {
    black_box(Box::new([0_u8; 64]));
}

fn nothing() {}

/// Begins a frame in `puffin`, which ends the previous one. Without an outermost scope `puffin` would
/// hand in every scope under a lock.
fn in_puffin() -> Option<puffin::ProfilerScope> {
    puffin::GlobalProfiler::lock().new_frame();
    puffin::set_scopes_on(true);
    puffin::profile_scope_custom!("request")
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "std has no safe way to this instruction")]
#[inline]
fn rdtsc() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and it only reads.
    unsafe { std::arch::x86_64::_rdtsc() }
}
