//! The attributes `#[traced]` and `#[budget]`.

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/by_hand.rs"]
mod by_hand;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/pause.rs"]
mod pause;

mod budget_lines;
mod budgets;
mod budgets_of_futures;
mod depth;
mod traced;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
