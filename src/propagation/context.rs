//! What one service tells the next one of a trace.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayVec;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::store::caller::{Caller, SAMPLED};
use crate::store::ids::{SpanId, TraceId};
use crate::store::trace::Trace;
use crate::store::tracestate::MAX_BYTES;
use crate::write::current::caller_here;

use super::members::{KEY, Others, combined};
use super::traceparent::{self, LENGTH, TraceparentError};

pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The member of this crate, `tracer=` and a span id, with a comma.
const OWN_BYTES: usize = KEY.len() + 1 + 16 + 1;
/// A `tracestate` that is sent.
pub(super) type Sent = ArrayVec<u8, { MAX_BYTES + OWN_BYTES }>;

/// What one service tells the next one of a trace: its id, the call from which the request comes, and flags.
///
/// For other carriers than HTTP headers: queues, gRPC metadata of other crates, environment variables. `Display`
/// and [`FromStr`] are a `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context-2/).
///
/// ```
/// use tracer::propagation::TraceContext;
/// use tracer::{Trace, call};
///
/// // The sender: the current trace, with the innermost open call as the parent.
/// let trace = Trace::new();
/// let scope = trace.inject();
/// let call = call!("send");
/// let message = TraceContext::current().unwrap().to_string();
/// drop((call, scope));
///
/// // The receiver.
/// let there = Trace::new();
/// let context: TraceContext = message.parse()?;
/// there.continue_from(&context);
/// assert_eq!(there.trace_id(), trace.trace_id());
/// assert_eq!(there.report().parent_span, trace.report().calls[0].span_id);
/// # Ok::<(), tracer::propagation::TraceparentError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    caller: Caller,
    tracestate: Others,
}

impl TraceContext {
    /// Returns the context for a request that this thread sends now: the current trace, with the innermost
    /// recorded call as the parent. `None` without a current trace.
    pub fn current() -> Option<Self> {
        let trace = caller_here()?;
        Some(Self {
            caller: here(&trace)?,
            tracestate: trace.tracestate().into_iter().flatten().collect(),
        })
    }

    /// Reads `traceparent` and `tracestate` of a request; `None` if the request must begin a trace of its own: it
    /// has no `traceparent`, several, or a malformed one.
    ///
    /// A malformed `tracestate` is left out. Of a long one, 512 bytes are kept, in whole members.
    ///
    /// ```
    /// use http::HeaderMap;
    /// use tracer::propagation::TraceContext;
    ///
    /// let mut headers = HeaderMap::new();
    /// assert_eq!(TraceContext::extract(&headers), None);
    /// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// headers.insert("traceparent", parent.parse().unwrap());
    /// let context = TraceContext::extract(&headers).unwrap();
    /// assert_eq!((context.to_string(), context.is_sampled()), (parent.to_owned(), true));
    /// ```
    pub fn extract(headers: &HeaderMap) -> Option<Self> {
        Some(Self {
            caller: caller_of(headers)?,
            tracestate: tracestate_of(headers),
        })
    }

    /// Adds a `tracestate`, if it is well-formed. Of a long one, 512 bytes are kept, in whole members.
    #[must_use]
    pub fn with_tracestate(mut self, tracestate: &str) -> Self {
        self.tracestate = combined([tracestate.as_bytes()].into_iter());
        self
    }

    /// Returns the id of the trace.
    pub fn trace_id(&self) -> TraceId {
        self.caller.trace_id
    }

    /// Returns the id of the call from which the request comes.
    pub fn span_id(&self) -> SpanId {
        self.caller.parent
    }

    /// Returns whether the sender samples the request. This crate sends the flag that it was sent. A trace that begins
    /// here has it if [`TraceBuilder::sampled`](crate::TraceBuilder::sampled) or
    /// [`Builder::sampled`](crate::recorder::Builder::sampled) says so.
    pub fn is_sampled(&self) -> bool {
        self.caller.flags & SAMPLED != 0
    }

    /// Returns the members that other tools added to `tracestate`; empty without any.
    pub fn tracestate(&self) -> &str {
        // Only printable ASCII is kept.
        std::str::from_utf8(&self.tracestate).unwrap_or_default()
    }
}

impl Trace {
    /// Continues the trace of the service that sent this context: the trace has its id from now on, and its
    /// requests to other services have it, too. Returns whether it does: a trace can continue only one other, and
    /// an empty one none.
    ///
    /// Call it before anything asks for the trace's id. [`RecorderLayer`](crate::tower::RecorderLayer) does it by
    /// itself; for other servers, `recording.trace().continue_from(…)`.
    ///
    /// ```
    /// use tracer::Trace;
    /// use tracer::propagation::TraceContext;
    ///
    /// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let context: TraceContext = parent.parse()?;
    /// let trace = Trace::new();
    /// assert!(trace.continue_from(&context));
    /// assert_eq!(trace.trace_id(), Some(context.trace_id()));
    /// # Ok::<(), tracer::propagation::TraceparentError>(())
    /// ```
    pub fn continue_from(&self, context: &TraceContext) -> bool {
        self.set_caller(context.caller, &context.tracestate)
    }
}

impl FromStr for TraceContext {
    type Err = TraceparentError;

    fn from_str(traceparent: &str) -> Result<Self, TraceparentError> {
        let caller = traceparent::parse(traceparent.as_bytes());
        Ok(Self {
            caller: caller.ok_or_else(|| TraceparentError::of(traceparent))?,
            tracestate: Others::new(),
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&written(self.caller)).unwrap_or_default())
    }
}

/// Returns the caller that a request names.
#[inline]
pub(super) fn caller_of(headers: &HeaderMap) -> Option<Caller> {
    caller_in(headers, find(headers, &TRACEPARENT)?)
}

/// Returns the caller that a request names, whose first `traceparent` has this value.
#[inline]
pub(super) fn caller_in(headers: &HeaderMap, value: &HeaderValue) -> Option<Caller> {
    // Most requests have no name twice.
    let is_alone = headers.len() == headers.keys_len()
        || headers.get_all(&TRACEPARENT).iter().nth(1).is_none();
    if is_alone {
        traceparent::parse(value.as_bytes())
    } else {
        None
    }
}

/// Returns the first value of a header. Of few headers, comparing each costs less than the hash of a name.
#[inline]
pub(crate) fn find<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let [found] = find_each(headers, [name]);
    found
}

/// Returns the first value of each of these headers.
#[inline]
pub(crate) fn find_each<'a, const N: usize>(
    headers: &'a HeaderMap,
    names: [&HeaderName; N],
) -> [Option<&'a HeaderValue>; N] {
    const FEW: usize = 12;
    if headers.keys_len() > FEW {
        return names.map(|name| headers.get(name));
    }
    let mut found = [None; N];
    for (header, value) in headers {
        for (name, found) in names.iter().zip(&mut found) {
            if header == *name && found.is_none() {
                *found = Some(value);
            }
        }
    }
    found
}

/// Returns what is sent on of a request's `tracestate`.
pub(super) fn tracestate_of(headers: &HeaderMap) -> Others {
    let values = headers.get_all(&TRACESTATE).iter();
    combined(values.map(HeaderValue::as_bytes))
}

/// Returns the trace as the callee's caller, from the handle's call.
#[inline]
pub(super) fn here(trace: &Trace) -> Option<Caller> {
    let own = trace.own_ids()?;
    let (trace_id, flags) = match trace.caller() {
        Some(caller) => (caller.trace_id, caller.flags),
        None => (own.trace_id(), trace.own_flags()),
    };
    let parent = own.span(trace.recorded_parent());
    Some(Caller {
        trace_id,
        parent,
        flags,
    })
}

#[inline]
pub(super) fn written(caller: Caller) -> [u8; LENGTH] {
    traceparent::write(caller.trace_id, caller.parent, caller.flags)
}

/// Returns the `tracestate` to be sent: our member, and those of others.
#[inline]
pub(super) fn sent(parent: SpanId, trace: &Trace) -> Sent {
    let mut sent = Sent::new();
    sent.extend(KEY.iter().copied());
    sent.push(b'=');
    sent.extend(parent.to_digits());
    if let Some(others) = trace.tracestate() {
        sent.push(b',');
        sent.extend(others);
    }
    sent
}
