//! Traces on many threads, those of pools among them.

#[path = "../common/mod.rs"]
mod common;

mod carry;
mod everywhere;
mod rayon_jobs;
mod threads;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
