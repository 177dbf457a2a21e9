//! The recorder.

#[path = "../common/mod.rs"]
mod common;

mod ends;
mod files;
mod moved;
mod recorder;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
