//! Traced futures.

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/by_hand.rs"]
mod by_hand;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lines.rs"]
mod lines;
#[path = "../common/on_drop.rs"]
mod on_drop;
#[path = "../common/pause.rs"]
mod pause;

mod runtimes;
mod step;
mod streams;
mod tasks;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
