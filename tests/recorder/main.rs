//! The recorder.

#[expect(dead_code, reason = "not all of it is for these tests")]
#[path = "../common/mod.rs"]
mod common;

mod ends;
mod files;
mod moved;
mod recorder;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
