//! Explains single requests: every call, with its time and its actual heap allocations.
//!
//! A program injects a [`Trace`] at the start of a request, and every function on the way opens a
//! [`call!`]. The report shows the whole flow. It is cheap enough to be on for every request, without
//! sampling, so the one request in five thousand that failed is there to be read.
//!
//! ```
//! use tracer::{Counting, Trace, call, traced};
//!
//! // Counts what each thread allocates. Without it, reports say `allocates: n/a`.
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting::system();
//!
//! fn handle(request_id: &str) {
//!     let call = call!("{request_id}");
//!     call.checkpoint("serialize");
//!     let data = fetch_data();
//!     call.checkpoint("store");
//!     drop(data);
//! }
//!
//! #[traced]
//! fn fetch_data() -> Vec<u8> {
//!     std::hint::black_box(vec![0; 100])
//! }
//!
//! let trace = Trace::with_capacity(10);
//! {
//!     let _scope = trace.inject();
//!     handle("ca7a87c4");
//! }
//! println!("{trace}");   // one line a call
//! println!("{trace:#}"); // a tree: total and self, busy, bytes, peak, outcome
//!
//! let report = trace.report();
//! let allocates: Vec<_> = report.calls.iter().map(|call| call.total.unwrap().allocates()).collect();
//! assert_eq!(allocates, [1, 1]);
//! ```
//!
//! # Where to look
//!
//! - [`Trace`]: [`inject`](Trace::inject) it into a thread, or [`instrument`](Trace::instrument) a
//!   future. Spawned work takes the current trace along: closures by [`in_current_trace`], futures by
//!   [`.in_current_trace()`](InCurrentTrace). [`fetch`] returns a handle of it.
//! - [`call!`] and [`#[traced]`](macro@traced) open calls; the guard [`Call`] has checkpoints and
//!   failures. Other tools call this a "span".
//! - An integration that opens calls on behalf of other code makes its own [`Callsite`]s, as statics or
//!   at run time ([`NewCallsite`]), for [`Call::open`].
//! - [`Trace::report`] gives a [`Report`]: plain data. [`in_flight`] lists the traces that are not
//!   over, with their open calls.
//! - [`Limits`] bound how many calls a trace records one by one; further calls are
//!   [folded](Report::folded). [`memory`] returns how much memory the tracer itself takes.
//! - [`alloc`] is the counting allocator by itself, with [`alloc::measure`] and, for tests,
//!   [`alloc::Budget`].
//!
//! # The figures
//!
//! A call's allocations are those of its own task or thread between start and stop, whatever else runs
//! meanwhile, and those of the strands spawned from it. The [rules of
//! counting](alloc::Counts#rules-of-counting) are exact. An allocation that the optimiser removes does
//! not count. Memory of the tracer itself is in no call. A figure that is not known exactly is marked
//! [`partial`](CallReport::partial) or is `None`.
//!
//! # Features
//!
//! - `macros` (default): the attributes [`#[traced]`](macro@traced) and
//!   [`#[budget]`](macro@budget).
//! - `serde`: reports as JSON, and back, in the module `report::json`.
//! - `hotspots`: figures of many reports, added up by function, in the module `hotspots`.
//! - `tables`: hotspots as tables, differences between two of them, and rules for these.
//! - `flamegraph`: hotspots as an SVG flame graph, drawn by inferno (licence CDDL-1.0).
//! - `pprof`: hotspots for `go tool pprof` and compatible tools.
//! - `blocks`: which blocks a stretch of code keeps, by [`alloc::Budget::balanced`]; for tests.
//! - `sites`: the lines that allocate, in a call by [`Trace::builder`], or in a stretch of code by `alloc::sites`;
//!   functions and lines of code addresses, in the module `sites`.
//! - `hunt`: a table of the functions and lines that allocate in a whole program: `hunt`.
//! - `chrome`: reports as trace events for Perfetto and speedscope, in the module `export::chrome`.
//! - `propagation`: one trace over several services, in the module `propagation`.
//! - `recorder`: records all requests and keeps those that matter, in the module `recorder`.
//! - `search`: finds reports by id, text, outcome, time and size, in the module `search`.
//! - `metrics`: what a recorder has counted, for Prometheus, in the module `metrics`.
//! - `sentry`: traces in the events of Sentry, in the module `sentry`.
//! - `otlp`: kept requests to Jaeger, Tempo and other backends of OpenTelemetry, in the module `otlp`.
//! - `otlp-tls`: the same to collectors behind TLS, by rustls with ring, which needs a C compiler.
//! - `otlp-json`: reports as files of OpenTelemetry: `export::Format::OtlpJson`.
//! - `tower`: a recorder around the requests of axum, hyper and tonic, in the module `tower`.
//! - `tracing`: spans of `tracing` as calls, in the module `tracing`.
//! - `web`: the page of a recorder, in the module `web`.

#![forbid(unsafe_code)]
// On docs.rs each item shows the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

// The macros name the crate by its name, in its own tests too.
extern crate self as tracer;

mod primitives;

mod store;

mod read;
mod write;

pub mod sites;

pub mod report;

pub mod budget;

#[cfg(feature = "hotspots")]
pub mod hotspots;

pub mod export;

#[cfg(feature = "hunt")]
mod hunt;

#[cfg(feature = "search")]
pub mod search;

#[cfg(feature = "propagation")]
pub mod propagation;

#[cfg(feature = "recorder")]
pub mod recorder;

#[cfg(feature = "metrics")]
pub mod metrics;

#[cfg(feature = "sentry")]
pub mod sentry;

#[cfg(feature = "otlp")]
pub mod otlp;

#[cfg(feature = "tracing")]
pub mod tracing;

#[cfg(feature = "tower")]
pub mod tower;

#[cfg(feature = "web")]
pub mod web;

pub mod alloc {
    //! The counting allocator by itself: what the crate `tracer-alloc-counter` has, and a [`Budget`] whose
    //! failures name the lines that allocated.
    //!
    //! ```
    //! use tracer::Counting;
    //! use tracer::alloc::measure;
    //!
    //! #[global_allocator]
    //! static ALLOCATOR: Counting = Counting::system();
    //!
    //! let measured = measure(|| "a".repeat(100));
    //! let counts = measured.counts.expect("Counting is installed");
    //! assert_eq!((counts.allocations, counts.bytes_allocated), (1, 100));
    //! ```

    #[doc(inline)]
    pub use alloc_counter::*;

    pub use crate::budget::assertion::Budget;
    pub use crate::budget::exceeded::Exceeded;
}

#[cfg(all(test, not(loom)))]
mod layers;
#[cfg(all(loom, test))]
mod models;

pub use alloc_counter::Counting;
#[cfg(feature = "hunt")]
pub use hunt::{Hunt, hunt};
pub use report::in_flight::{InFlight, in_flight};
pub use report::{CallReport, FoldedReport, Outcome, Report};
pub use store::callsite::Callsite;
pub use store::ids::{ParseIdError, SpanId, TraceId};
pub use store::interned::NewCallsite;
pub use store::limits::Limits;
pub use store::memory::{Memory, memory};
pub use store::trace::Trace;
pub use store::trace_builder::TraceBuilder;
pub use write::call::Call;
pub use write::carry::{InCurrentTrace, each_in_current_trace, in_current_trace};
pub use write::current::{Scope, fetch};
pub use write::future::{InCall, Instrumented};

/// # Examples
///
/// ```
/// use std::num::ParseIntError;
/// use tracer::{Outcome, Trace, traced};
///
/// #[traced(err, "{input}", length = input.len())]
/// fn parse(input: &str) -> Result<u8, ParseIntError> {
///     input.parse()
/// }
///
/// #[traced(name = "connect", err(Debug))]
/// fn connect_with_retries() -> Result<(), std::io::ErrorKind> {
///     Err(std::io::ErrorKind::TimedOut)
/// }
///
/// let trace = Trace::new();
/// let scope = trace.inject();
/// parse("300").unwrap_err();
/// connect_with_retries().unwrap_err();
/// drop(scope);
/// let calls = &trace.report().calls;
/// assert_eq!((&*calls[0].name, calls[0].id.as_deref()), ("parse", Some("300")));
/// assert!(matches!(&calls[0].outcome, Outcome::Failed(why) if why.contains("too large")));
/// assert_eq!((&*calls[1].name, &calls[1].outcome), ("connect", &Outcome::Failed("TimedOut".into())));
/// ```
///
/// On a function that returns a boxed future, as `#[async_trait]` makes them of methods:
///
/// ```
/// use std::pin::Pin;
/// use tracer::{Trace, traced};
///
/// trait Load {
///     fn load(&self, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send + '_>>;
/// }
///
/// struct Database;
///
/// impl Load for Database {
///     #[traced("{id}")]
///     fn load(&self, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
///         Box::pin(async move {
///             tokio::task::yield_now().await;
///             id
///         })
///     }
/// }
///
/// let trace = Trace::new();
/// let runtime = tokio::runtime::Runtime::new()?;
/// assert_eq!(runtime.block_on(trace.instrument(Database.load(7))), 7);
/// assert_eq!(trace.report().calls[0].id.as_deref(), Some("7"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[cfg(feature = "macros")]
pub use tracer_macros::traced;

/// # Examples
///
/// ```
/// use tracer::{Counting, budget};
///
/// #[global_allocator]
/// static ALLOCATOR: Counting = Counting::system();
///
/// #[budget(allocations <= 1, peak <= 1 KiB)]
/// fn double(numbers: &[u32]) -> Vec<u32> {
///     numbers.iter().map(|number| 2 * number).collect()
/// }
///
/// assert_eq!(double(&[1, 2]), [2, 4]);
///
/// // The default of a build with debug assertions.
/// tracer::budget::on_exceeded(tracer::budget::OnExceeded::Panic);
/// let text = *std::panic::catch_unwind(|| double(&[1; 1000])).unwrap_err().downcast::<String>().unwrap();
/// assert!(text.starts_with("double: allocation budget exceeded at "));
/// assert!(text.contains("peak bytes    at most 1024, but 4000"));
/// assert_eq!(tracer::budget::exceeded(), 1);
/// ```
#[cfg(feature = "macros")]
pub use tracer_macros::budget;

/// Items that the macros' expansions use.
#[doc(hidden)]
pub mod __private {
    pub use crate::budget::future::{in_budget, run_future};
    pub use crate::budget::run::enter;
    pub use crate::budget::{About, Site};
    pub use crate::write::macros::label;
    pub use crate::write::traced::{
        hold, run_err, run_err_debug, traced, traced_err, traced_err_debug,
    };
}

/// Items with which the package `tracer-cli` reads and shows texts and figures.
#[doc(hidden)]
pub mod __command {
    pub use crate::report::escape::Escaped;
    #[cfg(feature = "serde")]
    pub use crate::report::json::report::unix_ns;
    pub use crate::report::units::{bytes, count, time};
    #[cfg(feature = "search")]
    pub use crate::search::values::duration;
}

/// The code blocks of the README and of the guides are tests.
#[cfg(all(
    doctest,
    feature = "macros",
    feature = "metrics",
    feature = "sentry",
    feature = "otlp",
    feature = "tracing",
    feature = "web"
))]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/distributed.md")]
    struct Distributed;
    #[doc = include_str!("../docs/hunting.md")]
    struct Hunting;
    #[doc = include_str!("../docs/production.md")]
    struct Production;
    #[doc = include_str!("../docs/reading-the-numbers.md")]
    struct ReadingTheNumbers;
    #[doc = include_str!("../docs/sentry.md")]
    struct Sentry;
}
