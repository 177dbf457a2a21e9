//! How other threads look at a trace, while it is written and afterwards. Imports `store` and
//! `primitives`, nothing of `write`.

pub(crate) mod address_map;
pub(crate) mod moves;

pub(crate) mod snapshot;

pub(crate) mod reader;

#[cfg(feature = "recorder")]
pub(crate) mod summary;
