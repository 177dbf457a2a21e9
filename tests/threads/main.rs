//! Traces on many threads: spawned, scoped, of rayon and of tokio.

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lines.rs"]
mod lines;
#[path = "../common/pause.rs"]
mod pause;

mod budgets;
mod carry;
mod everywhere;
mod guards;
mod rayon_jobs;
mod reports;
mod spawned;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
