//! Primitives for sharing memory among threads, which know nothing of traces: they import nothing from
//! the rest of the crate.

pub(crate) mod sync;

pub(crate) mod clock;
pub(crate) mod excluded;
pub(crate) mod hex;
pub(crate) mod place;
pub(crate) mod pool;
pub(crate) mod text;
pub(crate) mod wait;

pub(crate) mod seqlock;
#[cfg(any(feature = "tracing", all(loom, test)))]
pub(crate) mod table;

#[cfg(any(feature = "recorder", all(loom, test)))]
pub(crate) mod cut;
#[cfg(feature = "recorder")]
pub(crate) mod fallible;
#[cfg(feature = "tower")]
pub(crate) mod spares;
#[cfg(any(all(feature = "recorder", feature = "sites"), all(loom, test)))]
pub(crate) mod turns;
