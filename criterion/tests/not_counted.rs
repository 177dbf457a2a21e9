//! Without a `Counting` allocator nothing is measured: the line of `one_iteration` says so, and a bench
//! fails.

use std::hint::black_box;

use tracer_criterion::{count, one_iteration};

fn allocate() {
    drop(black_box(Box::new(1_u8)));
}

#[test]
fn a_bench_without_counting_fails() {
    let text = one_iteration(allocate).to_string();
    assert_eq!(
        text.trim_start(),
        "heap:   not counted \
         (is `#[global_allocator] static A: Counting = Counting::system();` there?)"
    );
    let refused = std::panic::catch_unwind(|| count(1, allocate)).unwrap_err();
    let message = refused.downcast_ref::<String>().unwrap();
    assert!(
        message.starts_with("allocations are not counted (is `#[global_allocator]"),
        "{message}"
    );
}
