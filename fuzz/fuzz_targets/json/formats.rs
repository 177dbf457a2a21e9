//! Each format, read back as another program would do.

use std::collections::BTreeMap;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use serde_json::Value;
use tracer::Report;
use tracer::export::chrome;
use tracer::hotspots::{By, Diff, Hotspots, Rule};

use crate::is_dangerous;
use crate::profile;

/// Returns the lines of a text, and asserts that a terminal can show it.
fn lines(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().collect();
    for line in &lines {
        let line = line.trim_start_matches('\t');
        assert!(!line.chars().any(is_dangerous), "{line:?}");
        // Invisible characters, which would make two names look alike.
        let is_invisible = |it: char| matches!(it, '\u{200b}' | '\u{2060}' | '\u{feff}');
        assert!(!line.contains(is_invisible), "{line:?}");
    }
    lines
}

/// Checks the text: a line for each call, and the tree.
pub fn text(report: &Report) {
    let text = report.to_string();
    let lines_of_calls = lines(&text);
    let count = |start: &str| {
        lines_of_calls
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    };
    assert_eq!(count("\tcall "), report.calls.len());
    assert_eq!(count("\tfolded "), report.folded.len());
    let checkpoints: usize = report.calls.iter().map(|call| call.checkpoints.len()).sum();
    assert_eq!(count("\t\tcheckpoint ["), checkpoints);
    let tree = format!("{report:#}");
    let rows = report.calls.len() + report.folded.len() + checkpoints;
    assert!(lines(&tree).len() >= rows, "{tree}");
    if let Some(request) = &report.request {
        lines(&request.to_string());
    }
}

/// Checks trace events: every call once, each begin with its end, in order of time.
pub fn trace_events(reports: &[Report]) {
    let mut file = Vec::new();
    chrome::write(reports, &mut file).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let mut open: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    let mut last: BTreeMap<u64, f64> = BTreeMap::new();
    let mut calls = 0;
    for event in file["traceEvents"].as_array().unwrap() {
        let name = event["name"].as_str().unwrap();
        let tid = event["tid"].as_u64().unwrap();
        assert!(event["pid"].as_u64().is_some());
        let phase = event["ph"].as_str().unwrap();
        if phase == "M" {
            assert!(event["args"]["name"].is_string());
            continue;
        }
        let at = event["ts"].as_f64().unwrap();
        assert!(at.is_finite());
        match phase {
            "B" => open.entry(tid).or_default().push(name),
            "E" => {
                assert_eq!(open.get_mut(&tid).unwrap().pop(), Some(name));
                calls += 1;
            }
            "i" if event["cat"] == "call" => calls += 1,
            "i" | "C" => {}
            other => panic!("phase {other}"),
        }
        if matches!(phase, "B" | "E") {
            let before = last.insert(tid, at).unwrap_or(f64::NEG_INFINITY);
            assert!(before <= at, "{name} at {at}, after {before}");
        }
    }
    assert!(open.values().all(Vec::is_empty));
    let expected: usize = reports.iter().map(|report| report.calls.len()).sum();
    assert_eq!(calls, expected);
}

/// Checks tables, stacks, flame graphs and profiles of many reports.
pub fn hotspots(hotspots: &Hotspots, by: By) {
    let functions = hotspots.functions(by).len();
    for (top, width) in [(0, 0), (3, 40), (usize::MAX, 120), (5, 1000)] {
        let table = hotspots.table().by(by).top(top).width(width);
        lines(&table.to_string());
        markdown_table(&table.markdown().to_string(), functions.min(top));
    }
    stacks(hotspots, by);
    json(hotspots);
    pprof(hotspots);
    flamegraph(hotspots, by);
}

fn json(hotspots: &Hotspots) {
    let table = hotspots.table().by(By::Calls).top(usize::MAX);
    let text = serde_json::to_string(&table).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["reports"], hotspots.reports());
    let functions = value["functions"].as_array().unwrap();
    assert_eq!(functions.len(), hotspots.functions(By::Calls).len());
    let paths = value["paths"].as_array().unwrap();
    for (place, path) in paths.iter().enumerate() {
        let parent = path["parent"].as_u64();
        assert!(parent.is_none_or(|parent| parent < place as u64));
    }
    let calls = |of: &[Value]| {
        let calls = of.iter().map(|it| it["calls"].as_u64().unwrap());
        calls.fold(0, u64::saturating_add)
    };
    assert_eq!(calls(functions), calls(paths));
}

/// Checks that there is one table, with equal numbers of cells in all rows, and no markup in the cells.
pub fn markdown_table(text: &str, rows: usize) {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let (mut tables, mut widths) = (0, Vec::new());
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(Tag::Table(_)) => tables += 1,
            Event::Start(Tag::TableHead | Tag::TableRow) => widths.push(0),
            Event::End(TagEnd::TableCell) => *widths.last_mut().unwrap() += 1,
            Event::Start(
                Tag::Link { .. }
                | Tag::Image { .. }
                | Tag::HtmlBlock
                | Tag::Heading { .. }
                | Tag::Strikethrough,
            )
            | Event::Html(_) => panic!("markup in {text:?}"),
            // Around names with characters that Markdown can't escape in another way.
            Event::InlineHtml(tag) => assert!(matches!(&*tag, "<code>" | "</code>"), "{text:?}"),
            _ => {}
        }
    }
    if rows == 0 {
        return assert_eq!(tables, 0, "{text:?}");
    }
    assert_eq!((tables, widths.len()), (1, rows + 1), "{text:?}");
    assert!(widths.iter().all(|width| *width == widths[0]), "{text:?}");
}

fn stacks(hotspots: &Hotspots, by: By) {
    let mut text = Vec::new();
    hotspots.write_stacks(by, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut sum = 0_u64;
    for line in lines(&text) {
        let (stack, figure) = line.rsplit_once(' ').unwrap();
        assert!(!stack.contains(char::is_whitespace) && !stack.is_empty());
        assert!(stack.split(';').all(|frame| !frame.is_empty()), "{line:?}");
        let figure: u64 = figure.parse().unwrap();
        assert!(figure > 0);
        sum = sum.saturating_add(figure);
    }
    let paths = hotspots.paths();
    let figures = paths.iter().map(|path| by.of(path.totals));
    assert_eq!(sum, figures.fold(0, u64::saturating_add));
}

fn pprof(hotspots: &Hotspots) {
    let mut compressed = Vec::new();
    hotspots.write_pprof(&mut compressed).unwrap();
    let profile = profile::read(&compressed);
    let figures = ["calls", "time", "busy", "allocations", "bytes"];
    assert_eq!(profile.figures, figures);
    let paths = hotspots.paths();
    assert_eq!(profile.samples.len(), paths.len());
    let by = [
        By::Calls,
        By::SelfTime,
        By::SelfBusy,
        By::SelfAllocations,
        By::SelfBytes,
    ];
    for ((stack, values), path) in profile.samples.iter().zip(&paths) {
        assert_eq!(stack.len(), path.depth + 1);
        assert!(!stack.iter().any(|name| name.chars().any(is_dangerous)));
        let expected = by.map(|by| i64::try_from(by.of(path.totals)).unwrap_or(i64::MAX));
        assert_eq!(values[..], expected);
    }
}

fn flamegraph(hotspots: &Hotspots, by: By) {
    let mut picture = Vec::new();
    if hotspots.write_flamegraph(by, &mut picture).is_ok() {
        let own = by.own().expect("a figure that adds up");
        let paths = hotspots.paths();
        assert!(paths.iter().any(|path| own.of(path.totals) > 0));
        svg(picture);
    } else {
        assert!(picture.is_empty());
    }
}

fn svg(picture: Vec<u8>) {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    let text = String::from_utf8(picture).unwrap();
    let document = roxmltree::Document::parse_with_options(&text, options).unwrap();
    let scripts = document
        .descendants()
        .filter(|node| node.has_tag_name("script"));
    assert!(scripts.count() <= 1);
}

/// Checks the differences between two sets of reports.
pub fn changes(before: &Hotspots, after: &Hotspots, by: By) {
    let diff = Diff::between(before, after);
    let (functions, paths) = (diff.functions(by), diff.paths(by));
    for change in functions.iter().chain(&paths) {
        assert!(change.before.is_some() || change.after.is_some());
        assert!(!change.frames.is_empty());
    }
    assert!(functions.iter().all(|change| change.frames.len() == 1));
    for rule in ["+0", "+7.5%", "+18446744073709551615"] {
        let rule: Rule = format!("{by} > {rule}").parse().unwrap();
        for breach in diff.breaches(&[rule]) {
            lines(&breach.to_string());
        }
    }
    lines(&diff.table().by(by).to_string());
    lines(&diff.table().by(by).markdown().to_string());
    let mut picture = Vec::new();
    if after
        .write_flamegraph_since(before, by, &mut picture)
        .is_ok()
    {
        svg(picture);
    }
}
