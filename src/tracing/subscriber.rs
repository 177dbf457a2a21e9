//! The memory of the subscriber: what it allocates while it is told of spans and events is a figure of
//! the trace, and in no call.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;
use alloc_counter::subscriber::{Account, Excluded};
use tracing_core::Subscriber;
use tracing_core::span::Id;

use crate::store::trace::WeakTrace;
use crate::write::cursor;

use super::thread;

/// What the subscriber on this thread is being told.
struct Told {
    /// It is wrapped, and is being told something.
    is_wrapped: Cell<bool>,
    /// The trace of the span that it is told of, as far as the layer has seen that.
    trace: Cell<WeakTrace>,
    /// The trace to which this thread has added last.
    added: Cell<WeakTrace>,
}

thread_local! {
    static TOLD: Told = const {
        Told {
            is_wrapped: Cell::new(false),
            trace: Cell::new(WeakTrace::NONE),
            added: Cell::new(WeakTrace::NONE),
        }
    };
}

/// A whole subscriber, whose memory is in no call: see [`subscriber`].
pub type ExcludedSubscriber<S> = Excluded<S, TraceAccount>;

/// Wraps a whole subscriber, so that its memory is in no call.
///
/// The registry and the layers allocate while they are told of spans and events. This memory is then in no
/// call and not in [`Report::total`](crate::Report::total). Its sum is in
/// [`Report::subscriber`](crate::Report::subscriber). So a function has the allocations that it has without
/// a subscriber. What a value allocates while a layer formats it is the subscriber's, too.
///
/// ```
/// use tracer::Trace;
/// use tracing_subscriber::prelude::*;
///
/// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
/// let subscriber = tracing_subscriber::registry()
///     .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink))
///     .with(tracer::tracing::layer());
/// tracing::subscriber::set_global_default(tracer::tracing::subscriber(subscriber))?;
///
/// let trace = Trace::new();
/// let scope = trace.inject();
/// tracing::info_span!("handle").in_scope(|| tracing::info!("accepted"));
/// drop(scope);
/// let report = trace.report();
/// assert_eq!(report.calls[0].total.unwrap().allocates(), 0);
/// assert!(report.subscriber.unwrap().allocates() > 0);
/// # Ok::<(), tracing::subscriber::SetGlobalDefaultError>(())
/// ```
///
/// All methods are forwarded: downcasts to layers, level hints, filters and their `reload` handles work as
/// without the wrapper. The sum belongs to the trace that is current on the thread or, if none is, to that
/// of the span.
///
/// Without the wrapper, only the memory of [`layer`](super::layer) itself is in no call.
///
/// These allocations remain in the calls:
///
/// - those of layers that are stacked above the wrapper, and the memory of spans that is freed after these
///   layers have been told that a span is closed;
/// - those of functions that use the subscriber in another way than by spans and events, such as
///   `OpenTelemetrySpanExt::set_parent` and `reload::Handle::reload`;
/// - those of the program's expressions for the fields' values. Values that are formatted by `?` and `%` are
///   formatted in the subscriber.
///
/// If a span [is a request](super::CallLayer), its report has what was allocated until the layer was told
/// that the span is closed. So add [`layer`](super::layer) last.
pub fn subscriber<S: Subscriber>(inner: S) -> ExcludedSubscriber<S> {
    Excluded::new(inner, TraceAccount(()))
}

/// Adds what a subscriber allocates to the trace that it is told about.
#[derive(Debug)]
pub struct TraceAccount(());

/// The thread's state before the subscriber was told of something.
#[derive(Clone, Copy)]
pub struct Before {
    current: WeakTrace,
    was_wrapped: bool,
    told: WeakTrace,
}

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Before").finish_non_exhaustive()
    }
}

impl Account for TraceAccount {
    type Before = Before;

    #[inline]
    fn before(&self) -> Before {
        TOLD.with(|told| Before {
            current: current(),
            was_wrapped: told.is_wrapped.replace(true),
            told: told.trace.replace(WeakTrace::NONE),
        })
    }

    #[inline]
    fn after(&self, before: Before, counts: Counts) {
        TOLD.with(|told| {
            let of_span = told.trace.replace(before.told);
            told.is_wrapped.set(before.was_wrapped);
            let trace = before.current.or_else(|| current().or_else(|| of_span));
            // Most often it has allocated nothing, and the trace knows that it is wrapped.
            if trace != WeakTrace::NONE && (counts != Counts::ZERO || trace != told.added.get()) {
                told.added.set(trace);
                add(trace, counts);
            }
        });
    }

    #[inline]
    fn cloned(&self, span: &Id) {
        thread::note_clone(span.into_u64());
    }

    #[inline]
    fn dropped(&self, span: &Id) {
        // A registry has handles of its own while spans are entered.
        if !is_wrapped() {
            thread::note_drop(span.into_u64());
        }
    }
}

/// Whether the subscriber that is being told of something is wrapped.
#[inline]
pub(super) fn is_wrapped() -> bool {
    TOLD.with(|told| told.is_wrapped.get())
}

/// Notes that the subscriber is being told of a span of this trace.
#[inline]
pub(super) fn note(trace: WeakTrace) {
    TOLD.with(|told| {
        if told.is_wrapped.get() {
            told.trace.set(trace);
        }
    });
}

/// Adds what the subscriber has allocated until now to the trace that was noted, before it ends.
pub(super) fn settle() {
    let trace = TOLD.with(|told| told.trace.get());
    if is_wrapped() && trace != WeakTrace::NONE {
        add(trace, alloc_counter::take_counted());
    }
}

/// Returns the trace that is current on this thread.
#[inline]
fn current() -> WeakTrace {
    cursor::here(|here| {
        here.strand()
            .map_or(WeakTrace::NONE, |it| WeakTrace::of(it))
    })
}

#[cold]
fn add(trace: WeakTrace, counts: Counts) {
    let running = cursor::here(|here| {
        let strand = here.strand()?;
        trace.allowance_of_running(strand.trace.load(Relaxed))
    });
    match running {
        Some(allowance) => allowance.subscriber.add(counts),
        None => add_elsewhere(trace, counts),
    }
}

#[cold]
fn add_elsewhere(trace: WeakTrace, counts: Counts) {
    if let Some(trace) = trace.upgrade()
        && let Some(allowance) = trace.allowance()
    {
        allowance.subscriber.add(counts);
    }
}
