//! Reports in the formats of other tools.

#[cfg(feature = "chrome")]
pub mod chrome;
#[cfg(feature = "flamegraph")]
mod flamegraph;
#[cfg(feature = "hotspots")]
mod folded;
#[cfg(feature = "pprof")]
mod pprof;

#[cfg(feature = "flamegraph")]
pub use flamegraph::FlamegraphError;
