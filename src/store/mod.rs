//! The recorded data of traces and its bounds. Imports `primitives` only.

pub(crate) mod address;
pub(crate) mod callsite;
pub(crate) mod cancelling;
pub(crate) mod checkpoint_name;
pub(crate) mod formatted;
pub(crate) mod ids;
pub(crate) mod interned;
pub(crate) mod short_text;
pub(crate) mod state;
pub(crate) mod threads;
pub(crate) mod usage;

pub(crate) mod record;

pub(crate) mod chunk;
pub(crate) mod paths;
pub(crate) mod sum;

pub(crate) mod folded_calls;
pub(crate) mod remote;

#[cfg(feature = "tracing")]
pub(crate) mod subscriber;

#[cfg(feature = "sites")]
pub(crate) mod sites;

pub(crate) mod limits;
pub(crate) mod meter;

pub(crate) mod strand;

pub(crate) mod folding;
pub(crate) mod identity;

#[cfg(feature = "recorder")]
pub(crate) mod request_id;

#[cfg(feature = "propagation")]
pub(crate) mod caller;
#[cfg(feature = "propagation")]
pub(crate) mod tracestate;

pub(crate) mod trace;
pub(crate) mod trace_builder;

pub(crate) mod memory;
