//! The same functions in tracer's table and in hotpath's, one run each.
//!
//! hotpath adds up while the program runs, by function, with allocations only in a separate build, with its
//! own global allocator. Here reports are added up afterwards, so the table has self figures, outcomes and
//! paths, of selected reports.

use std::hint::black_box;

use hotpath::{Format, HotpathGuardBuilder, Section};
use tracer::hotspots::{By, Hotspots};
use tracer::{Counting, Trace, call};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const REQUESTS: u64 = 1_000;

fn main() {
    let mut hotspots = Hotspots::new();
    for _ in 0..REQUESTS {
        let trace = Trace::new();
        let scope = trace.inject();
        ours::handle();
        drop(scope);
        hotspots.add(&trace.report());
    }
    println!("{}", hotspots.table().by(By::Time).width(120));
    let _profiler = HotpathGuardBuilder::new("theirs")
        .format(Format::Table)
        .sections(vec![Section::FunctionsTiming])
        .build();
    for _ in 0..REQUESTS {
        theirs::handle();
    }
}

fn decode() -> Vec<u8> {
    black_box(vec![1_u8; 10_000])
}

fn store(bytes: &[u8]) {
    black_box(bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
}

mod ours {
    use super::call;

    pub(super) fn handle() {
        let _call = call!();
        for _ in 0..4 {
            store(&decode());
        }
    }

    fn decode() -> Vec<u8> {
        let _call = call!();
        super::decode()
    }

    fn store(bytes: &[u8]) {
        let _call = call!();
        super::store(bytes);
    }
}

mod theirs {
    pub(super) fn handle() {
        hotpath::measure_block!("theirs::handle", {
            for _ in 0..4 {
                store(&decode());
            }
        });
    }

    fn decode() -> Vec<u8> {
        hotpath::measure_block!("theirs::decode", super::decode())
    }

    fn store(bytes: &[u8]) {
        hotpath::measure_block!("theirs::store", super::store(bytes));
    }
}
