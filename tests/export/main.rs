//! What is made of reports.

#[path = "../common/by_hand.rs"]
mod by_hand;
#[expect(dead_code, reason = "not all of it is for these tests")]
#[path = "../common/mod.rs"]
mod common;
#[expect(dead_code, reason = "not all of it is for these tests")]
#[path = "../common/polling.rs"]
mod polling;

mod chrome;
mod diff;
mod hotspots;
mod json;
mod pictures;
mod pprof;
mod tables;
mod text;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
