//! One line of execution in a trace, from its beginning to its end: a thread's scope, a future, an HTTP
//! exchange.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Local;

use crate::primitives::pool::Member;
use crate::store::address::Address;
use crate::store::strand::Strand;
use crate::store::trace::Trace;
use crate::write::context::{self, Entered};
use crate::write::cursor;

/// A strand of a trace, which ends when this is dropped.
///
/// It has no strand if the trace is empty, if memory ran out, or if no more strands may be open. Then
/// all methods do nothing, and what runs is recorded as it would be without the execution. The trace
/// counts the missing strand as dropped.
///
/// The owner upholds:
///
/// - Each [`Entered`] is dropped before the execution, since a strand that has ended may be used by
///   another trace. A struct that keeps both declares the `Entered` first.
/// - One thread at a time has an `Entered`: a future is polled by one thread at a time, and a
///   [`Scope`](crate::Scope) is not `Send`.
pub(crate) struct Execution {
    strand: Option<&'static Member<Strand>>,
    /// Keeps the strand from being recycled.
    trace: Trace,
}

impl Execution {
    /// Begins a strand below the call that the handle knows, or else below the call of the same trace
    /// that is open on this thread.
    #[inline]
    pub(crate) fn begin(trace: &Trace) -> Self {
        Self {
            strand: new_strand(trace),
            trace: trace.clone(),
        }
    }

    /// Begins a strand and enters it. The `Entered` is to be dropped first.
    // So neither is moved after it was made.
    #[inline]
    pub(crate) fn begin_entered(trace: &Trace) -> (Option<Entered>, Self) {
        let strand = new_strand(trace);
        let entered = strand.map(Entered::new);
        let trace = trace.clone();
        (entered, Self { strand, trace })
    }

    /// Returns an execution of an empty trace. Put in place of another, it ends that one.
    #[cfg(feature = "tower")]
    pub(crate) const fn none() -> Self {
        Self {
            strand: None,
            trace: Trace::empty(),
        }
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Makes the strand current on this thread until the guard is dropped.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Entered> {
        self.strand.map(Entered::new)
    }

    /// Enters the strand to drop what ran in it. If that had not finished, `is_cancelled`, the calls
    /// that stop from now on are cancelled.
    pub(crate) fn enter_to_drop(&self, is_cancelled: bool) -> Option<Entered> {
        let entered = self.enter();
        if let (Some(strand), true) = (self.strand, is_cancelled) {
            strand.cancelling.begin();
            cursor::here(|here| here.review(Local::current()));
        }
        entered
    }

    /// Runs `work` in the strand.
    #[inline]
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.enter();
        work()
    }
}

impl Drop for Execution {
    #[inline]
    fn drop(&mut self) {
        if let Some(strand) = self.strand {
            self.trace.end(strand);
        }
    }
}

fn new_strand(trace: &Trace) -> Option<&'static Member<Strand>> {
    if trace.is_empty() {
        return None;
    }
    let parent = if trace.has_parent() {
        trace.parent()
    } else {
        let number = trace.number();
        cursor::here(|here| {
            cursor::entered(here)
                .find(|strand| strand.trace.load(Relaxed) == number)
                .map_or(Address::NONE, |strand| context::open_in(here, strand))
        })
    };
    let strand = trace.strand(parent);
    #[cfg(feature = "blocks")]
    if strand.is_none() {
        crate::write::blocks::lose(trace);
    }
    strand
}
