//! Calls on one thread: what each used, and how it ended, whatever became of its guard.

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lines.rs"]
mod lines;
#[path = "../common/on_drop.rs"]
mod on_drop;

mod calls;
mod callsites;
mod guards;
mod in_flight;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
