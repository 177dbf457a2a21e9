//! Sequences of the public API, against a naive model.
//!
//! The input is a program in text; `fuzz/README.md` has its letters. Whatever it does, the report
//! must say what the model says, and the sums must come out.

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
