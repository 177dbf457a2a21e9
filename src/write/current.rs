//! The current trace of a thread: `inject` sets it, `fetch` returns it.

use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;

use crate::store::trace::Trace;
use crate::write::context::{self, Entered};
use crate::write::cursor;
use crate::write::execution::Execution;

/// Guard of a trace that is current on this thread, made by [`Trace::inject`].
///
/// This thread records into the trace until the scope is dropped.
#[must_use = "the trace is current until the scope is dropped: bind it, `let _scope = …`; `let _ = …` drops it at once"]
pub struct Scope {
    // Dropped first: see `Execution`.
    _entered: Option<Entered>,
    execution: Execution,
    _not_send: PhantomData<EndsOnItsThread>,
}

/// The compiler's message names this type if a scope is sent, or is held over an `.await` of a task that
/// may change threads. Use [`Trace::instrument`] there.
#[derive(Debug)]
struct EndsOnItsThread {
    _not_send: PhantomData<*const ()>,
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope")
            .field("trace", self.execution.trace())
            .finish_non_exhaustive()
    }
}

impl Trace {
    /// Makes the trace current on this thread until the scope is dropped.
    ///
    /// Each scope is a strand of its own. Scopes of different traces nest, and the outer trace counts
    /// what happens in the inner scope too. A scope of the same trace on the same thread takes over
    /// until it ends, so that nothing is counted twice. Scopes may be dropped in any order.
    ///
    /// Do not hold a scope over an `.await`: it would record other tasks that the thread polls
    /// meanwhile. Use [`instrument`](Self::instrument) for a future, and
    /// [`InCurrentTrace`](crate::InCurrentTrace) for one that is spawned:
    /// `tokio::spawn(work().in_current_trace())`.
    ///
    /// Injecting an empty trace does nothing. Beyond the trace's limit of
    /// [strands](crate::Limits::strands), the calls of a scope are
    /// [added up by path](crate::Report::folded); reports have them while the scope is open.
    ///
    /// ```
    /// use tracer::{Trace, call};
    ///
    /// let trace = Trace::new();
    /// let scope = trace.inject();
    /// call!("work").stop();
    /// drop(scope);
    /// call!("later").stop();
    /// assert_eq!(trace.report().calls.len(), 1);
    /// ```
    #[doc(alias = "enter")]
    pub fn inject(&self) -> Scope {
        let (entered, execution) = Execution::begin_entered(self);
        Scope {
            _entered: entered,
            execution,
            _not_send: PhantomData,
        }
    }
}

/// Returns the current trace as [`fetch`] does, with the innermost recorded call. Nothing is spawned below it.
#[cfg(feature = "propagation")]
#[inline]
pub(crate) fn caller_here() -> Option<Trace> {
    cursor::here(|here| {
        let strand = here.strand()?;
        let call = context::recorded_here(here, strand);
        Some(Trace::of(strand.trace.load(Relaxed), call))
    })
}

/// Returns a handle of the trace that is current on this thread, with the call that is open now, or an
/// empty trace if no trace is current.
///
/// Without a current trace it costs a load and a branch. To take the trace along to a closure or a
/// future, use [`in_current_trace`](crate::in_current_trace) or
/// [`InCurrentTrace`](crate::InCurrentTrace).
///
/// ```
/// assert!(tracer::fetch().is_empty());
/// let trace = tracer::Trace::new();
/// let _scope = trace.inject();
/// assert_eq!(tracer::fetch().id(), trace.id());
/// ```
#[doc(alias = "current")]
#[inline]
pub fn fetch() -> Trace {
    cursor::here(|here| match here.strand() {
        Some(strand) => Trace::of(strand.trace.load(Relaxed), context::open_in(here, strand)),
        None => Trace::empty(),
    })
}
