//! Random programs against naive models.

#[expect(dead_code, reason = "not all of it is for these tests")]
#[path = "../common/mod.rs"]
mod common;
#[expect(dead_code, reason = "not all of it is for these tests")]
#[path = "../common/polling.rs"]
mod polling;

mod programs;
mod requests;
mod tasks;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
