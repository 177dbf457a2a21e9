//! A file of reports.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tracer::recorder::{Policy, Recorder};
use tracer::report::json;
use tracer::traced;

use super::terminal::{DOWN, ENTER, F3, Terminal};

/// A name that would set the terminal's title and clear it.
const HOSTILE: &str = "GET /\u{1b}]0;title\u{7}\u{9b}2J漢字漢字";

/// Appends a report of a request.
fn append(path: &Path, name: &str, calls: usize) {
    append_of(path, name, || handle(calls));
}

fn append_of(path: &Path, name: &str, handle: impl FnOnce()) {
    let policy = Policy::default().slower_than(Duration::ZERO);
    let recorder = Recorder::builder().policy(policy).start().unwrap();
    recorder.record(name, handle);
    assert!(recorder.flush(Duration::from_secs(60)));
    let file = File::options().create(true).append(true).open(path);
    json::write_line(&recorder.kept()[0], file.unwrap()).unwrap();
}

#[traced]
fn handle(steps: usize) {
    (0..steps).for_each(step);
}

/// Failed calls have lines of their own.
fn step(number: usize) {
    tracer::call!("{number}").fail("no");
}

#[test]
fn a_file_with_hostile_names_that_grows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces.jsonl");
    append(&path, HOSTILE, 40);
    append(&path, HOSTILE, 1);
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"\x1b[2J no report\n").unwrap();

    let path = path.to_str().unwrap();
    let no_colour = [("NO_COLOR", "1")];
    let mut terminal = Terminal::run(&[path, "--every", "100ms"], &no_colour, (100, 12));
    terminal.wait_for(&[
        "2 kept requests, 0 failed · sums over this file, not over all requests",
        "GET /\\u{1b}]0;title\\u{7}\\u{9b}2J漢字漢字",
        "! lines that are no reports: 1; line 3, column 1: expected value",
    ]);
    append(Path::new(path), "GET /b", 0);
    terminal.wait_for(&["3 kept requests", "GET /b"]);

    // The trace of the first request, the last of the list, down to its end.
    terminal.press("2");
    terminal.wait_for(&["2 Kept", "UTC"]);
    terminal.press(DOWN);
    terminal.press(DOWN);
    terminal.press(ENTER);
    terminal.wait_for(&["handle", "step [0]"]);
    terminal.press("\x1b[F");
    terminal.wait_for(&["step [39]", "calls recorded: 41"]);
    terminal.press("q");
    let left = terminal.left();
    assert!(left.status.success());
    for sequence in [
        "\u{1b}]0;",
        "\u{9b}",
        "\u{7}",
        "\u{1b}[31m",
        "\u{1b}[38;",
        "\u{1b}[48;",
    ] {
        assert!(!left.raw.contains(sequence), "{sequence:?}");
    }
}

#[traced]
fn pages() {
    for _ in 0..3 {
        page();
    }
    drop(tracer::call!("after"));
}

#[traced]
fn page() {
    (0..12).for_each(|number| drop(tracer::call!("{number}")));
}

#[test]
fn equal_calls_are_unfolded_and_folded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces.jsonl");
    append_of(&path, "GET /pages", pages);
    append(&path, "GET /one", 1);
    let mut terminal = Terminal::run(&[path.to_str().unwrap()], &[], (100, 14));
    terminal.wait_for(&["GET /pages"]);
    terminal.press("2");
    terminal.wait_for(&["2 Kept"]);
    // Nothing to unfold.
    terminal.press(ENTER);
    let one = terminal.wait_for(&["step [0]", "Sideways"]);
    assert!(!one.contains("Unfold"), "{one}");
    terminal.press("+");
    terminal.press("\x1b");
    terminal.wait_for(&["EnterOpen"]);
    terminal.press(DOWN);
    terminal.press(ENTER);
    terminal.wait_for(&["page ×12", "+Unfold"]);
    terminal.press("+");
    let unfolded = terminal.wait_for(&["page [0]", "page [1]", "-Fold"]);
    assert!(!unfolded.contains("×12"), "{unfolded}");
    // From within the last page's calls back to that page.
    terminal.press("\x1b[F");
    terminal.wait_for(&["page [11]", "calls recorded: 41"]);
    terminal.press("-");
    terminal.wait_for(&["page ×12", "[after]", "+Unfold"]);
    // What was searched for is searched for in all lines.
    terminal.press("+");
    terminal.wait_for(&["-Fold"]);
    terminal.press(F3);
    terminal.press("[7]");
    terminal.wait_for(&["Search: [7]_", "page [7]"]);
    terminal.press(ENTER);
    // The lines stay where they are.
    terminal.resize(20, 5);
    let is_small = |it: &str| it.lines().count() <= 5 && it.contains("EscBack");
    terminal.wait_until("a tree of five lines", |it| {
        is_small(it) && it.contains("│  ├─ pa")
    });
    terminal.press("-");
    terminal.wait_until("a folded tree", |it| {
        is_small(it) && it.contains("├─ page") && !it.contains("│  ├─")
    });
    terminal.press("q");
    assert!(terminal.left().status.success());
}

#[test]
fn it_ends_if_the_terminal_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces.jsonl");
    append(&path, "GET /a", 0);
    let terminal = Terminal::run(&[path.to_str().unwrap()], &[], (80, 24));
    terminal.wait_for(&["GET /a"]);
    assert!(!terminal.hang_up().success());
}
