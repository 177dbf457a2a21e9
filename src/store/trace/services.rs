//! A trace that goes through several services: what the caller sent, what is sent on, and who keeps its part.
//!
//! Without the feature `propagation`, no other service is known.

#[cfg(feature = "propagation")]
use crate::store::caller::Caller;
use crate::store::ids::{SpanId, TraceId};

use super::Trace;

impl Trace {
    /// Returns the id that the caller gave.
    #[cfg_attr(
        not(feature = "propagation"),
        expect(clippy::unused_self, reason = "without it, there is no caller")
    )]
    pub(crate) fn caller_trace_id(&self) -> Option<TraceId> {
        #[cfg(feature = "propagation")]
        return self.caller().map(|caller| caller.trace_id);
        #[cfg(not(feature = "propagation"))]
        None
    }

    /// Returns the id of the call, in another service, from which the trace came.
    #[cfg_attr(
        not(feature = "propagation"),
        expect(clippy::unused_self, reason = "without it, none is known")
    )]
    pub(crate) fn parent_span(&self) -> Option<SpanId> {
        #[cfg(feature = "propagation")]
        return self.caller().map(|caller| caller.parent);
        #[cfg(not(feature = "propagation"))]
        None
    }

    /// Returns what the caller of this service told, if the trace continues the caller's.
    #[cfg(feature = "propagation")]
    pub(crate) fn caller(&self) -> Option<Caller> {
        self.state?.caller.get()
    }

    /// Continues the caller's trace. Returns `false` if this one already continues one.
    #[cfg(feature = "propagation")]
    pub(crate) fn set_caller(&self, caller: Caller, tracestate: &[u8]) -> bool {
        let state = self.state.map(|state| &state.caller);
        state.is_some_and(|it| it.set(caller, tracestate))
    }

    /// Returns the members of other services in the caller's `tracestate`; `None` if there are none.
    #[cfg(feature = "propagation")]
    #[inline]
    pub(crate) fn tracestate(&self) -> Option<impl Iterator<Item = u8>> {
        self.state?.caller.tracestate()
    }

    /// Sends the trace as sampled, unless it continues another one.
    #[cfg(feature = "propagation")]
    pub(crate) fn send_sampled(&self) {
        if let Some(state) = self.state {
            state.caller.send_sampled();
        }
    }

    /// Returns the flags of a trace that continues none.
    #[cfg(feature = "propagation")]
    pub(crate) fn own_flags(&self) -> u8 {
        self.state.map_or(0, |state| state.caller.own_flags())
    }

    /// Notes that a service that was called has kept its part of the trace.
    #[cfg(feature = "propagation")]
    pub(crate) fn note_kept_downstream(&self) {
        if let Some(state) = self.state {
            state.caller.note_kept_downstream();
        }
    }

    /// Returns whether a service that was called has kept its part of the trace.
    #[cfg(feature = "recorder")]
    #[cfg_attr(
        not(feature = "propagation"),
        expect(clippy::unused_self, reason = "without it, none is known")
    )]
    pub(crate) fn is_kept_downstream(&self) -> bool {
        #[cfg(feature = "propagation")]
        return self.state.is_some_and(|it| it.caller.is_kept_downstream());
        #[cfg(not(feature = "propagation"))]
        false
    }

    /// Returns whether the caller said that it samples the trace.
    #[cfg(feature = "recorder")]
    #[cfg_attr(
        not(feature = "propagation"),
        expect(clippy::unused_self, reason = "without it, none is known")
    )]
    pub(crate) fn is_sampled_upstream(&self) -> bool {
        #[cfg(feature = "propagation")]
        return self.state.is_some_and(|it| it.caller.is_sampled_upstream());
        #[cfg(not(feature = "propagation"))]
        false
    }
}
