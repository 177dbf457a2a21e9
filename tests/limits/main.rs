//! Traces that hold less than was done.

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "not all of it is for these tests")]
mod common;

mod limits;
mod paths;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
