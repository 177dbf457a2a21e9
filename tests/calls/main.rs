//! Calls on one thread: their figures, their texts and their ends, with guards and scopes dropped in any
//! order.

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lines.rs"]
mod lines;
#[path = "../common/on_drop.rs"]
mod on_drop;

mod callsites;
mod figures;
mod ids;
mod in_flight;
mod late;
mod order;
mod outcomes;
mod peaks;
mod scopes;
mod texts;
mod without_a_trace;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
