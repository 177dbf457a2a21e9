//! Traced futures.

#[path = "../common/by_hand.rs"]
mod by_hand;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/on_drop.rs"]
mod on_drop;
#[path = "../common/polling.rs"]
mod polling;

mod runtimes;
mod streams;
mod tasks;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
