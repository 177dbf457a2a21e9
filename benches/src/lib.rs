//! What the benches and the programs of this package share.
//!
//! A bench defines its rivals once. `cargo bench -p tracer-benches` gives them to criterion, one
//! after the other: filters, and a comparison with the last run. With `-- --table` they take turns
//! within one run, so that what disturbs the machine disturbs them alike, and their ratio means
//! something where their nanoseconds do not; that is printed as Markdown. `benches/run` makes one
//! document of all tables.

#[cfg(feature = "criterion")]
mod curves;
pub mod futures;
pub mod processor;
#[cfg(feature = "criterion")]
mod race;
mod repeat;
pub mod requests;
#[cfg(feature = "criterion")]
mod turns;
pub mod workload;

#[cfg(feature = "criterion")]
pub use curves::Curves;
#[cfg(feature = "criterion")]
pub use race::Race;
pub use repeat::{each_of, each_of_by, within};
