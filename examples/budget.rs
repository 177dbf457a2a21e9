//! Limits what functions may allocate, so that a test fails if they allocate more.
//!
//! [`budget`] checks a function whenever it runs. [`Budget`] checks any closure, such as a part of a test.
//! `cargo test -p tracer-examples --test budget_tests` runs the tests below.
//! `cargo run -p tracer-examples --example budget --features sites` ends in a panic, with the message of a breach.

use tracer::alloc::Budget;
use tracer::{Counting, budget, traced};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

#[budget(allocations <= 1, peak <= 1 KiB)]
fn double(numbers: &[u32]) -> Vec<u32> {
    numbers.iter().map(|number| 2 * number).collect()
}

/// Exceeds its budget for more than four even numbers: the vector grows.
#[budget(allocations <= 1)]
fn evens(numbers: &[u32]) -> Vec<u32> {
    select(numbers, |number| number.is_multiple_of(2))
}

#[traced]
fn select(numbers: &[u32], is_wanted: impl Fn(u32) -> bool) -> Vec<u32> {
    let numbers = numbers.iter().copied();
    numbers.filter(|number| is_wanted(*number)).collect()
}

fn main() {
    let numbers: Vec<u32> = (0..20).collect();
    let checked = Budget::new().bytes(79).check(|| double(&numbers));
    println!("{}", checked.expect_err("20 numbers have 80 bytes"));

    // A debug build panics here, and shows the calls that ran inside. A release continues.
    let evens = evens(&numbers);
    println!("\n{} even numbers", evens.len());
}

#[test]
fn double_allocates_once() {
    let budget = Budget::new().allocations(1).peak_bytes(12);
    let doubled = budget.assert(|| double(&[1, 2, 3]));
    assert_eq!(doubled, [2, 4, 6]);
}

#[test]
#[should_panic(expected = "allocations   at most 1, but 2")]
fn evens_allocates_again_for_the_fifth() {
    evens(&[0, 2, 4, 6, 8]);
}
