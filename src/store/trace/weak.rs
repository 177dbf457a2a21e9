//! `WeakTrace`: the name of a trace, which does not keep it.

use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::pool::Number;
use crate::store::limits::Allowance;
use crate::store::strand::Strand;

use super::{TRACES, Trace};

/// Names a trace without keeping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeakTrace {
    number: Number,
    id: u64,
}

impl WeakTrace {
    /// Returns the name of no trace.
    pub(crate) const NONE: Self = Self {
        number: Number::NONE,
        id: 0,
    };

    /// Returns this name, or another one if it is that of no trace.
    #[inline]
    pub(crate) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self.id == 0 { other() } else { self }
    }

    /// Returns the name of the trace of a strand that runs.
    #[inline]
    pub(crate) fn of(strand: &Strand) -> Self {
        Self {
            number: strand.trace.load(Relaxed),
            id: strand.trace_id.load(Relaxed),
        }
    }

    /// Returns the trace's allowance, if the trace is this one; cheaper than a handle. The caller knows that
    /// a strand of the trace with this number runs on this thread.
    #[inline]
    pub(crate) fn allowance_of_running(self, number: Number) -> Option<&'static Allowance> {
        if self.number != number {
            return None;
        }
        let state = TRACES.get(number)?;
        (state.id.load(Relaxed) == self.id).then_some(&**state.allowance)
    }

    /// Returns a handle; `None` if the trace has no other handle any more.
    pub(crate) fn upgrade(self) -> Option<Trace> {
        let trace = Trace::of_living(TRACES.get(self.number)?)?;
        (trace.id() == self.id).then_some(trace)
    }
}

impl Trace {
    /// Returns the name of the trace, which does not keep it.
    #[cfg(feature = "recorder")]
    pub(crate) fn downgrade(&self) -> WeakTrace {
        WeakTrace {
            number: self.number(),
            id: self.id(),
        }
    }
}
