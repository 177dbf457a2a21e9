//! Models of the data that threads share. Loom runs each with every order of its threads' steps, and
//! lets relaxed loads return every value that the orderings allow.

mod callsite;
mod cut;
mod meter;
mod paths;
mod pool;
mod reader;
mod records;
mod seqlock;
mod strand;
mod trace;
mod visit;

pub(crate) use alloc_counter::model::explore;

/// Makes a value that lives for ever.
fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}
