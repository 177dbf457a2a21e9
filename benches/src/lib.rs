//! The shared parts of the benches and programs of this package.
//!
//! A bench defines its rivals once. `cargo bench -p tracer-benches` runs them through criterion, one
//! after the other, with filters and a comparison with the last run. With `-- --table` the rivals take
//! turns within one run, so that a disturbance of the machine affects them alike: their ratio is
//! reliable even if their nanoseconds are not. The result is printed as Markdown. `benches/run` makes
//! one document of all tables.

#[cfg(feature = "criterion")]
mod curves;
pub mod futures;
pub mod http;
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
