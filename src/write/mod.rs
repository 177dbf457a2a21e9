//! The work of the traced thread: it starts and stops calls, enters and leaves traces. Imports `store`
//! and `primitives`.

// The thread: its place in the records, the strands it has entered, a strand from beginning to end.
#[cfg(feature = "blocks")]
pub(crate) mod blocks;
pub(crate) mod context;
pub(crate) mod cursor;
pub(crate) mod execution;
#[cfg(feature = "sites")]
pub(crate) mod sites;

// Calls: their start and stop, the notes on them, and how they nest.
pub(crate) mod checkpoint;
pub(crate) mod failure;
pub(crate) mod folded;
#[cfg(feature = "tracing")]
pub(crate) mod label;
mod late_text;
pub(crate) mod nesting;
pub(crate) mod plain;
pub(crate) mod start_stop;
pub(crate) mod suspend;

// The public API: `call!`, `Call`, `#[traced]`, `inject`, `fetch`, `instrument`, `in_current_trace`.
pub(crate) mod call;
pub(crate) mod carry;
pub(crate) mod current;
pub(crate) mod future;
pub(crate) mod macros;
pub(crate) mod traced;
