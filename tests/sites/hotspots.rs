//! Hotspots that go on below the calls, to the lines that allocate.

use std::hint::black_box;

use tracer::alloc::Sites;
use tracer::hotspots::{By, Diff, Hotspots};
use tracer::report::SiteReport;
use tracer::{Report, Trace, traced};

const BLOCK: u32 = line!() + 3;
#[inline(never)]
fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1; bytes])
}

const PARSE: u32 = line!() + 4;
#[traced]
#[inline(never)]
fn parse(bytes: usize) {
    drop(block(bytes));
    drop(block(10));
    drop(black_box(Box::new(7_u64)));
}

const HANDLE: u32 = line!() + 4;
#[traced]
#[inline(never)]
fn handle(bytes: usize) {
    drop(block(1));
    parse(bytes);
}

fn report(bytes: usize) -> Report {
    let trace = Trace::builder().sites(Sites::exact()).build();
    let scope = trace.inject();
    handle(bytes);
    drop(scope);
    trace.report().resolved()
}

fn stacks(hotspots: &Hotspots, by: By) -> Vec<String> {
    let mut text = Vec::new();
    hotspots.write_stacks(by, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn paths_go_on_to_the_lines() {
    let mut hotspots = Hotspots::with_sites();
    hotspots.add(&report(100));
    hotspots.add(&report(200));
    let here = "sites::hotspots";
    let handle = format!("{here}::handle;{here}::handle");
    let parse = format!("{here}::handle;{here}::parse;{here}::parse");
    let lines = [
        format!("{handle}:{HANDLE};{here}::block:{BLOCK} 2"),
        format!("{parse}:{PARSE};{here}::block:{BLOCK} 300"),
        format!("{parse}:{};{here}::block:{BLOCK} 20", PARSE + 1),
        format!("{parse}:{} 16", PARSE + 2),
    ];
    assert_eq!(stacks(&hotspots, By::SelfBytes), lines);
    let whole = hotspots.counts().unwrap().bytes_allocated;
    assert_eq!(whole, 2 + 300 + 20 + 16);

    // The calls keep nothing, and their totals stay.
    let functions = hotspots.functions(By::SelfBytes);
    let shown = functions.iter().map(|it| {
        let frame = it.frame;
        let figures = [By::Calls, By::SelfBytes, By::Bytes].map(|by| by.of(it.totals));
        (frame.name, frame.is_site, frame.line, figures)
    });
    let expected = [
        ("block", true, BLOCK, [0, 322, 322]),
        ("parse", true, PARSE + 2, [0, 16, 16]),
        ("handle", false, HANDLE - 3, [2, 0, 338]),
        ("handle", true, HANDLE, [0, 0, 2]),
        ("parse", false, PARSE - 3, [2, 0, 336]),
        ("parse", true, PARSE, [0, 0, 300]),
        ("parse", true, PARSE + 1, [0, 0, 20]),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    assert_eq!(functions[0].frame.module, here);
    assert!(functions[0].frame.file.ends_with("tests/sites/hotspots.rs"));
}

#[test]
fn without_them_paths_end_at_the_calls() {
    let mut hotspots = Hotspots::new();
    hotspots.add(&report(100));
    let here = "sites::hotspots";
    let lines = [
        format!("{here}::handle 1"),
        format!("{here}::handle;{here}::parse 118"),
    ];
    assert_eq!(stacks(&hotspots, By::SelfBytes), lines);
}

/// A site with some bytes in a report that has them exactly.
fn estimated(report: &mut Report, call: usize, bytes: u64) {
    let sites = report.calls[call].sites.as_mut().unwrap();
    sites.truncate(1);
    let site: &mut SiteReport = &mut sites[0];
    (site.bytes_allocated, site.error_bytes) = (bytes, bytes / 2);
}

#[test]
fn an_estimate_above_the_exact_figure_is_made_up_for_later() {
    let (mut first, mut second, mut third) = (report(100), report(100), report(100));
    for (report, bytes) in [(&mut first, 300), (&mut second, 0), (&mut third, 0)] {
        estimated(report, 0, 1);
        estimated(report, 1, bytes);
    }
    let own = |hotspots: &Hotspots| {
        let functions = hotspots.functions(By::SelfBytes);
        let parse = { functions.iter() }.find(|it| it.frame.name == "parse" && !it.frame.is_site);
        By::SelfBytes.of(parse.unwrap().totals)
    };
    let mut hotspots = Hotspots::with_sites();
    hotspots.add(&first);
    assert_eq!(own(&hotspots), 0); // 118 - 300
    hotspots.add(&second);
    assert_eq!(own(&hotspots), 0); // 236 - 300
    let mut others = Hotspots::with_sites();
    others.add(&third);
    assert_eq!(own(&others), 118);
    hotspots.merge(&others);
    assert_eq!(own(&hotspots), 354 - 300);
}

#[test]
fn a_table_marks_lines() {
    let mut hotspots = Hotspots::with_sites();
    hotspots.add(&report(100));
    let table = hotspots.table().width(70).top(3).to_string();
    // The places depend on where the source is.
    let columns = table.lines().map(|line| {
        let columns: String = line.chars().take(36).collect();
        columns.trim_end().to_owned()
    });
    let columns: Vec<_> = columns.collect();
    let expected = [
        "1 report, 2 calls, 4 allocations (11",
        "",
        "function  self-bytes ▼  share  bytes",
        "────────────────────────────────────",
        "▸ block          111 B  93.3%  111 B",
        "▸ parse            8 B   6.7%    8 B",
        "handle             0 B   0.0%  119 B",
        "",
        "1 more row",
    ];
    assert_eq!(columns, expected);
    let places = table.lines().skip(4).take(2);
    let lines = [BLOCK, PARSE + 2];
    for (place, line) in places.zip(lines) {
        let end = format!("/tests/sites/hotspots.rs:{line}");
        assert!(place.ends_with(&end), "{place}");
    }
}

#[test]
fn a_difference_adds_up_the_lines_of_a_function() {
    let (mut before, mut after) = (Hotspots::with_sites(), Hotspots::with_sites());
    before.add(&report(100));
    after.add(&report(150));
    let diff = Diff::between(&before, &after);
    let changes = diff.functions(By::Bytes);
    let shown = changes.iter().map(|change| {
        let frame = change.frame();
        let bytes = |totals: &Option<_>| totals.as_ref().map(|totals| By::Bytes.of(totals));
        let (before, after) = (bytes(&change.before), bytes(&change.after));
        (frame.name, frame.is_site, before, after)
    });
    let expected = [
        ("block", true, Some(111), Some(161)),
        ("handle", false, Some(119), Some(169)),
        ("parse", false, Some(118), Some(168)),
        ("parse", true, Some(118), Some(168)),
        ("handle", true, Some(1), Some(1)),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    let breaches = diff.breaches(&["self-bytes > +0".parse().unwrap()]);
    let breaches: Vec<_> = breaches.iter().map(ToString::to_string).collect();
    assert_eq!(
        breaches[1].split_once(" (").unwrap().0,
        "▸ block",
        "{breaches:#?}"
    );
}
