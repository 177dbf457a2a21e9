//! Traces in the events of Sentry.
//!
//! - [`TracerIntegration`] adds to each event that the program captures inside a request: the trace's id and that of
//!   the open call, the request's id and route, and the open calls of this thread with their times and allocations.
//! - [`WithTree`] is around Sentry's transport. It attaches the tree of the request's calls until then.
//! - [`kept_failures`] is a [callback](crate::recorder::Builder::callback) of a recorder. It captures each kept
//!   request that failed or panicked as an event of its own, grouped by route and failure, with its tree.
//!
//! ```
//! use tracer::recorder::Recorder;
//! use tracer::sentry::{TracerIntegration, WithTree, kept_failures};
//! # use sentry_core as sentry;
//! use sentry::{ClientOptions, Hub};
//!
//! let recorder = Recorder::builder().callback("sentry", kept_failures(Hub::main())).start()?;
//! # let transport = sentry::test::TestTransport::new();
//! // Elsewhere: `let transport = sentry::transports::DefaultTransportFactory;`
//! let options = ClientOptions::new()
//!     .dsn("https://public@sentry.example/1")
//!     .transport(WithTree::new(transport))
//!     .add_integration(TracerIntegration::new(recorder.clone()));
//! // `let _sentry = sentry::init(options);`
//! # let _ = options;
//! # Ok::<(), tracer::recorder::StartError>(())
//! ```
//!
//! The guide [docs/sentry.md] shows how to get from an event to its kept trace, and from the page to an event.
//!
//! # What is added
//!
//! | where | what |
//! |---|---|
//! | context `trace` | trace id, span id of the innermost open call or of the request, and that of the caller; it stays as it is if a transaction of Sentry's is active |
//! | context `tracer` | `trace` (the number on the page), `trace_id`, `route`, `request_id`, `elapsed_ms`, `allocations`, `allocated_bytes`, and `open_calls`, the outermost first |
//! | tags `route`, `request_id` | for searches; tags that the program set stay |
//! | transaction | the route, if the event has none |
//! | attachment `tracer.txt` | the tree |
//!
//! Neither the integration nor the callback keeps the recorder: it ends with its last handle, after what was kept by
//! then is captured. End it by [`Recorder::shut_down`](crate::recorder::Recorder::shut_down) before Sentry's guard is
//! dropped, since a closed client takes no events.
//!
//! Outside of a trace nothing is added. A trace that is not of the recorder has no route and no request id.
//!
//! # Bounds and cost
//!
//! At most 32 open calls are listed, the innermost ones; texts are cut at 1,024 bytes, tags at 200 characters; the
//! tree is cut at 64 KiB. An event takes a report of its trace, twice with [`WithTree`]: some microseconds, and more
//! for traces with many calls. Nothing waits for the recorder's thread, and it waits for nothing: `kept_failures` runs
//! on a thread of its own, behind a bounded queue. Requests that capture no event pay nothing.
//!
//! [docs/sentry.md]: https://github.com/dead-simple/tracer/blob/main/docs/sentry.md

mod attachment;
mod facts;
mod fingerprint;
mod integration;
mod kept;
mod texts;

pub use attachment::WithTree;
pub use integration::TracerIntegration;
pub use kept::kept_failures;
