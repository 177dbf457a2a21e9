//! The recorder around HTTP requests, and its page.

#[path = "../common/mod.rs"]
mod common;

mod bodies;
mod layer;
mod page;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
