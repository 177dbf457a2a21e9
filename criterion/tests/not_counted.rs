//! Without an installed `Counting`, nothing is measured, and the reason is told.

use tracer_criterion::{count, one_iteration};

#[test]
fn what_is_not_counted_is_not_benched() {
    let allocate = || drop(std::hint::black_box(Box::new(1_u8)));
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
