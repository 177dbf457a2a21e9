//! One file for each command.

pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod flamegraph;
pub(crate) mod hotspots;
#[cfg(feature = "serve")]
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod symbolize;
#[cfg(feature = "top")]
pub(crate) mod top;
