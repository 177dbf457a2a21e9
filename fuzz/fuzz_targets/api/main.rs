//! Sequences of the public API, against a naive model.
//!
//! The input is a program in text; `fuzz/README.md` has its letters. For every program, the report must
//! agree with the model, and sums must add up.

#![no_main]

mod checks;
mod model;
mod program;
mod worker;

use libfuzzer_sys::fuzz_target;
use tracer::Counting;

#[global_allocator]
static A: Counting = Counting::system();

fuzz_target!(|input: &[u8]| {
    program::run(input);
});
