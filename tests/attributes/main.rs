//! The attributes `#[traced]` and `#[budget]`.

#[path = "../common/by_hand.rs"]
mod by_hand;
#[expect(dead_code, reason = "not all of it is for these tests")]
#[path = "../common/mod.rs"]
mod common;

mod budgets;
mod depth;
mod traced;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
