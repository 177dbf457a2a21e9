//! Spans of `tracing` as calls, with their allocations. Imports `recorder`, `write`, `store` and
//! `primitives`.

mod fields;
mod layer;
mod log;
#[cfg(feature = "recorder")]
mod requests;
mod span;
mod table;
mod thread;

pub use layer::CallLayer;
pub use log::WithTrace;

/// Returns a layer that makes a call of each span that is entered while a trace is current.
pub fn layer() -> CallLayer {
    CallLayer::new()
}
