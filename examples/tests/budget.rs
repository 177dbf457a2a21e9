//! The tests of the example `budget`.

#[path = "../budget.rs"]
#[expect(dead_code, reason = "its `main` is that of the example")]
mod budget;
