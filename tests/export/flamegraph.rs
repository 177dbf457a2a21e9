//! Flame graphs of hotspots, read as SVG.

use std::collections::BTreeMap;

use tracer::hotspots::{By, Hotspots};
use tracer::{Report, Trace, call};

use crate::common::allocate;
use crate::stacks::{hostile, hotspots, traced};

/// Returns the bars of a flame graph: titles, which contain the figures, and colours.
fn bars(svg: &str) -> BTreeMap<String, String> {
    let document = roxmltree::Document::parse_with_options(
        svg,
        roxmltree::ParsingOptions {
            allow_dtd: true,
            ..Default::default()
        },
    )
    .unwrap();
    let bars = document
        .descendants()
        .filter(|node| node.has_tag_name("title"));
    bars.filter_map(|title| {
        let rectangle = title
            .next_siblings()
            .find(|node| node.has_tag_name("rect"))?;
        Some((
            title.text()?.to_owned(),
            rectangle.attribute("fill")?.to_owned(),
        ))
    })
    .collect()
}

fn flamegraph(hotspots: &Hotspots, by: By) -> String {
    let mut svg = Vec::new();
    hotspots.write_flamegraph(by, &mut svg).unwrap();
    String::from_utf8(svg).unwrap()
}

#[test]
fn a_flame_graph_has_a_bar_for_each_path() {
    let hotspots = hotspots(&[traced(5), traced(10)]);
    let svg = flamegraph(&hotspots, By::Allocations);
    let bars: Vec<_> = bars(&svg).into_keys().collect();
    assert_eq!(
        bars,
        [
            "all (236 allocations, 100%)",
            "export::stacks::first (36 allocations, 15.25%)",
            "export::stacks::leaf (200 allocations, 84.75%)",
            "export::stacks::leaf (30 allocations, 12.71%)",
            "export::stacks::second (200 allocations, 84.75%)",
        ]
    );
    // The output is deterministic.
    assert_eq!(svg, flamegraph(&hotspots, By::SelfAllocations));
}

#[test]
fn a_hostile_name_is_text_in_the_picture() {
    let svg = flamegraph(&hotspots(&[hostile()]), By::Bytes);
    assert!(!svg.contains("<script>alert"));
    let bars = bars(&svg);
    let name = "export::stacks::a\\u{3b}b\\n\\t<script>alert(\"1\")</script>&\\0\\u{1b}[2J\\u{20}7\\u{20}8";
    assert!(
        bars.contains_key(&format!("{name} (13 bytes, 11.50%)")),
        "{bars:#?}"
    );
}

#[test]
fn what_has_changed_is_coloured() {
    let mut svg = Vec::new();
    // Twice as many reports before. In each of them the leaf took the same.
    let before = hotspots(&[traced(5), traced(5)]);
    let after = hotspots(&[traced(20)]);
    after
        .write_flamegraph_since(&before, By::Bytes, &mut svg)
        .unwrap();
    let bars = bars(std::str::from_utf8(&svg).unwrap());
    let bars: Vec<_> = bars
        .iter()
        .map(|(title, fill)| format!("{title}: {fill}"))
        .collect();
    assert_eq!(
        bars,
        [
            "all (143 bytes, 100%): rgb(250,250,250)",
            "export::stacks::first (43 bytes, 30.07%; 0.00%): rgb(250,250,250)",
            "export::stacks::leaf (100 bytes, 69.93%; 0.00%): rgb(250,250,250)",
            "export::stacks::leaf (40 bytes, 27.97%; +20.98%): rgb(255,100,100)",
            "export::stacks::second (100 bytes, 69.93%; 0.00%): rgb(250,250,250)",
        ]
    );
}

#[test]
fn the_total_stands_below_the_title() {
    let subtitle = |reports: &[Report], by| {
        let svg = flamegraph(&hotspots(reports), by);
        let options = roxmltree::ParsingOptions {
            allow_dtd: true,
            ..Default::default()
        };
        let document = roxmltree::Document::parse_with_options(&svg, options).unwrap();
        let subtitle = { document.descendants() }.find(|it| it.attribute("id") == Some("subtitle"));
        subtitle.unwrap().text().unwrap().to_owned()
    };
    let inside = "calls inside in the bars above";
    let one = [traced(5)];
    assert_eq!(
        subtitle(&one, By::Allocations),
        format!("113 allocations in 1 report, {inside}")
    );
    assert_eq!(
        subtitle(&one, By::Bytes),
        format!("113 B in 1 report, {inside}")
    );
    let many = [traced(5), traced(6), traced(1000)];
    assert_eq!(
        subtitle(&many, By::Calls),
        format!("15 calls in 3 reports, {inside}")
    );
    assert_eq!(
        subtitle(&many, By::SelfAllocations),
        format!("2,331 allocations in 3 reports, {inside}")
    );
}

#[test]
fn nothing_to_draw() {
    let error = |hotspots: &Hotspots, by| {
        let mut out = Vec::new();
        let error = hotspots.write_flamegraph(by, &mut out).unwrap_err();
        assert!(out.is_empty());
        error.to_string()
    };
    let some = hotspots(&[traced(5)]);
    assert_eq!(
        error(&some, By::Peak),
        "a flame graph by peak can't be drawn: expected a figure that adds up, such as bytes"
    );
    assert_eq!(
        error(&some, By::Failures),
        "nothing to draw: expected calls with failures above 0"
    );
    let mut uncounted = traced(5);
    uncounted.total = None;
    for call in &mut uncounted.calls {
        (call.total, call.self_counts, call.peak_bytes) = (None, None, None);
    }
    assert_eq!(
        error(&hotspots(&[uncounted]), By::Bytes),
        "nothing to draw: self-bytes were not counted: expected another figure, such as time"
    );
    assert_eq!(
        error(&Hotspots::new(), By::Bytes),
        "nothing to draw: expected calls with self-bytes above 0"
    );
    assert_eq!(
        error(&Hotspots::new(), By::Time),
        "nothing to draw: expected calls with self-time above 0"
    );
}

#[test]
fn ten_thousand_levels_are_cut() {
    fn down(depth: u32) {
        let _call = call!();
        allocate(1);
        if depth > 1 {
            down(depth - 1);
        }
    }
    let trace = Trace::with_capacity(10_000);
    let scope = trace.inject();
    down(10_000);
    drop(scope);
    let svg = flamegraph(&hotspots(&[trace.report()]), By::Allocations);
    let bars = bars(&svg);
    assert!(bars.contains_key("export::flamegraph::down (10,000 allocations, 100.00%)"));
    // The last of the 500 levels includes all deeper ones.
    assert!(
        bars.contains_key("export::flamegraph::down (9,501 allocations, 95.01%)"),
        "{bars:#?}"
    );
    assert_eq!(bars.len(), 501);
}
