//! A hunt for allocations: where an index of words allocates, and the gain of a fix.
//!
//! `cargo run -p tracer-examples --example hotspots --features flamegraph --release`. The picture goes
//! to `target/hotspots.svg`, or to the path given as an argument.

mod index;

use std::error::Error;
use std::fs::File;

use index::{CORPUS, Index, Version};
use tracer::hotspots::{By, Diff, Hotspots};
use tracer::{Counting, Trace};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// Indexes every document in a trace of its own, as a service does with requests.
fn measured(version: Version) -> Result<(Index, Hotspots), Box<dyn Error>> {
    let (mut index, mut hotspots) = (Index::default(), Hotspots::new());
    for line in CORPUS.lines() {
        let trace = Trace::new();
        let scope = trace.inject();
        index.add(line, version)?;
        drop(scope);
        hotspots.add(&trace.report());
    }
    Ok((index, hotspots))
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1);
    let path = path.unwrap_or_else(|| "target/hotspots.svg".to_owned());

    println!("An index of words, as it was written first:\n");
    let (index, before) = measured(Version::First)?;
    print!("{}", before.table().by(By::SelfAllocations).width(100));
    if let Some(worst) = before.functions(By::SelfAllocations).first() {
        let frame = worst.frame;
        println!(
            "\nThe worst is {}, at {}:{}.",
            frame.name, frame.file, frame.line
        );
    }
    before.write_flamegraph(By::SelfAllocations, File::create(&path)?)?;
    println!("Drawn: {path}\n");

    println!("With strings made only for words that are new:\n");
    let (fixed_index, after) = measured(Version::Fixed)?;
    print!("{}", Diff::between(&before, &after).table().width(100));
    if index != fixed_index {
        return Err("the two indexes differ".into());
    }
    Ok(())
}
