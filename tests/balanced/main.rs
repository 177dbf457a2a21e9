//! Balanced budgets: each block that a stretch of code allocates is freed, by whatever thread.

#[path = "../common/pause.rs"]
mod pause;

mod nested;
mod rayon_pool;
mod runtimes;
mod threads;

use std::hint::black_box;

use tracer::Counting;
use tracer::alloc::Exceeded;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// Makes a block of this size.
fn bytes(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(black_box(size)))
}

/// Leaks a block of this size.
fn leak(size: usize) {
    std::mem::forget(bytes(size));
}

/// Returns what a budget found, or `balanced`.
fn told<T>(checked: Result<T, Exceeded>) -> String {
    match checked {
        Ok(_) => "balanced".to_owned(),
        Err(exceeded) => exceeded
            .kept()
            .map_or_else(|| exceeded.brief(), |it| it.to_string()),
    }
}
