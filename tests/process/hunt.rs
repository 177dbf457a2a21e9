//! A hunt over a program with threads, a pool and tasks.

use std::fs;
use std::hint::black_box;
use std::thread;

use rayon::prelude::*;
use tracer::alloc::Counts;
use tracer::report::SiteReport;
use tracer::{InCurrentTrace, Report, each_in_current_trace, in_current_trace, traced};

use super::alone;
use super::figures::check_sums;

const ITEMS: usize = 500;

#[inline(never)]
fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1; bytes])
}

#[traced]
fn item(number: usize) -> usize {
    block(100).len() + number
}

/// The program.
pub(crate) fn hunts() {
    let _hunt = tracer::hunt();
    drop(block(7));
    let thread = thread::spawn(in_current_trace(|| drop(block(2000))));
    thread.join().unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2);
    let pool = pool.build().unwrap();
    let each = each_in_current_trace(item);
    let sum: usize = pool.install(|| (0..ITEMS).into_par_iter().map(each).sum());
    assert_eq!(sum, 100 * ITEMS + ITEMS * (ITEMS - 1) / 2);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let task = runtime.spawn(async { drop(block(3000)) }.in_current_trace());
    runtime.block_on(task).unwrap();
}

/// Returns the bytes at the sites in `block`.
fn of_blocks<'a>(sites: impl Iterator<Item = &'a SiteReport>) -> u64 {
    let is_block = |site: &&SiteReport| {
        let mut names = site.frames.iter().filter_map(|it| it.function.as_deref());
        names.any(|name| name.ends_with("hunt::block"))
    };
    sites
        .filter(is_block)
        .map(|site| site.bytes_allocated)
        .sum()
}

pub(crate) fn all_that_carries_the_trace_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hunt.jsonl");
    let mut child = alone("hunt::hunts");
    child.env("TRACER_HUNT", format!("json={}", file.display()));
    let output = child.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"");
    let report: Report = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(report.sites_not_recorded, Some(Counts::ZERO));
    check_sums(&report);
    let ([hunt], [items]) = (&report.calls[..], &report.folded[..]) else {
        panic!("{report:#?}");
    };
    assert_eq!((&*hunt.name, hunt.parent), ("hunt", None));
    assert_eq!(
        (&*items.name, items.parent, items.calls),
        ("item", Some(0), ITEMS as u64)
    );
    let of_items = items.sites.as_ref().unwrap();
    assert_eq!(of_blocks(of_items.iter()), 100 * ITEMS as u64);
    let others = [hunt.sites.as_ref().unwrap(), report.sites.as_ref().unwrap()];
    assert_eq!(of_blocks(others.into_iter().flatten()), 7 + 2000 + 3000);
}

pub(crate) fn the_table_is_on_standard_error() {
    let mut child = alone("hunt::hunts");
    let output = child.env("TRACER_HUNT", "table").output().unwrap();
    let table = String::from_utf8(output.stderr).unwrap();
    let first = format!("1 report, {} calls, ", 1 + ITEMS);
    assert!(table.starts_with(&first), "{table}");
    assert!(table.contains("\n▸ block "), "{table}");
}
