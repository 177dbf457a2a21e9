//! Spans of `tracing` as calls, with their time and exact allocations.
//!
//! A [layer](layer()) for `tracing-subscriber` makes a call of each span that is entered while a trace is
//! current: spans of the program, written with `#[instrument]` or `info_span!`, and those of libraries. The
//! code that opens the spans stays as it is. The layer stands beside others, such as that of `fmt`:
//!
//! ```
//! use tracer::{Counting, Trace, traced};
//! use tracing::instrument;
//! use tracing_subscriber::{fmt, prelude::*};
//!
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting::system();
//!
//! #[instrument]
//! fn order(id: u32) {
//!     price();
//! }
//!
//! #[traced]
//! fn price() {
//!     items(3);
//! }
//!
//! #[instrument]
//! fn items(count: usize) {
//!     tracing::info!("packing");
//! }
//!
//! let log = fmt::layer().with_writer(std::io::stderr);
//! tracing_subscriber::registry().with(log).with(tracer::tracing::layer()).init();
//!
//! let trace = Trace::new();
//! let scope = trace.inject();
//! order(7);
//! drop(scope);
//! println!("{trace:#}");
//!
//! let report = trace.report();
//! let calls: Vec<_> = report.calls.iter().map(|call| (&*call.name, call.parent)).collect();
//! assert_eq!(calls, [("order", None), ("price", Some(0)), ("items", Some(1))]);
//! assert_eq!(report.calls[0].id.as_deref(), Some("7"));
//! assert_eq!(report.calls[2].labels, [("count".into(), "3".to_owned())]);
//! assert_eq!(report.calls[2].checkpoints[0].name, "packing");
//! ```
//!
//! A service needs no [`Trace`](crate::Trace) of its own: with [`recorder`](CallLayer::recorder) the spans of
//! tower-http's `TraceLayer` begin and end requests. `examples/tracing_service.rs` shows a whole service.
//!
//! # Which spans are calls
//!
//! - A span is a call within the innermost call of the strand in which it is first entered. So spans,
//!   [`call!`](crate::call) and [`#[traced]`](macro@crate::traced) nest in each other.
//! - Leaving a span suspends its call, and entering it again resumes it. The call has the time and the
//!   allocations of all of its entries on this strand, and nothing of what runs in between. It ends when the
//!   span is left for the last time. Handles that live on do not extend it.
//! - Guards may be dropped in any order, and a span may be entered again while it is entered.
//! - A span that is never entered is no call. `Instrumented` enters its span to drop its future.
//! - A span that was made outside of all traces is a call for each time that it is entered in a trace, without
//!   id and labels. A future is entered at each poll. So make its span inside of the trace, as `#[instrument]`
//!   does, or let the span [begin a request](#requests).
//! - With two of these layers in one subscriber, the second does nothing. In a `Vec` of layers they do not know
//!   of each other, and each makes calls.
//!
//! The limits are [those of other calls](crate::Limits).
//!
//! # Tasks and threads
//!
//! A span that is made in a trace takes the trace along. If it is entered on a thread or in a task that runs
//! no strand of the trace, it gets a strand there, below the call in which it was made, or below that of its
//! explicit parent. If it has a call already, the strand is below that call, whose total includes what is
//! done there. So work that is spawned with a span needs no
//! [`in_current_trace`](crate::InCurrentTrace):
//!
//! ```
//! use tracer::Trace;
//! use tracing::{Instrument, info_span, instrument};
//! use tracing_subscriber::prelude::*;
//!
//! tracing_subscriber::registry().with(tracer::tracing::layer()).init();
//!
//! #[instrument]
//! async fn handle() {
//!     let task = tokio::spawn(async { /* … */ }.instrument(info_span!("task")));
//!     let blocking = info_span!("blocking");
//!     let blocking = tokio::task::spawn_blocking(move || blocking.in_scope(|| { /* … */ }));
//!     let _ = tokio::join!(task, blocking);
//! }
//!
//! let trace = Trace::new();
//! tokio::runtime::Runtime::new()?.block_on(Trace::instrument(&trace, handle()));
//! let parents: Vec<_> = trace.report().calls.iter().map(|call| call.parent).collect();
//! assert_eq!(parents, [None, Some(0), Some(0)]);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A span with `parent: None` does not take the trace along: entered elsewhere, it is no call of that trace. So
//! the work of a connection that outlives its first request is in no request; `h2` makes such spans.
//!
//! A thread that leaves the span by which it came into the trace leaves the trace. If its guard is dropped while
//! spans inside are entered, those are marked [partial](crate::CallReport::partial).
//!
//! A span that several threads enter at once is one call, with strands below it. `.in_current_span()` on spawned
//! work is in the call of the current span. An `async fn` with `#[instrument]` makes its
//! span when it is first polled, which is too late for `tokio::spawn(work())`: spawn it with a span, or
//! [`in_current_trace`](crate::InCurrentTrace).
//!
//! `tracing::Instrument` has a method `instrument` for every type, which hides
//! [`Trace::instrument`](crate::Trace::instrument). If both are in scope, write
//! `Trace::instrument(&trace, future)`.
//!
//! Do not hold the guard of [`Span::enter`](https://docs.rs/tracing/latest/tracing/struct.Span.html#in-asynchronous-code)
//! over an `.await`. Within an instrumented future, or one with a span, its call is suspended as a guard of
//! [`call!`](crate::call) is. Otherwise the thread stays in the span's trace, and records what its other tasks
//! do meanwhile.
//!
//! # Names, ids and labels
//!
//! Name, module, file and line are those of the span's metadata. One field is the call's
//! [id](crate::CallReport::id): `request_id`, or else `id`, or [that which you name](CallLayer::id_field). The
//! other fields are its [labels](crate::CallReport::labels), also those that are recorded later by
//! `Span::record`. A value that is recorded again takes the room of the one before, and further room only if it is
//! longer than any before. Long values are [cut](crate::Limits), as those of other calls are. Of a span with more than
//! 64 fields, its calls have the first 64, and [`Report::dropped`](crate::Report::dropped) counts the span.
//!
//! # Events
//!
//! An event of the level `INFO`, `WARN` or `ERROR` is a [checkpoint](crate::CallReport::checkpoints) of the
//! innermost call, or of the span that is its explicit parent. The checkpoint's name is the message and the
//! fields. [`checkpoints`](CallLayer::checkpoints) sets another level.
//!
//! # Outcome
//!
//! The call of a span [fails](crate::Outcome::Failed) by
//!
//! - an event inside with a field `error`, at any level, as that of `#[instrument(err)]`, or one of the level
//!   `ERROR` with a field `classification`, which tower-http's `TraceLayer` emits;
//! - the field `otel.status_code` with the value `ERROR`;
//! - an event of a level that you set by [`failures`](CallLayer::failures).
//!
//! It panicked if the span is left by a panic.
//!
//! A future with a span is [cancelled](crate::Outcome::Cancelled) if it is dropped before it is ready. `tracing`
//! does not tell the two apart, so it is inferred: `Instrumented` enters the span once more to drop its future.
//! If the future was ready, this follows at once on the poll that made it ready. If anything is between them
//! (another span or event, another thread, in a spawned task a tenth of a second), the future was cancelled.
//! Only the drops of cancelled futures may be between, as those of the other branches of a `select!`. Therefore
//!
//! - a future that is dropped at once after it was polled, with no other span or event between, looks as if it
//!   was ready. Examples are a future without spans inside whose `timeout` is over, and a branch of a `select!`
//!   that was polled just before one that won and has no span;
//! - a future that is kept after it was ready, and dropped later, looks cancelled. `.await` on a future by
//!   value, `join!` and spawned tasks drop it at once; `(&mut pinned).await` does not;
//! - a future that is dropped before it is ready looks as if it was ready if what it holds allocates, or makes spans or
//!   events, when it is dropped. A transaction of `sqlx` that is rolled back does, and so does a connection that goes
//!   back to its pool;
//! - a span that is entered by hand, and the last time does nothing of that kind before it is closed at once, looks
//!   cancelled. A span that another thread holds beside the future is not known to be cancelled before that thread lets
//!   it go, unless the subscriber is wrapped;
//! - a span that is a request is cancelled only if a future with a span inside was, or if it is `TraceLayer`'s
//!   own span, the [whole subscriber is wrapped](subscriber()), and there was no response. `TraceLayer` clones its
//!   span for the response, which a layer is not told. So `Span::current()` in that span, just before its future
//!   waits, looks like a response. Without the wrapper, a request is taken for answered by `TraceLayer`'s events,
//!   which filters may hide.
//!
//! Where this matters, use [`#[traced]`](macro@crate::traced), which knows.
//!
//! # Requests
//!
//! With a [recorder](CallLayer::recorder), root spans begin requests and their close ends them:
//!
//! ```
//! use tracer::recorder::Recorder;
//! use tracing::info_span;
//! use tracing_subscriber::prelude::*;
//!
//! let recorder = Recorder::builder().start()?;
//! let layer = tracer::tracing::layer().recorder(recorder.clone());
//! tracing_subscriber::registry().with(layer).init();
//!
//! let span = info_span!("request", otel.kind = "server", method = "GET", http.route = "/orders/{id}");
//! span.in_scope(|| { /* … */ });
//! drop(span);
//! assert_eq!(recorder.routes()[0].name, "GET /orders/{id}");
//! # Ok::<(), tracer::recorder::StartError>(())
//! ```
//!
//! The default span of `TraceLayer` has the level `DEBUG`, which a filter must let pass. It has no route, so its
//! requests are named `GET request`. Give them routes by a span of your own in `make_span_with`, with the fields
//! `http.route` and `otel.kind = "server"`, so that each route has its own baseline.
//!
//! While a trace is current, no span begins a request. So within a
//! [`RecorderLayer`](crate::tower::RecorderLayer), which also knows status codes and bytes, the span of
//! `TraceLayer` is a call of its request. Add the `RecorderLayer` outside: within the span of a request it begins
//! a second one. tonic's `trace_fn` is outside of all layers, so do not give its spans `otel.kind = "server"` too.
//!
//! # Whose memory
//!
//! What the layer itself allocates is in no call. What the registry and other layers allocate, while they are
//! told of a span or an event, is in the call that is then open: a page of spans when a thread makes its first
//! ones, and the lines that are formatted.
//!
//! [`subscriber`](subscriber()) wraps the whole subscriber, so that this memory is in no call either. The trace
//! has its sum, as [`Report::subscriber`](crate::Report::subscriber):
//!
//! ```
//! use tracing_subscriber::{fmt, prelude::*};
//!
//! let subscriber = tracing_subscriber::registry().with(fmt::layer()).with(tracer::tracing::layer());
//! tracer::tracing::subscriber(subscriber).init();
//! ```
//!
//! # Filters
//!
//! `with_filter` and global filters work as for any layer. A span that the layer does not see is no call, and
//! the spans inside are calls of the next call around.
//!
//! # Lines of a log
//!
//! [`WithTrace`] adds the trace's number to the lines that `fmt` writes, so that a line leads to its request.
//!
//! # Cost
//!
//! If no trace is current, the layer adds some 90 instructions to a span's 1,180 in a registry with a layer
//! that does nothing. In a trace it adds about 1,240, of which the call is a fifth, and the formatting of the
//! fields. [`subscriber`](subscriber()) adds 430 more. Once a program is warm, the layer allocates nothing for a
//! span.

// Imports `recorder`, `write`, `store` and `primitives`.

mod fields;
mod layer;
mod left;
mod log;
#[cfg(feature = "recorder")]
mod requests;
mod span;
mod subscriber;
mod thread;
mod visit;

pub use layer::CallLayer;
pub use log::WithTrace;
pub use subscriber::{ExcludedSubscriber, TraceAccount, subscriber};

/// Returns a layer that makes a call of each span that is entered while a trace is current.
///
/// Add it to any subscriber that is based on a registry. See the [module](self) for its rules.
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// tracing_subscriber::registry().with(tracer::tracing::layer().id_field("order_id")).init();
/// ```
pub fn layer() -> CallLayer {
    CallLayer::new()
}
