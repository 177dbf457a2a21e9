//! Explains single requests: every call with its time and the heap allocations it really made.
//!
//! (crate docs to be written)
#![forbid(unsafe_code)]

extern crate self as tracer;

mod clock;
mod pool;

mod callsite;
mod text;
mod threads;

mod record;

mod limits;
mod meter;

mod strand;

mod trace;

mod context;

mod call;

mod future;

mod snapshot;

pub mod report;

pub use call::Call;
pub use callsite::Callsite;
pub use context::{Scope, fetch};
pub use future::{InCall, Instrumented};
pub use report::{CallReport, CheckpointReport, Outcome, Report};
pub use trace::Trace;

pub use alloc_counter::{self as alloc, Counting};

#[cfg(feature = "macros")]
pub use tracer_macros::traced;

#[doc(hidden)]
pub mod __private {
    pub use crate::future::{traced, traced_err};
}

mod macros;
