//! A file of reports.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tracer::recorder::{Policy, Recorder};
use tracer::report::json;
use tracer::traced;

use super::terminal::{DOWN, ENTER, Terminal};

/// A name that would set the terminal's title and clear it.
const HOSTILE: &str = "GET /\u{1b}]0;title\u{7}\u{9b}2J漢字漢字";

/// Appends a report of a request.
fn append(path: &Path, name: &str, calls: usize) {
    let policy = Policy::default().slower_than(Duration::ZERO);
    let recorder = Recorder::builder().policy(policy).start().unwrap();
    recorder.record(name, || handle(calls));
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

#[test]
fn it_ends_if_the_terminal_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces.jsonl");
    append(&path, "GET /a", 0);
    let terminal = Terminal::run(&[path.to_str().unwrap()], &[], (80, 24));
    terminal.wait_for(&["GET /a"]);
    assert!(!terminal.hang_up().success());
}
