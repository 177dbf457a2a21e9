//! Malformed limits of a budget.

use tracer::budget;

#[budget]
fn none() {}

#[budget(size <= 12)]
fn unknown() {}

#[budget(bytes < 12)]
fn another_sign() {}

#[budget(bytes <= 12, bytes <= 13)]
fn twice() {}

#[budget(bytes <= 12, bytes == 13)]
fn both() {}

#[budget(allocations == )]
fn nothing_exactly() {}

#[budget(allocations == 1 KiB)]
fn a_unit_of_exact_allocations() {}

#[budget(allocations >= 1)]
fn at_least() {}

#[budget(peak <= 64 Kib)]
fn another_unit() {}

#[budget(allocations <= 1 KiB)]
fn a_unit_of_allocations() {}

#[budget(bytes <= -1)]
fn negative() {}

#[budget(bytes <= "many")]
fn of_another_type() {}

fn main() {}
