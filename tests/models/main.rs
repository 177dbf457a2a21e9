//! Random programs against naive models: calls, folded calls, futures, requests under a recorder.

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/pause.rs"]
mod pause;

mod folded;
mod numbers;
mod programs;
mod remote;
mod requests;
mod tasks;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
