//! How other threads read a trace, while it is written and afterwards. Imports `store` and `primitives`,
//! nothing of `write`.
//!
//! [`snapshot`] reads all of a trace, for a report. A [`Summary`](summary::Summary) is a few numbers for
//! each call, for the recorder, which reads every trace and keeps few.

pub(crate) mod address_map;
pub(crate) mod footprint;
pub(crate) mod moves;

pub(crate) mod snapshot;

mod reader;
#[cfg(all(loom, test))]
pub(crate) use reader::read_strand;
pub(crate) use reader::snapshot;

#[cfg(feature = "recorder")]
pub(crate) mod summary;
