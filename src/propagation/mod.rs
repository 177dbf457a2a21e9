//! One trace over several services: the headers of [W3C Trace Context](https://www.w3.org/TR/trace-context-2/).
//!
//! Each trace has an [id](crate::Trace::trace_id) that all services know, each call a
//! [span id](crate::CallReport::span_id). A request takes both along in the header `traceparent`, and the callee
//! continues the caller's trace: its report has the same [`trace_id`](crate::Report::trace_id), and the caller's
//! call as its [`parent_span`](crate::Report::parent_span). Any tool that speaks W3C Trace Context takes part:
//! OpenTelemetry, proxies, vendors' agents.
//!
//! **In:** [`RecorderLayer`](crate::tower::RecorderLayer) reads the headers of each request. For other servers and
//! carriers, [`Trace::continue_from`](crate::Trace::continue_from). Malformed headers are ignored as the
//! specification says: then the request begins a trace of its own.
//!
//! **Out:** [`PropagationLayer`] around any [`tower`](https://docs.rs/tower) client of HTTP requests, or
//! [`inject`] for others:
//!
//! ```
//! use http::HeaderMap;
//! use tracer::propagation::inject;
//! use tracer::{Trace, call};
//!
//! let trace = Trace::new();
//! let scope = trace.inject();
//! let call = call!("GET inventory"); // The parent of what the other service does.
//! let mut headers = HeaderMap::new();
//! inject(&mut headers);
//! drop((call, scope));
//!
//! let report = trace.report();
//! let (trace, span) = (report.trace_id.unwrap(), report.calls[0].span_id.unwrap());
//! assert_eq!(headers["traceparent"], format!("00-{trace}-{span}-02"));
//! assert_eq!(headers["tracestate"], format!("tracer={span}"));
//! ```
//!
//! # Flags
//!
//! The sampled flag is sent as it was received. A trace that begins here has none, as the specification says for
//! tools that decide at the end: when a request is sent, nobody knows yet whether it will be kept. Services that
//! sample by their parent's flag record nothing then. Have them ignore the flag, or set it, by
//! [`TraceBuilder::sampled`](crate::TraceBuilder::sampled) or
//! [`Builder::sampled`](crate::recorder::Builder::sampled): they record all requests then. The random flag is set for
//! ids that were made here, and otherwise sent as it was received.
//!
//! `tracestate` is sent on, with our member `tracer` in front: the span id. Of the others' members, 31 and 512
//! bytes are sent at most.
//!
//! # Which requests a callee has kept
//!
//! A service with [`RecorderLayer::tell_kept`](crate::tower::RecorderLayer::tell_kept) says so by the header
//! or trailer `tracer-kept: 1`. [`PropagationLayer`] and [`note_kept`] take note of it, for the rule
//! [`Policy::kept_downstream`](crate::recorder::Policy::kept_downstream).
//!
//! # Cost
//!
//! Reading a `traceparent` and computing an id takes some hundred instructions each; writing the headers is mostly
//! the work of the crate `http`. No system calls, and no allocations except for the headers, which are the
//! program's: those count in the call around.

mod body;
mod context;
mod layer;
mod members;
mod traceparent;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::store::trace::Trace;
use crate::write::current::caller_here;

use context::TRACESTATE;
#[cfg(feature = "tower")]
use members::Others;

pub use body::PropagatedBody;
pub(crate) use context::TRACEPARENT;
pub use context::TraceContext;
#[cfg(feature = "tower")]
pub(crate) use context::{find, find_each};
pub use layer::{Propagated, PropagatedFuture, PropagationLayer};
pub use traceparent::TraceparentError;

/// The header or trailer of a response whose request is kept, with the value `1`.
pub(crate) static TRACER_KEPT: HeaderName = HeaderName::from_static("tracer-kept");
/// Its value.
pub(crate) const YES: &str = "1";

/// Writes `traceparent` and `tracestate` of the current trace into the headers of a request, in place of those
/// that they have. The innermost recorded call that is open on this thread is the parent. Without a current trace
/// nothing is changed.
///
/// Open a call around each request: then requests sent at the same time have different parents, and the report
/// shows how long each took. See the [module](self) for an example.
pub fn inject(headers: &mut HeaderMap) {
    if let Some(trace) = caller_here() {
        write(&trace, headers);
    }
}

/// Takes note that the callee has kept its part of the current trace, if these headers of a response say so:
/// see [`Policy::kept_downstream`](crate::recorder::Policy::kept_downstream). Without a current trace it does
/// nothing.
///
/// For clients other than [`PropagationLayer`], which does it by itself.
///
/// ```
/// use std::time::Duration;
///
/// use http::HeaderMap;
/// use tracer::propagation::note_kept;
/// # #[cfg(feature = "recorder")] {
/// use tracer::recorder::{Policy, Recorder};
///
/// let recorder = Recorder::builder().policy(Policy::none().kept_downstream()).start()?;
/// recorder.record("GET /orders/{id}", || {
///     let mut response = HeaderMap::new();
///     response.insert("tracer-kept", "1".parse().unwrap());
///     note_kept(&response);
/// });
/// recorder.flush(Duration::from_secs(5));
/// assert_eq!(recorder.kept()[0].request.as_ref().unwrap().reasons, ["kept downstream"]);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn note_kept(headers: &HeaderMap) {
    if says_kept(headers)
        && let Some(trace) = caller_here()
    {
        trace.note_kept_downstream();
    }
}

fn says_kept(headers: &HeaderMap) -> bool {
    headers.get(&TRACER_KEPT).is_some_and(|value| value == YES)
}

/// Continues the caller's trace, if the request names one in its first [`TRACEPARENT`].
#[cfg(feature = "tower")]
#[inline]
pub(crate) fn continue_from(headers: &HeaderMap, traceparent: Option<&HeaderValue>, trace: &Trace) {
    if let Some(caller) = traceparent.and_then(|it| context::caller_in(headers, it)) {
        let tracestate = if find(headers, &TRACESTATE).is_some() {
            context::tracestate_of(headers)
        } else {
            Others::new()
        };
        trace.set_caller(caller, &tracestate);
    }
}

/// Writes the headers for a request from the handle's call.
fn write(trace: &Trace, headers: &mut HeaderMap) -> Option<()> {
    let caller = context::here(trace)?;
    insert(headers, &TRACEPARENT, &context::written(caller));
    insert(headers, &TRACESTATE, &context::sent(caller.parent, trace));
    Some(())
}

/// Not inserted if there is no room for another header.
fn insert(headers: &mut HeaderMap, name: &'static HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        let _ = headers.try_insert(name, value);
    }
}
