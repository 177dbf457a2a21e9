//! Models of the data that threads share. Loom runs each with every order of its threads' steps, and
//! lets relaxed loads return every value that the orderings allow.
//!
//! Bounds: two or three threads, a few steps each, and three preemptions at most; two if a meter stops, a
//! call is stopped remotely or moved, a visit ends, or a pool has members in three parts; one if figures
//! change twice. Loom stores one access to an atomic, so if a thread loads and then stores, loom does not
//! see that another has loaded before. So the thread that writes is the model's first.
//!
//! Not modelled: thread-locals, the steps after a reader's failed attempt, versions that wrap around, more
//! than seven earlier stores for one load, and reordering of a load after a later store, which loom does
//! not support.

mod callsite;
mod cut;
mod meter;
mod paths;
mod pool;
mod reader;
mod records;
mod seqlock;
mod strand;
mod table;
mod trace;
mod turns;
mod visit;

pub(crate) use alloc_counter::model::explore;

/// Makes a value that lives for ever.
fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}
