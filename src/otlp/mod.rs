//! Kept requests in Jaeger, Tempo and all else that takes the protocol of
//! [OpenTelemetry](https://opentelemetry.io/docs/specs/otlp/) (OTLP), over HTTP or gRPC.
//!
//! An [`Exporter`] is a sink of a recorder. It needs no runtime, and works in a program with any.
//!
//! ```
//! use tracer::otlp::Exporter;
//! use tracer::recorder::Recorder;
//!
//! let exporter = Exporter::builder().service_name("orders").build()?;
//! let recorder = Recorder::builder().otlp(exporter).start()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Settings
//!
//! The variables of OpenTelemetry are honoured; what the builder is told in code comes first. A value of another
//! form is an error when the exporter is built, which names the variable.
//!
//! | variable | value |
//! |---|---|
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | The collector's URL, to which `/v1/traces` is added over HTTP: `http://localhost:4318`, or `http://localhost:4317` for gRPC |
//! | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | The URL as it is |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf` (the default), `http/json` or `grpc` |
//! | `OTEL_EXPORTER_OTLP_HEADERS` | Headers: `name=value` with commas between, percent-encoded |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT` | How many milliseconds a request may take: 10,000 |
//! | `OTEL_EXPORTER_OTLP_COMPRESSION` | `none` (the default) or `gzip` |
//! | `OTEL_EXPORTER_OTLP_CERTIFICATE` | A file of certificates in PEM, one of which must have signed that of the collector: those of the system |
//! | `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`, `…_CLIENT_KEY` | The files, in PEM, of a certificate and its private key for a collector that asks for them |
//! | `OTEL_EXPORTER_OTLP_INSECURE` | `true` or `false`: whether gRPC to a URL without `http://` or `https://` is sent without TLS; `false` |
//! | `OTEL_SERVICE_NAME` | The service's name: `unknown_service:` and the program's name |
//! | `OTEL_RESOURCE_ATTRIBUTES` | Further attributes of the service: `key=value` with commas between, percent-encoded |
//!
//! Those that begin with `OTEL_EXPORTER_OTLP_` also exist as `OTEL_EXPORTER_OTLP_TRACES_…`, which comes first.
//!
//! Values of headers, and the user, password and query of a URL, may be secret: they are in no error, no `Debug` output
//! and no sink's name.
//!
//! # TLS
//!
//! A URL with `https` needs the feature `otlp-tls`; without it, it is an error when the exporter is built. TLS 1.2 and
//! 1.3 are by rustls, with ring. The system's certificates are read when the exporter is built, from where OpenSSL has
//! them or where `SSL_CERT_FILE` and `SSL_CERT_DIR` say. A collector whose certificate is not accepted counts as one
//! that can't be reached.
//!
//! # What is sent
//!
//! | of the report | in OpenTelemetry |
//! |---|---|
//! | the request | A span of the kind `SERVER`, with the ids by which callers know it, and their `tracestate` |
//! | a call | A span of the kind `INTERNAL` in the one around, also if it was on another task or thread. `CLIENT`, if it is an [outgoing](crate::propagation) request |
//! | [folded](Report::folded) calls | An event `folded calls` for each path on the span around, at its end, with the sums. They have no times of their own, and no span is invented |
//! | a checkpoint | An event |
//! | a failure or a panic | The status `ERROR`, with the message |
//! | how it ended | `tracer.outcome`: `failed`, `panicked`, `cancelled` or `running`; nothing if it simply stopped |
//! | labels | Attributes of their names. One that has the name of another attribute is left out |
//! | the request's and a call's id | `tracer.request_id`, `tracer.call_id` |
//! | where the call is in the code | `code.function.name`, `code.file.path`, `code.line.number` |
//! | on which thread it began | `thread.id`, `thread.name` |
//! | HTTP, of requests of [`RecorderLayer`](crate::tower) | `http.request.method`, `http.route`, `url.path`, `http.response.status_code`, `http.response.body.size` |
//! | allocations, with calls inside | `heap.allocations`, `heap.bytes`, `heap.frees`, `heap.freed_bytes`, `heap.peak_bytes` |
//! | what is kept: bytes allocated minus freed | `heap.net_bytes`, below 0 if more was freed |
//! | allocations, without them | `heap.self.allocations`, `heap.self.bytes` |
//! | the three heaviest lines | `heap.sites`, if the trace records them |
//! | times without calls inside, and of polls | `tracer.self_ns`, `tracer.busy_ns`, `tracer.self_busy_ns` |
//! | the baseline | `tracer.baseline.…` (p50 and p95 of calls, time, allocations and kept bytes), `tracer.path.…` (the same of this request) and `tracer.stands_out` |
//! | why the request was kept | `tracer.kept` = true and `tracer.reason`, an array, on its span |
//!
//! A collector that does tail sampling keeps the whole of a trace by the attribute `tracer.kept`.
//!
//! # When it is lost
//!
//! Encoded spans wait in a [buffer](Builder::buffer_bytes) until there is a [batch](Builder::batch_bytes), for a
//! [second](Builder::delay) at most. A thread of the exporter's own sends them. If the collector can't be reached, does
//! not answer in time, or answers that it is overloaded (429, 502, 503, 504, and what the specification says of gRPC),
//! the batch is sent again after one second, then after ever longer up to 30 s, or after as long as the collector
//! says, a day at most; for [five minutes](Builder::retry_for). Meanwhile the buffer fills up. Requests of the program
//! never wait.
//!
//! All of that is in the [`SinkStatistics`] of the recorder, and on its page. Each kept request is counted once:
//!
//! | | |
//! |---|---|
//! | [`taken`](SinkStatistics::taken) | The collector has taken it, except for [`refused_spans`](SinkStatistics::refused_spans) |
//! | [`dropped`](SinkStatistics::dropped) | There was no room in the buffer, or in the queue before it |
//! | [`failed`](SinkStatistics::failed) | The collector has refused it, or it was given up, or there was no memory |
//! | [`waiting`](SinkStatistics::waiting) | It is not sent yet |
//!
//! [`Recorder::flush`](crate::recorder::Recorder::flush) waits until the collector has taken them.
//! [`Recorder::shut_down`](crate::recorder::Recorder::shut_down) sends what is left, and gives up the rest when its
//! time is over. If the collector takes a batch and its answer is lost, it receives the batch twice.
//!
//! # Cost
//!
//! None on a request's thread beyond that of being kept. Less than 1 µs for each call on the sink's thread. The thread that
//! sends traces nothing: its memory is the tracer's, and its library's spans go nowhere.

mod answer;
mod batch;
mod buffer;
mod builder;
mod certificates;
mod connection;
mod endpoint;
mod environment;
mod error;
mod messages;
mod request;
mod retry;
mod sender;
mod settings;
mod sink;
mod tasks;
#[cfg_attr(not(feature = "otlp-tls"), path = "no_tls.rs")]
mod tls;

#[cfg(doc)]
use crate::recorder::SinkStatistics;
#[cfg(doc)]
use crate::report::Report;

pub use builder::{Builder, Exporter};
pub use error::SettingError;

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Protobuf over HTTP/1.1.
    HttpProtobuf,
    /// JSON over HTTP/1.1. Twice as large, and readable.
    HttpJson,
    /// gRPC, over HTTP/2.
    Grpc,
}

/// How requests to the collector are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all: least work for this process.
    None,
    /// By gzip: some tenth of the bytes.
    Gzip,
}
