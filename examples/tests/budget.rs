//! The tests of the example `budget`.

#[path = "../budget.rs"]
#[expect(dead_code, reason = "its `main` is for `cargo run --example budget`")]
mod budget;
