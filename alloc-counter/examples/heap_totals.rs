//! Does a defined piece of work and prints the process's totals in the terms of valgrind's
//! `total heap usage`. The script `alloc-counter/valgrind` runs it and compares the two.
//!
//! Valgrind counts a reallocation as an allocation and a free, and its whole new size as bytes;
//! [`Counts`](alloc_counter::Counts) has the growth only. So each piece of work tells the sizes
//! that its reallocations grew from, and they are added to the bytes here.

use std::collections::HashMap;
use std::hint::black_box;

use alloc_counter::{Counting, process};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

fn main() {
    let work = std::env::args().nth(1);
    let grown_from = match work.as_deref() {
        Some("nothing") => 0,
        Some("blocks") => blocks(),
        Some("growth") => growth(),
        _ => panic!("usage: heap_totals nothing|blocks|growth"),
    };
    let counts = process().expect("Counting is installed above").counts;
    println!(
        "allocs={} frees={} bytes={}",
        counts.allocations + counts.reallocations,
        counts.deallocations + counts.reallocations,
        counts.bytes_allocated + grown_from,
    );
}

/// Blocks of many kinds and sizes, none of which is resized.
fn blocks() -> u64 {
    for size in 1..1000 {
        black_box(vec![1_u8; size]);
        black_box(vec![0_u8; 7 * size]);
        black_box(Box::new([size; 5]));
        black_box("é".repeat(size));
        black_box(HashMap::from([(size, size.to_string())]));
    }
    0
}

/// Blocks that grow, step by step and at once, and shrink. The sum of the sizes before.
fn growth() -> u64 {
    let mut grown_from = 0;
    let mut list = black_box(Vec::<u64>::new());
    let mut text = black_box(String::new());
    for step in 0..10_000 {
        let (list_bytes, text_bytes) = (8 * list.capacity(), text.capacity());
        list.push(step);
        text.push('é');
        if 8 * list.capacity() != list_bytes {
            grown_from += list_bytes;
        }
        if text.capacity() != text_bytes {
            grown_from += text_bytes;
        }
    }
    grown_from as u64
}
