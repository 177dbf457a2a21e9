//! The reader of JSON, and every rendering of what was read: nothing panics, a written report is read
//! back equal, and other formats are read by parsers that share no code with the writers.

#![no_main]

#[path = "json/formats.rs"]
mod formats;
#[path = "json/profile.rs"]
mod profile;

use libfuzzer_sys::{Corpus, fuzz_target};
use tracer::Report;
use tracer::hotspots::{By, Diff, Hotspots, Rule};
use tracer::report::json;

/// Inputs with more calls are read, but not rendered.
const MOST_CALLS: usize = 300;

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut reports = Vec::new();
    let mut before = 0;
    for line in json::Lines::new(input) {
        match line {
            Ok(report) => {
                reads_back(&report);
                reports.push(report);
            }
            Err(error) => {
                assert!(!error.is_io() && error.line() > before);
                before = error.line();
                says_where(&error.to_string(), input);
            }
        }
    }
    let calls: usize = reports
        .iter()
        .map(|it| it.calls.len() + it.folded.len())
        .sum();
    if calls <= MOST_CALLS {
        // One figure for each input, because all of them take ten times as long.
        let by = By::ALL[input.len() % By::ALL.len()];
        draw(&reports, by);
        adds_lines(input, &reports, by);
    }
    Corpus::Keep
});

/// Lines are added up as the reports that are read from them.
fn adds_lines(input: &[u8], reports: &[Report], by: By) {
    let mut added = Hotspots::new();
    let mut lines = json::Lines::new(input);
    while added.add_next(&mut lines).is_some() {}
    let all = hotspots(reports);
    let shown = |it: &Hotspots| {
        let figures = (it.reports(), it.counts(), it.outside_calls());
        format!("{figures:?} {:?} {:?}", it.functions(by), it.paths())
    };
    assert_eq!(shown(&added), shown(&all));
}

fn says_where(message: &str, input: &[u8]) {
    assert!(!message.chars().any(is_dangerous), "{message:?}");
    let rest = message.strip_prefix("line ").expect("a line");
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let number: usize = rest[..digits].parse().expect("its number");
    assert!(number <= input.split(|byte| *byte == b'\n').count());
    assert!(
        message.contains("expected") || message.contains(": not "),
        "{message}"
    );
}

fn reads_back(report: &Report) {
    let mut line = Vec::new();
    json::write_line(report, &mut line).unwrap();
    assert_eq!(
        line.iter().position(|byte| *byte == b'\n'),
        Some(line.len() - 1)
    );
    let text = std::str::from_utf8(&line).unwrap();
    // Serde escapes characters below the space.
    let is_raw = |character: char| character != '\u{7f}' && is_dangerous(character);
    assert!(!text.trim_end().chars().any(is_raw), "{text:?}");
    assert!(text.starts_with("{\"tracer_report\":1,"));
    let mut lines = json::Lines::new(&line[..]);
    assert_eq!(lines.next().unwrap().as_ref().ok(), Some(report));
    assert!(lines.next().is_none());
    // A reader gives no text that could be borrowed.
    assert_eq!(
        serde_json::from_reader::<_, Report>(&line[..]).unwrap(),
        *report
    );
    // `serde_json` escapes fewer characters than a line does, but the value is equal.
    let again = serde_json::to_vec(report).unwrap();
    assert_eq!(serde_json::from_slice::<Report>(&again).unwrap(), *report);
    for (place, call) in report.calls.iter().enumerate() {
        assert!(call.parent < Some(place));
    }
}

/// Whether a character moves the cursor, ends the line or changes the direction of text.
fn is_dangerous(character: char) -> bool {
    let turns = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || turns
}

fn draw(reports: &[Report], by: By) {
    for report in reports {
        formats::text(report);
    }
    formats::trace_events(reports);
    let (some, others) = reports.split_at(reports.len() / 2);
    let [before, after, all] = [some, others, reports].map(hotspots);
    formats::hotspots(&all, by);
    merges(&before, &after, &all);
    formats::changes(&before, &after, by);
    // There is no difference between hotspots and themselves.
    let rule: Rule = format!("{by} > +0").parse().unwrap();
    let same = Diff::between(&all, &all);
    for breach in same.breaches(&[rule]) {
        assert!(breach.to_string().contains("not counted"), "{breach}");
    }
}

fn hotspots(reports: &[Report]) -> Hotspots {
    let mut hotspots = Hotspots::new();
    for report in reports {
        hotspots.add(report);
    }
    hotspots
}

/// Adding up in two parts or in one has the same result.
fn merges(before: &Hotspots, after: &Hotspots, all: &Hotspots) {
    let mut merged = before.clone();
    merged.merge(after);
    let of = |hotspots: &Hotspots| serde_json::to_value(hotspots.table().top(usize::MAX)).unwrap();
    assert_eq!(of(&merged), of(all));
}
