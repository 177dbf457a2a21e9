//! Both versions of the example `hotspots` make the same index, with exactly the allocations in the documents.

#[path = "../hotspots/index.rs"]
mod index;

use index::{CORPUS, Index, Version};
use tracer::Trace;
use tracer::hotspots::{By, Diff, Hotspots};

fn measured(version: Version) -> (Index, Hotspots) {
    let (mut index, mut hotspots) = (Index::default(), Hotspots::new());
    for line in CORPUS.lines() {
        let trace = Trace::new();
        let scope = trace.inject();
        index.add(line, version).unwrap();
        drop(scope);
        hotspots.add(&trace.report());
    }
    (index, hotspots)
}

/// Returns the name, the calls and the self allocations of each function.
fn allocations(hotspots: &Hotspots) -> Vec<(String, u64, u64)> {
    let functions = hotspots.functions(By::SelfAllocations).into_iter();
    let figures = functions.map(|it| {
        let allocations = By::SelfAllocations.of(it.totals);
        (it.frame.name.to_owned(), it.totals.calls, allocations)
    });
    figures.collect()
}

#[test]
fn the_fix_gains_what_the_documents_say() {
    let (index, before) = measured(Version::First);
    let (fixed, after) = measured(Version::Fixed);
    assert_eq!(index, fixed);
    let figures = |figures: [(&str, u64, u64); 4]| {
        figures.map(|(name, calls, allocations)| (name.to_owned(), calls, allocations))
    };
    assert_eq!(
        allocations(&before),
        figures([
            ("post", 7835, 9879),
            ("words", 57, 7835),
            ("parse", 57, 357),
            ("add", 57, 5),
        ])
    );
    assert_eq!(
        allocations(&after),
        figures([
            ("post", 7835, 3523),
            ("parse", 57, 357),
            ("words", 57, 111),
            ("add", 57, 5),
        ])
    );
}

#[test]
fn counts_are_the_same_in_every_run() {
    let (_, before) = measured(Version::First);
    let (_, again) = measured(Version::First);
    let rules = ["allocations > +0", "bytes > +0", "calls > +0", "peak > +0"];
    let rules = rules.map(|rule| rule.parse().unwrap());
    assert_eq!(Diff::between(&before, &again).breaches(&rules), []);
    assert_eq!(Diff::between(&again, &before).breaches(&rules), []);
}
