//! The current trace of a thread: `inject` sets it, `fetch` returns it.

use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;

use crate::store::trace::Trace;
use crate::write::context::{self, Entered};
use crate::write::cursor;
use crate::write::execution::Execution;

/// A trace's strand that runs on this thread until this is dropped.
///
/// What is recorded meanwhile on this thread goes into that strand. Made by [`Trace::inject`].
#[must_use = "the trace is current until the scope is dropped: bind it, `let _scope = …`; `let _ = …` drops it at once"]
pub struct Scope {
    // Dropped first: see `Execution`.
    _entered: Option<Entered>,
    execution: Execution,
    _not_send: PhantomData<EndsOnItsThread>,
}

/// What a compiler's message names where a scope is sent, or held over an `.await` of a task that
/// may change threads: use [`Trace::instrument`] there.
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
    /// The scope is a strand of its own. Scopes of different traces nest: the outer trace goes on
    /// counting, inclusively. A scope of the same trace on the same thread takes over until it
    /// ends, so that nothing is counted twice. Scopes may be dropped in any order.
    ///
    /// Not over an `.await`: other tasks that the thread polls meanwhile would be recorded too. For
    /// a future there is [`instrument`](Self::instrument), and for one that is spawned
    /// `tokio::spawn(work().in_current_trace())`, with the trait
    /// [`InCurrentTrace`](crate::InCurrentTrace).
    ///
    /// Injecting an empty trace does nothing. The calls of scopes beyond a trace's limit of
    /// [strands](crate::Limits::strands) are [added up by path](crate::Report::folded), and are in
    /// reports while they run.
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
        let execution = Execution::begin(self);
        Scope {
            _entered: execution.enter(),
            execution,
            _not_send: PhantomData,
        }
    }
}

/// The trace that is current on this thread, with the call that is open now; an empty trace where
/// there is none.
///
/// Never fails; without a trace it costs a load and a branch. A closure or future that is handed on
/// takes it along by [`in_current_trace`](crate::in_current_trace) or
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
