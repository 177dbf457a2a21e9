//! Traces with more calls, strands or texts than their limits: the rest is folded, and nothing is lost.

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lines.rs"]
mod lines;
#[path = "../common/pause.rs"]
mod pause;

mod capacity;
mod failures;
mod folded;
mod paths;
mod strands;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
