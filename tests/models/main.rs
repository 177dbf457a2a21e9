//! Random programs against naive models.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/pause.rs"]
mod pause;

mod programs;
mod requests;
mod tasks;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
