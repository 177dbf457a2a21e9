//! `tracer show` with what requests have in common.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use crate::{FAILED, Folder, command, kept_at, line};

/// The id of a trace.
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Returns the report of a request of a route that took a time.
fn request(trace: u64, seconds: u64, route: &str, wall_ns: u64, outcome: &str) -> String {
    let line = kept_at(trace, seconds, outcome);
    line.replace("\"name\":\"GET /\"", &format!("\"name\":\"{route}\""))
        .replace(
            "\"wall_ns\":1000,\"outcome\":",
            &format!("\"wall_ns\":{wall_ns},\"outcome\":"),
        )
}

fn reports() -> String {
    let second = request(2, 60, "POST /orders", 2_000_000_000, FAILED);
    let with_trace_id = format!("\"trace\":2,\"trace_id\":\"{TRACE_ID}\"");
    let third = request(3, 120, "GET /orders", 500_000_000, "\"panicked\"");
    [
        request(1, 0, "GET /orders", 1_000_000, "\"ok\""),
        second.replace("\"trace\":2", &with_trace_id),
        third.replace("\"bytes_allocated\":200", "\"bytes_allocated\":2000000"),
        request(4, 180, "GET /orders", 3_000_000, "\"cancelled\""),
        // Without a recorder.
        line(5, 1, 1000, FAILED).replacen(
            "\"name\":\"store\"",
            "\"name\":\"store\",\"id\":\"Row 5\"",
            1,
        ),
    ]
    .concat()
}

/// Returns the numbers of the shown traces.
fn traces(text: &str) -> Vec<u64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("trace "));
    let numbers = lines.filter_map(|line| line.split([' ', ':']).next());
    numbers.map(|it| it.parse().unwrap()).collect()
}

#[test]
fn each_option_narrows_what_is_shown() {
    let folder = Folder::with(&[("traces.jsonl", &reports())]);
    for (options, expected) in [
        (&["--id", "2"][..], &[2][..]),
        (&["--id", " 2 "], &[2]),
        (&["--trace-id", TRACE_ID], &[2]),
        (
            &["--trace-id", "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736"],
            &[2],
        ),
        (&["--name", "GET /orders"], &[1, 3, 4]),
        (&["--name", "GET"], &[]),
        (&["--grep", "BROKEN pipe"], &[2, 5]),
        (&["--grep", "row 5"], &[5]),
        (&["--failed"], &[2, 3]),
        (&["--cancelled"], &[4]),
        (&["--slower-than", "499ms"], &[2, 3]),
        (&["--slower-than", "500ms"], &[2]),
        (&["--heavier-than", "1.9MB"], &[3]),
        // The second ended in the minute, and the first three began before its end.
        (&["--since", "2025-11-24T00:01:02Z"], &[2, 3, 4]),
        (&["--since", "2025-11-24T00:01:02.5Z"], &[3, 4]),
        (&["--until", "2025-11-24T01:02:00+01:00"], &[1, 2, 5]),
        (
            &[
                "--since",
                "2025-11-24 00:01:00Z",
                "--until",
                "2025-11-24 00:03:00Z",
            ],
            &[2, 3],
        ),
        (&["--since", "10m"], &[]),
        (&["--until", "0s"], &[1, 2, 3, 4, 5]),
        (&["--name", "GET /orders", "--failed"], &[3]),
        // Among what is found.
        (&["--slowest", "2", "--failed"], &[2, 3]),
        (&["--slowest", "1", "--name", "GET /orders"], &[3]),
        (&["--heaviest", "1", "--cancelled"], &[4]),
    ] {
        let ran = folder.run(&[&["show", "traces.jsonl"], options].concat());
        assert_eq!(traces(&ran.out), expected, "{options:?}: {}", ran.out);
        let (told, code) = if expected.is_empty() {
            ("tracer: no request is found: looked at 5 reports\n", 1)
        } else {
            ("", 0)
        };
        assert_eq!((&*ran.errors, ran.code), (told, Some(code)), "{options:?}");
    }
}

#[test]
fn nothing_found_is_told_as_by_grep() {
    let folder = Folder::with(&[("traces.jsonl", &reports()), ("bad.jsonl", "{}\n")]);
    let ran = folder.run_with(&["show", "--id", "none"], &line(1, 1, 1000, "\"ok\""));
    let told = "tracer: no request is found: looked at 1 report\n";
    assert_eq!((&*ran.out, &*ran.errors, ran.code), ("", told, Some(1)));
    // A line that is no report stands out from that.
    let ran = folder.run(&["show", "traces.jsonl", "bad.jsonl", "--id", "none"]);
    assert_eq!((&*ran.out, ran.code), ("", Some(2)));
    assert!(
        ran.errors
            .starts_with("tracer: bad.jsonl: line 1, column 2: "),
        "{}",
        ran.errors
    );
    let bad = ["show", "--skip-bad", "--id", "none"];
    let ran = folder.run_with(&bad, &("{}\n".to_owned() + &reports()));
    let told = "tracer: passed over 1 line\ntracer: no request is found: looked at 5 reports\n";
    assert_eq!((&*ran.out, &*ran.errors, ran.code), ("", told, Some(1)));
    // Nothing was looked for.
    let ran = folder.run(&["show", "traces.jsonl", "--slowest", "0"]);
    assert_eq!((&*ran.out, &*ran.errors, ran.code), ("", "", Some(0)));
}

#[test]
fn a_wrong_value_is_named_with_its_option_and_what_was_expected() {
    let folder = Folder::new();
    for (options, told) in [
        (
            ["--slower-than", "250"],
            "invalid value '250' for '--slower-than <TIME>': expected a time such as 250us, 30ms, 1.5s, 2m",
        ),
        (
            ["--heavier-than", "1 MeB"],
            "invalid value '1 MeB' for '--heavier-than <SIZE>': expected a size such as 100kB, 1.5MiB",
        ),
        (
            ["--trace-id", "4bf9"],
            "invalid value '4bf9' for '--trace-id <ID>': expected 32 hexadecimal digits, not all 0",
        ),
        (
            ["--since", "yesterday"],
            "invalid value 'yesterday' for '--since <TIME>': expected a time such as 2026-11-29T17:05:00Z, or a time \
             ago such as 90s, 10m, 2h, 7d",
        ),
        (
            ["--until", "2026-11-29T17:05:00"],
            "invalid value '2026-11-29T17:05:00' for '--until <TIME>': expected a time such as \
             2026-11-29T17:05:00Z, or a time ago such as 90s, 10m, 2h, 7d",
        ),
        (
            ["--id", " "],
            "invalid value ' ' for '--id <ID>': expected a value that is not empty",
        ),
    ] {
        let ran = folder.run(&[&["show"], &options[..]].concat());
        assert_eq!((&*ran.out, ran.code), ("", Some(2)));
        let first = ran.errors.lines().next().unwrap();
        assert_eq!(first, format!("error: {told}"));
    }
    let long = "x".repeat(100_000);
    let cut = "x".repeat(60) + "…";
    for (arguments, told) in [
        (
            &["show", "--grep", &long][..],
            format!("invalid value '{cut}' for '--grep <TEXT>': expected 1,024 bytes at most"),
        ),
        (
            &["hotspots", "--top", &long],
            format!("invalid value '{cut}' for '--top <N>': invalid digit found in string"),
        ),
        (&[&*long], format!("unrecognized subcommand '{cut}'")),
    ] {
        let ran = folder.run(arguments);
        assert_eq!((&*ran.out, ran.code), ("", Some(2)));
        let first = ran.errors.lines().next().unwrap();
        assert_eq!(first, format!("error: {told}"));
    }
    let ran = folder.run(&["show", &format!("--{long}")]);
    assert!(ran.errors.len() < 1000, "{}", ran.errors);
}

#[test]
fn what_is_found_appears_while_the_input_goes_on() {
    let folder = Folder::new();
    let mut child = command(folder.0.path(), &["show", "--plain", "--id", "2"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    stdin.write_all(reports().as_bytes()).unwrap();
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert!(first.starts_with("POST /orders [2]"), "{first}");
    drop(stdin);
    assert!(child.wait().unwrap().success());
}
