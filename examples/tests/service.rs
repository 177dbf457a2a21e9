//! The example `service` as a process: its output and its responses.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::http::{Answer, ask, parts};
use crate::process::{Running, printed, run, stderr, stdout};
use crate::text::{without_counts, without_times};

const GOOD: &str = r#"{"author": "gopher", "text": "dead simple", "tags": ["go", "rust"]}"#;

/// Writes a file for this test, and returns its path.
fn file(name: &str, content: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).expect("a writable directory");
    path.to_string_lossy().into_owned()
}

/// Returns the output without the trees, and with `TIME` and `N` for figures that differ between runs.
fn without_figures(printed: &str) -> String {
    let blocks = printed.trim_end().split("\n\n");
    let blocks: Vec<_> = blocks
        .filter(|block| !block.starts_with("trace "))
        .collect();
    without_counts(&without_times(&blocks.join("\n\n")))
}

/// Returns the allocations of a call in the first printed trace.
fn allocates(printed: &str, call: &str) -> u64 {
    let line = printed
        .lines()
        .find(|line| line.starts_with(&format!("\tcall {call}")));
    let line = line.unwrap_or_else(|| panic!("no call of {call} in\n{printed}"));
    let (_, count) = line.split_once("allocates: ").expect("allocations");
    let count = count.split(',').next().unwrap_or_default();
    count
        .parse()
        .unwrap_or_else(|_| panic!("no count in {line}"))
}

#[test]
fn explains_three_requests_of_its_own() {
    let printed = printed("service", &[]);
    assert_eq!(
        without_figures(&printed),
        "\
A good request.
POST /message [ca7a87c4-58d0-4fdf-857c-ef49fc3bf271] path=/message status=201 sent=10 frames=1: TIME · kept: everything

allocates at call stack: 0, detailed call stack:
\tcall handle [ca7a87c4-58d0-4fdf-857c-ef49fc3bf271]: TIME, allocates: N
\t\tcheckpoint [serialize]: TIME
\t\tcheckpoint [store]: TIME
\tcall fetch_data: TIME, allocates: N
\tcall store_into_database: TIME, allocates: N

A malformed body.
POST /message [6c1f3a52-0b7e-4b9a-9d0e-3f5a1c2e8d47] path=/message status=400 sent=47 frames=1: TIME · kept: everything

allocates at call stack: 0, detailed call stack:
\tcall handle [6c1f3a52-0b7e-4b9a-9d0e-3f5a1c2e8d47]: TIME, allocates: N, \
failed: EOF while parsing a string at line 1 column 37
\t\tcheckpoint [serialize]: TIME
\tcall fetch_data: TIME, allocates: N, failed: EOF while parsing a string at line 1 column 37

A client that hangs up while the database works.
POST /message [e2b8d0c4-91a6-4c35-8a7f-5d4b6e1f2093] path=/message: TIME · cancelled · kept: everything

allocates at call stack: 0, detailed call stack:
\tcall handle [e2b8d0c4-91a6-4c35-8a7f-5d4b6e1f2093]: TIME, allocates: N, cancelled
\t\tcheckpoint [serialize]: TIME
\t\tcheckpoint [store]: TIME
\tcall fetch_data: TIME, allocates: N
\tcall store_into_database: TIME, allocates: N, cancelled"
    );
    let trees = printed.lines().filter(|line| line.starts_with("trace "));
    assert_eq!(trees.count(), 3);
}

#[test]
fn counts_the_allocations_of_a_good_request() {
    let printed = printed("service", &[]);
    let [handle, fetch_data, store] =
        ["handle", "fetch_data", "store_into_database"].map(|call| allocates(&printed, call));
    // Author, text, the list of tags, and two tags.
    assert_eq!(fetch_data, 5);
    // The task for the blocking thread, perhaps that thread, and there the tags in one text.
    assert!((2..20).contains(&store), "{printed}");
    // The body, in one piece or in several, and the response.
    assert!((2..6).contains(&(handle - fetch_data - store)), "{printed}");
}

#[test]
fn sends_a_file_as_the_body() {
    let good = file("good.json", GOOD);
    assert_eq!(
        without_figures(&printed("service", &[&good])),
        "\
POST /message [file] path=/message status=201 sent=10 frames=1: TIME · kept: everything

allocates at call stack: 0, detailed call stack:
\tcall handle [file]: TIME, allocates: N
\t\tcheckpoint [serialize]: TIME
\t\tcheckpoint [store]: TIME
\tcall fetch_data: TIME, allocates: N
\tcall store_into_database: TIME, allocates: N"
    );

    let wrong = file("wrong.json", r#"{"author": 7}"#);
    let why = "invalid type: integer `7`, expected a string at line 1 column 12";
    assert_eq!(
        without_figures(&printed("service", &[&wrong])),
        format!(
            "\
POST /message [file] path=/message status=400 sent=65 frames=1: TIME · kept: everything

allocates at call stack: 0, detailed call stack:
\tcall handle [file]: TIME, allocates: N, failed: {why}
\t\tcheckpoint [serialize]: TIME
\tcall fetch_data: TIME, allocates: N, failed: {why}"
        )
    );

    let large = file("large.json", &"a".repeat(20_000_000));
    assert_eq!(
        without_figures(&printed("service", &[&large])),
        "\
POST /message [file] path=/message status=400 sent=36 frames=1: TIME · kept: everything

allocates at call stack: 0, detailed call stack:
\tcall handle [file]: TIME, allocates: N, failed: the body is longer than 65536 bytes"
    );
}

#[test]
fn names_the_argument_that_it_cannot_use() {
    for (arguments, code, message) in [
        (
            &["nowhere.json"][..],
            2,
            "cannot read \"nowhere.json\": No such file or directory",
        ),
        (
            &["--sreve"],
            2,
            "unknown arguments [\"--sreve\"]: expected one FILE, --serve",
        ),
        (
            &["a", "b"],
            2,
            "unknown arguments [\"a\", \"b\"]: expected one FILE, --serve",
        ),
        (
            &["--serve", "a", "b"],
            2,
            "unknown arguments [\"--serve\", \"a\", \"b\"]: expected one",
        ),
        (&["--serve", "nowhere"], 1, "cannot listen on nowhere: "),
        // An address of a network for documentation, which no machine has.
        (
            &["--serve", "192.0.2.1:80"],
            1,
            "cannot listen on 192.0.2.1:80: ",
        ),
    ] {
        let output = run("service", arguments);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(
            stderr(&output).starts_with(&format!("service: {message}")),
            "{output:?}"
        );
        assert_eq!(stdout(&output), "");
    }
    let help = printed("service", &["--help"]);
    assert!(help.starts_with("Usage: service [FILE | --serve [ADDR] [--load]]\n"));
}

/// The running example with `--serve`.
struct Serving {
    running: Running,
    url: String,
    /// The token of the page.
    token: String,
    directory: PathBuf,
}

impl Serving {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(more: &[&str]) -> Self {
        let arguments = [&["--serve", "127.0.0.1:0"], more].concat();
        let mut running = Running::start("service", &arguments);
        let line = running.read_line();
        let told = line.trim_end().strip_prefix("listening on ");
        let told = told.and_then(|told| told.strip_suffix(" until then"));
        let told = told.and_then(|told| told.split_once(" until Ctrl-C, storing in "));
        let (url, database) = told.unwrap_or_else(|| panic!("no address: {line}"));
        let page = running.read_line();
        let expected = format!(
            "traces: {}?token=",
            url.replace("/message", "/debug/traces")
        );
        let token = page.trim_end().strip_prefix(&*expected);
        let token = token.unwrap_or_else(|| panic!("no address of the page: {page}"));
        let hint = running.read_line();
        assert!(hint.starts_with(&format!("try: curl {url} ")), "{hint}");
        assert_eq!(running.read_line(), "\n");
        let directory = Path::new(database).parent().expect("a file in a directory");
        assert!(directory.exists());
        Self {
            url: url.to_owned(),
            token: token.to_owned(),
            directory: directory.to_owned(),
            running,
        }
    }

    fn post(&self, headers: &str, body: &str) -> Answer {
        ask("POST", &self.url, headers, body)
    }

    /// Ends it as Ctrl-C does, and returns the output that was not read yet.
    fn stop(self) -> String {
        let printed = self.running.stop();
        assert!(!self.directory.exists(), "the database is still there");
        printed
    }
}

#[test]
fn answers_with_a_status_and_a_reason() {
    let serving = Serving::start();
    let post = |body: &str| serving.post("X-Request-Id: here\r\n", body);
    let stored = |number: u32| Answer {
        status: 201,
        body: format!("message {number}\n"),
    };
    let bad = |reason: &str| Answer {
        status: 400,
        body: format!("{reason}\n"),
    };

    assert_eq!(post(GOOD), stored(1));
    assert_eq!(post(GOOD), stored(2));
    assert_eq!(
        post(""),
        bad("EOF while parsing a value at line 1 column 0")
    );
    assert_eq!(post("{}"), bad("missing field `author` at line 1 column 2"));
    let as_long_as = |bytes| GOOD.to_owned() + &" ".repeat(bytes - GOOD.len());
    assert_eq!(post(&as_long_as(65_536)), stored(3));
    for bytes in [65_537, 1_000_000, 20_000_000] {
        let answer = post(&as_long_as(bytes));
        assert_eq!(
            answer,
            bad("the body is longer than 65536 bytes"),
            "{bytes}"
        );
    }

    assert_eq!(ask("GET", &serving.url, "", "").status, 405);
    let elsewhere = serving.url.replace("/message", "/massage");
    assert_eq!(ask("POST", &elsewhere, "", GOOD).status, 404);

    let printed = serving.stop();
    let headings = printed.lines().filter(|line| line.starts_with("POST "));
    assert_eq!(
        headings.count(),
        8,
        "one for each that came to `handle`:\n{printed}"
    );
}

#[test]
fn shows_every_request_under_an_id() {
    let serving = Serving::start();
    let (longest, long) = ("x".repeat(256), "x".repeat(257));
    serving.post("", GOOD);
    for id in ["", "x", "ünbekannt", &longest, &long] {
        serving.post(&format!("X-Request-Id: {id}\r\n"), GOOD);
    }
    let printed = serving.stop();
    let ids: Vec<_> = printed.lines().filter_map(id_of_handle).collect();
    // The first two requests came without an id, and got one.
    for id in &ids[..2] {
        let is_digit = |digit: u8| digit.is_ascii_hexdigit();
        assert!(id.len() == 16 && id.bytes().all(is_digit), "{id}");
    }
    let cut = "x".repeat(253) + "…";
    assert_eq!(ids[2..], ["x", "ünbekannt", &longest, &cut]);
}

fn id_of_handle(line: &str) -> Option<&str> {
    let (id, _) = line.strip_prefix("\tcall handle [")?.split_once(']')?;
    Some(id)
}

/// Each request is printed in one piece, with its own figures only. A route has a baseline only from
/// twenty requests on, so nothing is marked as unusual.
#[test]
fn requests_in_parallel_do_not_mix() {
    let serving = Serving::start();
    std::thread::scope(|threads| {
        for number in 0..19 {
            let serving = &serving;
            threads.spawn(move || {
                // The request's number is its number of tags.
                let tags = vec![r#""tag""#; number].join(",");
                let body = format!(r#"{{"author": "gopher", "text": "here", "tags": [{tags}]}}"#);
                let answer = serving.post(&format!("X-Request-Id: {number}\r\n"), &body);
                assert_eq!(answer.status, 201);
            });
        }
    });
    let printed = serving.stop();
    let blocks: Vec<_> = printed.trim_end().split("\n\n").collect();
    let mut seen: Vec<u64> = Vec::new();
    for request in blocks.chunks(3) {
        let [heading, text, tree] = request else {
            panic!("not three blocks: {request:?}")
        };
        let id = text.lines().find_map(id_of_handle).expect("the id");
        let begins = format!("POST /message [{id}] path=/message status=201 ");
        assert!(heading.starts_with(&begins), "{heading}");
        let text_without_figures = without_figures(text);
        assert_eq!(
            text_without_figures,
            format!(
                "\
allocates at call stack: 0, detailed call stack:
\tcall handle [{id}]: TIME, allocates: N
\t\tcheckpoint [serialize]: TIME
\t\tcheckpoint [store]: TIME
\tcall fetch_data: TIME, allocates: N
\tcall store_into_database: TIME, allocates: N"
            )
        );
        assert!(tree.starts_with("trace "), "{tree}");
        // Author and text, each tag, and the list of tags, which has room for 4, 8, 16, 32.
        let number: u64 = id.parse().expect("a number");
        let list = match number {
            0 => 0,
            1..=4 => 1,
            _ => u64::from(number.next_power_of_two().ilog2()) - 1,
        };
        assert_eq!(allocates(text, "fetch_data"), 2 + number + list, "{text}");
        seen.push(number);
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..19), "{printed}");
}

#[test]
fn a_client_that_stops_in_its_body_is_shown() {
    let mut serving = Serving::start();
    let (address, _) = parts(&serving.url);
    let mut client = TcpStream::connect(address).expect("the service");
    let headers = "Host: here\r\nX-Request-Id: cut\r\nContent-Length: 9";
    write!(client, "POST /message HTTP/1.1\r\n{headers}\r\n\r\n{{\"a").expect("the service reads");
    drop(client);
    while !serving.running.read_line().starts_with("POST ") {}
    assert_eq!(
        without_figures(&serving.stop()),
        "
allocates at call stack: 0, detailed call stack:
\tcall handle [cut]: TIME, allocates: N, failed: error reading a body from connection"
    );
}

/// The page needs its token.
#[test]
fn under_load_the_page_has_something_to_show() {
    let serving = Serving::start_with(&["--load"]);
    let page = serving.url.replace("/message", "/debug/traces");
    let authorized = format!("Authorization: Bearer {}\r\n", serving.token);
    let look = |page: &str| {
        let answer = ask("GET", page, &authorized, "");
        assert_eq!(answer.status, 200);
        answer.body
    };
    for text in [
        "POST /message",
        "cancelled",
        "500 Internal Server Error",
        "slower than 50.0 ms",
    ] {
        while !look(&page).contains(text) {
            sleep(Duration::from_millis(50));
        }
    }
    let hotspots = look(&format!("{page}/hotspots?by=self-allocations"));
    assert!(hotspots.contains("service::fetch_data: "), "{hotspots}");
    assert_eq!(serving.stop(), "");
}
