//! The headers of W3C Trace Context in a request to another service.

use axum::http::{HeaderMap, HeaderValue};
use tracer::propagation::TraceContext;
use tracer::{Trace, call, fetch};

use crate::each;

/// Requests in a portion.
const REQUESTS: u64 = 32;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The headers of a request have some others, as those of real clients do.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in ["host", "accept", "user-agent"] {
        headers.insert(name, HeaderValue::from_static("value"));
    }
    headers
}

pub(crate) fn by_hand() -> u64 {
    each(REQUESTS, headers, |mut headers| {
        let texts = [
            ("traceparent", PARENT),
            ("tracestate", "tracer=00f067aa0ba902b7"),
        ];
        for (name, value) in texts {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a valid value");
            headers.insert(name, value);
        }
        headers
    })
}

pub(crate) fn inject() -> u64 {
    inject_in(&Trace::new())
}

pub(crate) fn inject_continued() -> u64 {
    let trace = Trace::new();
    let context: TraceContext = PARENT.parse().expect("a valid context");
    trace.continue_from(&context);
    inject_in(&trace)
}

fn inject_in(trace: &Trace) -> u64 {
    let _scope = trace.inject();
    let _call = call!();
    each(REQUESTS, headers, |mut headers| {
        tracer::propagation::inject(&mut headers);
        headers
    })
}

pub(crate) fn trace_id() -> u64 {
    let trace = Trace::new();
    let _scope = trace.inject();
    crate::alone(|| fetch().trace_id())
}
