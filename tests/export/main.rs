//! Reports as text and in every export format; hotspots, and their renderings.

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/by_hand.rs"]
mod by_hand;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/pause.rs"]
mod pause;

mod chrome;
mod diff;
mod flamegraph;
mod hotspots;
mod json;
mod otlp;
mod pprof;
mod repeats;
mod stacks;
mod tables;
mod text;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
