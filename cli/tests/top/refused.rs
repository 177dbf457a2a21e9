//! What can't be shown, and ends that are not by a key.

use std::process::{Command, Stdio};

use axum::Router;
use axum::routing::get;

use super::service::{Service, TOKEN, serve};
use super::terminal::Terminal;

/// Waits for a text on the screen of `tracer top` at this address, and quits.
#[track_caller]
fn shows(address: &str, environment: &[(&str, &str)], text: &str) {
    let mut terminal = Terminal::run(&[address], environment, (200, 12));
    terminal.wait_for(&[text]);
    terminal.press("q");
    let left = terminal.left();
    assert!(left.status.success());
    assert!(!left.raw.contains("not-the-token"), "{}", left.raw);
}

#[test]
fn tokens_that_are_refused() {
    let service = Service::start(0);
    let page = service.page();
    shows(
        &page,
        &[],
        "no token was given: expected the address as the service printed it",
    );
    let wrong = [("TRACER_TOKEN", "not-the-token")];
    shows(
        &page,
        &wrong,
        "the token was refused: expected that of the address",
    );
    // The one in the address precedes that of the environment.
    shows(&format!("{page}?token={TOKEN}"), &wrong, "0 requests");
}

#[test]
fn answers_of_another_form() {
    let long = || async { vec![b' '; 65 << 20] };
    let version = || async { r#"{"tracer_page":7,"page":"overview"}"# };
    let app = Router::new()
        .route("/text", get(|| async { "<html>\u{1b}[2J" }))
        .route("/version", get(version))
        .route("/long", get(long));
    let (_runtime, address) = serve(app, 0);
    let expected = "expected the page's JSON, overview, version 1: ";
    for (path, text) in [
        (
            "text",
            format!("{expected}expected value at line 1 column 1"),
        ),
        ("version", format!("{expected}it is version 7")),
        (
            "long",
            "the answer is too long: expected 64 MiB at most".to_owned(),
        ),
        (
            "nowhere",
            "expected the page of a recorder: the answer has the status 404".to_owned(),
        ),
    ] {
        shows(&format!("http://{address}/{path}"), &[], &text);
    }
}

#[test]
fn signals_restore_the_terminal() {
    let service = Service::start(0);
    for name in ["TERM", "INT", "HUP"] {
        let page = service.page();
        let terminal = Terminal::run(&[&page], &[("TRACER_TOKEN", TOKEN)], (80, 24));
        terminal.wait_for(&["0 requests"]);
        terminal.signal(name);
        let left = terminal.left();
        // Ended by the signal, for a shell that looks at that.
        assert!(!left.status.success(), "{:?}", left.status);
        assert!(left.status.signal().is_some(), "{:?}", left.status);
        assert_eq!(left.contents.trim(), "");
    }
}

#[test]
fn without_a_terminal_it_says_what_was_expected() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
        command
            .arg("top")
            .args(arguments)
            .env_remove("TRACER_TOKEN");
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(
        run(&["http://127.0.0.1:1/debug/traces?token=not-the-token"]),
        "tracer: `tracer top` expected a terminal for input and output, other than TERM=dumb: \
         `tracer show FILE` writes reports to anything\n"
    );
    let of_https = run(&["https://localhost/?token=not-the-token"]);
    assert!(
        of_https.starts_with("tracer: https: expected http, "),
        "{of_https}"
    );
    assert!(!of_https.contains("not-the-token"));
    assert_eq!(
        run(&["no-such.jsonl"]),
        "tracer: no-such.jsonl: No such file or directory (os error 2): expected a file, or an address with \
         http:// at its beginning\n"
    );
    let of_folder = run(&["."]);
    assert_eq!(
        of_folder,
        "tracer: .: expected a file with one report per line, or the address of a page\n"
    );
    // Not opened: that would wait for somebody who writes to it.
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    assert_eq!(
        run(&[pipe.to_str().unwrap()]),
        format!(
            "tracer: {}: expected a file with one report per line, or the address of a page\n",
            pipe.display()
        )
    );
    let of_time = run(&["a.jsonl", "--every", "0s"]);
    assert!(
        of_time.contains("expected a time from 100ms to 1h"),
        "{of_time}"
    );
}
