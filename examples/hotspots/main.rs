//! A hunt for allocations: which lines of an index of words allocate. Nothing in it is annotated.
//!
//! `cargo run -p tracer-examples --example hotspots --features hunt`, then with `-- fixed` at the end.

mod index;

use std::env;
use std::error::Error;

use index::{CORPUS, Index, Version};
use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

fn main() -> Result<(), Box<dyn Error>> {
    let _hunt = tracer::hunt();

    let version = match env::args().nth(1).as_deref() {
        None => Version::First,
        Some("fixed") => Version::Fixed,
        Some(other) => return Err(format!("unknown version {other:?}: expected `fixed`").into()),
    };
    let mut index = Index::default();
    for line in CORPUS.lines() {
        index.add(line, version)?;
    }
    println!("{} words", index.words());
    Ok(())
}
