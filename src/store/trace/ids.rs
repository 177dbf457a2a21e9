//! The ids of a trace, of the calls that its handles are below, and of its request.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

#[cfg(feature = "recorder")]
use arrayvec::ArrayString;

use crate::primitives::sync::{AtomicU64, shared_static};
use crate::store::address::Address;
use crate::store::identity::OwnIds;
use crate::store::ids::{SpanId, TraceId};
use crate::store::paths::PATHS;
#[cfg(feature = "recorder")]
use crate::store::request_id::MAX_ID_BYTES;

use super::Trace;

shared_static! {
    static LAST: AtomicU64 = AtomicU64::new(0);
}

/// The most ids that a thread takes at a time. So threads rarely write the same memory.
const MOST: u64 = if cfg!(loom) { 1 } else { 128 };

/// The ids that a thread has taken, from the next one to the last one.
struct Taken {
    next: Cell<u64>,
    last: Cell<u64>,
    count: Cell<u64>,
}

thread_local! {
    static TAKEN: Taken = const {
        Taken {
            next: Cell::new(1),
            last: Cell::new(0),
            count: Cell::new(0),
        }
    };
}

/// Returns an id that no other trace has. The first is 1.
#[inline]
pub(super) fn new_id() -> u64 {
    TAKEN.with(|taken| {
        let next = taken.next.get();
        if next > taken.last.get() {
            return taken.take();
        }
        taken.next.set(next + 1);
        next
    })
}

impl Taken {
    /// Takes twice as many as the last time, of which it returns the first. So the ids of a program that makes few traces are
    /// in a row.
    #[cold]
    #[inline(never)]
    fn take(&self) -> u64 {
        let count = (2 * self.count.get()).clamp(1, MOST);
        let before = LAST.fetch_add(count, Relaxed);
        self.count.set(count);
        self.last.set(before + count);
        self.next.set(before + 2);
        before + 1
    }
}

impl Trace {
    /// Returns the trace's number, which no other trace of the process has. The first trace has 1, an empty one 0.
    ///
    /// A thread takes up to 128 numbers at a time. So those of different threads are not in the order in which the
    /// traces began.
    pub fn id(&self) -> u64 {
        self.state.map_or(0, |state| state.id.load(Relaxed))
    }

    /// Returns the id by which all services know the trace, for logs, errors and other tools; `None` for an empty
    /// trace.
    ///
    /// It is the id that the caller of this service sent, if the trace continues the caller's (feature
    /// `propagation`), and otherwise the trace's own. Cost: some 100 instructions. Nothing is stored, so a request that
    /// nobody asks pays nothing.
    ///
    /// ```
    /// let trace = tracer::Trace::new();
    /// let _scope = trace.inject();
    /// let id = tracer::fetch().trace_id();
    /// assert!(id.is_some());
    /// assert_eq!(id, trace.report().trace_id);
    /// ```
    pub fn trace_id(&self) -> Option<TraceId> {
        let own = || self.own_ids().map(OwnIds::trace_id);
        self.caller_trace_id().or_else(own)
    }

    /// Returns the id of the call that this handle is below, or else of the request itself; `None` for an empty
    /// trace. Calls beyond the trace's [limits](crate::Limits) have none: then it is that of the nearest recorded call
    /// around them.
    ///
    /// ```
    /// use tracer::{Trace, call, fetch};
    ///
    /// let trace = Trace::new();
    /// let _scope = trace.inject();
    /// assert_eq!(fetch().span_id(), trace.report().span_id);
    /// let call = call!();
    /// assert_eq!(fetch().span_id(), trace.report().calls[0].span_id);
    /// ```
    pub fn span_id(&self) -> Option<SpanId> {
        Some(self.own_ids()?.span(self.recorded_parent()))
    }

    /// Returns the trace's own ids, whoever began it; `None` if it is empty.
    pub(crate) fn own_ids(&self) -> Option<OwnIds> {
        let state = self.state?;
        let (id, started) = (state.id.load(Relaxed), state.started.load(Relaxed));
        Some(OwnIds::of(id, started))
    }

    /// Returns the recorded call that this handle is below.
    pub(crate) fn recorded_parent(&self) -> Address {
        let mut call = self.parent;
        while let Some(path) = call.path() {
            call = PATHS.get(path).map_or(Address::NONE, |path| path.around());
        }
        call
    }

    /// Sets the id of the request that the trace records, the bytes of a text. Only its recording does. Returns `false` if the trace is
    /// empty, or if there is no memory.
    #[cfg(feature = "recorder")]
    #[inline]
    pub(crate) fn set_request_id(&self, id: &[u8]) -> bool {
        self.state
            .is_some_and(|state| state.request_id.set(state.id.load(Relaxed), id))
    }

    /// Returns the id of the request that the trace records, if it has one.
    #[cfg(feature = "recorder")]
    pub(crate) fn request_id(&self) -> Option<ArrayString<MAX_ID_BYTES>> {
        self.state?.request_id.get(self.id())
    }
}
