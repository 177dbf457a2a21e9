//! Figures of all requests since the recorder's start, for Prometheus and compatible systems.
//!
//! The text has the format [OpenMetrics] 1.0. With the feature `web`, a [page](crate::web) serves it at
//! `/metrics` below its own path, under its access rule. A program with an endpoint of its own calls [`encode`].
//!
//! ```
//! use tracer::metrics;
//! use tracer::recorder::{Policy, Recorder};
//!
//! # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
//! let recorder = Recorder::builder().policy(Policy::none().failed()).start()?;
//! for number in 0..3 {
//!     let mut request = recorder.begin("GET /orders/{id}");
//!     if number == 2 {
//!         request.fail("no database");
//!     }
//! }
//! let text = metrics::encode(&recorder);
//! for expected in [
//!     r#"tracer_requests_total{route="GET /orders/{id}",outcome="ok"} 2"#,
//!     r#"tracer_requests_total{route="GET /orders/{id}",outcome="failed"} 1"#,
//!     r#"tracer_request_duration_seconds_count{route="GET /orders/{id}"} 3"#,
//! ] {
//!     assert!(text.lines().any(|line| line == expected), "{text}");
//! }
//! # Ok::<(), tracer::recorder::StartError>(())
//! ```
//!
//! # Figures
//!
//! | name | labels | meaning |
//! |---|---|---|
//! | `tracer_requests_total` | `route`, `outcome` | ended requests; the outcome is `ok`, `failed`, `panicked`, `cancelled` or `unknown` |
//! | `tracer_requests_in_flight` | `route` | requests that have begun and not ended |
//! | `tracer_requests_kept_total` | `route` | ended requests that were kept |
//! | `tracer_requests_not_kept_total` | `route` | ended requests to which no rule of the policy applied |
//! | `tracer_requests_dropped_total` | `route`, `reason` | ended requests that should have been kept; the reason is `queue_full`, `shut_down` or `no_memory` |
//! | `tracer_request_duration_seconds` | `route` | histogram of the wall times |
//! | `tracer_request_allocations` | `route` | histogram of how often a request allocated |
//! | `tracer_request_allocated_bytes` | `route` | histogram of how many bytes a request allocated |
//! | `tracer_recorder_reports`, `…_reports_bytes` | | kept reports in memory, and their size |
//! | `tracer_recorder_reports_waiting` | | kept requests whose reports have yet to be built |
//! | `tracer_recorder_reports_evicted_total` | | kept reports that gave way to newer ones |
//! | `tracer_recorder_calls_not_compared_total` | | calls that are not in a baseline, because memory ran out |
//! | `tracer_recorder_policy_panics_total` | | how often a rule of the program panicked |
//! | `tracer_recorder_sink_reports_total` | `sink`, `result` | kept reports that a sink has `taken`, `failed` to take or `dropped` |
//! | `tracer_recorder_memory_limit_bytes` | | [`Builder::memory_bytes`](crate::recorder::Builder::memory_bytes) |
//! | `tracer_recorder_names`, `…_names_limit` | | route names, and how many there may be |
//! | `tracer_records_bytes`, `tracer_own_live_bytes` | | memory of all traces' records; all memory of the tracer itself |
//! | `tracer_process_allocations_total` | | how often the process allocated or reallocated |
//! | `tracer_process_allocated_bytes_total`, `…_freed_bytes_total` | | bytes that the process allocated and freed |
//! | `tracer_process_live_bytes` | | bytes allocated and not freed |
//!
//! Without a [`Counting`](crate::Counting) allocator, the figures of allocations are left out.
//!
//! Counters and histograms are exact and only grow until the process ends. `ended` by outcome, in flight, kept,
//! not kept and dropped are of one moment; the histograms may include requests that ended a little later. A request
//! is `unknown` if there was no memory to record it: it is in no histogram.
//!
//! The histograms have fixed buckets: the format has no native ones, and their protobuf encoding needs `protoc`.
//! Prometheus makes native ones of these if the scrape's configuration says
//! `convert_classic_histograms_to_nhcb: true`.
//!
//! # Exemplars
//!
//! Each bucket of a histogram names the last kept request in it as an exemplar: its `trace_id`, its value, and when
//! it ended. Only requests in the recorder's memory are named, so an exemplar leads to a trace that is still there.
//!
//! # Bounds and cost
//!
//! There are about sixty lines for each route, and no more routes than the recorder's
//! [names](crate::recorder::Builder::names) and `(other)`. [`encode`] takes some 20 µs for each route, and 4 kB of text.
//! Requests don't wait for it. At the end of each request the feature takes a further 110 instructions, whether
//! anyone reads the metrics or not, and for each name some 400 bytes in each of up to eight stripes, of the
//! recorder's memory.
//!
//! [OpenMetrics]: https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md

mod exemplars;
mod itself;
mod requests;
mod text;

use std::fmt;

use crate::primitives::excluded::Own;
use crate::recorder::Recorder;

use text::Text;

/// The content type of the text, for the response of a program's own endpoint.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the recorder's figures as text for Prometheus. See the [module](self) for the figures and the cost.
///
/// ```
/// # use axum::{Router, http::header, routing::get};
/// # use tracer::recorder::Recorder;
/// use tracer::metrics::{CONTENT_TYPE, encode};
///
/// let recorder = Recorder::builder().start()?;
/// let metrics = async move || ([(header::CONTENT_TYPE, CONTENT_TYPE)], encode(&recorder));
/// let app: Router = Router::new().route("/metrics", get(metrics));
/// # let _ = app;
/// # Ok::<(), tracer::recorder::StartError>(())
/// ```
pub fn encode(recorder: &Recorder) -> String {
    let text = encoded(recorder);
    // Copied: the program frees it as its own memory.
    text.as_str().to_owned()
}

/// Writes the recorder's figures as text for Prometheus, as [`encode`] returns it.
///
/// # Errors
///
/// If `out` returns an error.
pub fn write(recorder: &Recorder, out: &mut impl fmt::Write) -> fmt::Result {
    out.write_str(&encoded(recorder))
}

/// Encodes the figures. The memory is the tracer's own.
fn encoded(recorder: &Recorder) -> Own<String> {
    alloc_counter::exclude(|| {
        let mut text = Text::new();
        requests::write(recorder, &mut text);
        itself::write(recorder, &mut text);
        Own::new(text.end())
    })
}
