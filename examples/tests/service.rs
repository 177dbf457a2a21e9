//! The example `service`, as a process: what it prints and what it answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use reqwest::{Client, Method, StatusCode};

const GOOD: &str = r#"{"author": "gopher", "text": "dead simple", "tags": ["go", "rust"]}"#;

/// Cargo builds the examples before it runs the tests, beside them.
fn service() -> Command {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/test");
    let service = profile.join("examples/service");
    assert!(
        service.exists(),
        "{} is missing: cargo build --example service",
        service.display()
    );
    Command::new(service)
}

fn run(arguments: &[&str]) -> Output {
    let output = service().args(arguments).output();
    output.expect("the example runs")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

/// A file of this test's, with this content.
fn file(name: &str, content: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).expect("a writable directory");
    path
}

/// What was printed, without the trees, and with `TIME` and `N` for what differs between runs.
fn without_figures(printed: &str) -> String {
    let blocks = printed.trim_end().split("\n\n");
    let blocks: Vec<_> = blocks
        .filter(|block| !block.starts_with("trace "))
        .collect();
    let mut words: Vec<String> = Vec::new();
    let mut is_count = false;
    for word in blocks.join("\n\n").split_inclusive([' ', '\n']) {
        let figure = word.trim_end_matches([' ', '\n', ',']);
        let end = &word[figure.len()..];
        let before = words.last().map_or("", |it| it.trim_end());
        if UNITS.contains(&figure) && before.parse::<f64>().is_ok() {
            // As in `1.20 ms`.
            words.pop();
            words.push(format!("TIME{end}"));
            continue;
        }
        let figure_or_name = match figure {
            _ if is_count && figure.parse::<u64>().is_ok() => "N",
            _ if is_time(figure) => "TIME",
            _ => figure,
        };
        words.push(format!("{figure_or_name}{end}"));
        is_count = figure == "allocates:";
    }
    words.concat()
}

const UNITS: [&str; 4] = ["ns", "µs", "ms", "s"];

fn is_time(word: &str) -> bool {
    let number = UNITS.iter().find_map(|unit| word.strip_suffix(unit));
    number.is_some_and(|number| number.parse::<f64>().is_ok())
}

/// How often the call allocates, by the first trace that was printed.
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
    let output = run(&[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stderr(&output), "");
    let printed = stdout(&output);
    assert_eq!(
        without_figures(printed),
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
fn counts_what_a_good_request_allocates() {
    let output = run(&[]);
    let printed = stdout(&output);
    let [handle, fetch_data, store] =
        ["handle", "fetch_data", "store_into_database"].map(|call| allocates(printed, call));
    // Author, text, the list of tags, and two tags.
    assert_eq!(fetch_data, 5);
    // The task for the blocking thread, perhaps that thread, and on it the tags in one text.
    assert!((2..20).contains(&store), "{printed}");
    // The body, in one piece or in several, and the answer.
    assert!((2..6).contains(&(handle - fetch_data - store)), "{printed}");
}

#[test]
fn sends_a_file_as_the_body() {
    let good = file("good.json", GOOD);
    let output = run(&[&good.to_string_lossy()]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        without_figures(stdout(&output)),
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
    let output = run(&[&wrong.to_string_lossy()]);
    assert!(output.status.success(), "{output:?}");
    let why = "invalid type: integer `7`, expected a string at line 1 column 12";
    assert_eq!(
        without_figures(stdout(&output)),
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
    let output = run(&[&large.to_string_lossy()]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        without_figures(stdout(&output)),
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
            "cannot make sense of [\"--sreve\"]: expected one FILE, or",
        ),
        (
            &["a", "b"],
            2,
            "cannot make sense of [\"a\", \"b\"]: expected one FILE, or",
        ),
        (
            &["--serve", "a", "b"],
            2,
            "cannot make sense of [\"--serve\", \"a\", \"b\"]: expected",
        ),
        (&["--serve", "nowhere"], 1, "cannot listen on nowhere: "),
        // Of a network for documentation: nobody's own.
        (
            &["--serve", "192.0.2.1:80"],
            1,
            "cannot listen on 192.0.2.1:80: ",
        ),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(
            stderr(&output).starts_with(&format!("service: {message}")),
            "{output:?}"
        );
        assert_eq!(stdout(&output), "");
    }
    let help = run(&["--help"]);
    assert!(help.status.success());
    assert!(stdout(&help).starts_with("Usage: service [FILE | --serve [ADDR] [--load]]\n"));
}

/// The example with `--serve`, until dropped.
struct Serving {
    process: Child,
    stdout: BufReader<ChildStdout>,
    url: String,
    /// Of the page.
    token: String,
    directory: PathBuf,
}

impl Serving {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(more: &[&str]) -> Self {
        let command = service()
            .args(["--serve", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn();
        let mut process = command.expect("the example runs");
        let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let line = read_line(&mut stdout);
        let told = line.trim_end().strip_prefix("listening on ");
        let told = told.and_then(|told| told.strip_suffix(" until then"));
        let told = told.and_then(|told| told.split_once(" until Ctrl-C, storing in "));
        let (url, database) = told.unwrap_or_else(|| panic!("where does it listen? {line}"));
        let page = read_line(&mut stdout);
        let expected = format!(
            "traces: {}?token=",
            url.replace("/message", "/debug/traces")
        );
        let token = page.trim_end().strip_prefix(&*expected);
        let token = token.unwrap_or_else(|| panic!("where is the page? {page}"));
        let hint = read_line(&mut stdout);
        assert!(hint.starts_with(&format!("try: curl {url} ")), "{hint}");
        assert_eq!(read_line(&mut stdout), "\n");
        let directory = Path::new(database).parent().expect("a file in a directory");
        assert!(directory.exists());
        Self {
            url: url.to_owned(),
            token: token.to_owned(),
            directory: directory.to_owned(),
            process,
            stdout,
        }
    }

    fn read_line(&mut self) -> String {
        read_line(&mut self.stdout)
    }

    /// Ends it as Ctrl-C does, and returns what it printed and was not yet read.
    fn stop(mut self) -> String {
        let interrupt = format!("kill -INT {}", self.process.id());
        let interrupted = Command::new("sh").args(["-c", &interrupt]).status();
        assert!(interrupted.expect("a shell").success());
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).expect("UTF-8");
        assert!(self.process.wait().expect("a child of ours").success());
        assert!(!self.directory.exists(), "the database is still there");
        printed
    }
}

fn read_line(stdout: &mut impl BufRead) -> String {
    let mut line = String::new();
    let bytes = stdout.read_line(&mut line).expect("UTF-8");
    assert!(bytes > 0, "the service has ended");
    line
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Where a test has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

async fn ask(
    method: Method,
    url: &str,
    request_id: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> (StatusCode, String) {
    let client = Client::builder().no_proxy().build().expect("a client");
    let mut request = client.request(method, url).body(body);
    if let Some(request_id) = request_id {
        request = request.header("X-Request-Id", request_id);
    }
    let response = request.send().await.expect("an answer");
    (
        response.status(),
        response.text().await.expect("all of the answer"),
    )
}

#[tokio::test]
async fn answers_with_a_status_and_a_reason() {
    let serving = Serving::start();
    let url = &serving.url;
    let post = async |body: String| ask(Method::POST, url, Some("here"), body).await;
    let bad = |reason: &str| (StatusCode::BAD_REQUEST, format!("{reason}\n"));

    assert_eq!(
        post(GOOD.to_owned()).await,
        (StatusCode::CREATED, "message 1\n".to_owned())
    );
    assert_eq!(
        post(GOOD.to_owned()).await,
        (StatusCode::CREATED, "message 2\n".to_owned())
    );
    assert_eq!(
        post(String::new()).await,
        bad("EOF while parsing a value at line 1 column 0")
    );
    assert_eq!(
        post("{}".to_owned()).await,
        bad("missing field `author` at line 1 column 2")
    );
    let as_long_as = |bytes| GOOD.to_owned() + &" ".repeat(bytes - GOOD.len());
    assert_eq!(post(as_long_as(65_536)).await.0, StatusCode::CREATED);
    for bytes in [65_537, 1_000_000, 20_000_000] {
        let answer = post(as_long_as(bytes)).await;
        assert_eq!(
            answer,
            bad("the body is longer than 65536 bytes"),
            "{bytes}"
        );
    }

    let (status, _) = ask(Method::GET, url, None, "").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let (status, _) = ask(
        Method::POST,
        &url.replace("/message", "/massage"),
        None,
        GOOD,
    )
    .await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    let printed = serving.stop();
    let headings = printed.lines().filter(|line| line.starts_with("POST "));
    assert_eq!(
        headings.count(),
        8,
        "one for each that came to `handle`:\n{printed}"
    );
}

#[tokio::test]
async fn shows_every_request_under_an_id() {
    let serving = Serving::start();
    let (longest, long) = ("x".repeat(256), "x".repeat(257));
    for id in [
        None,
        Some(""),
        Some("x"),
        Some("ünbekannt"),
        Some(&longest),
        Some(&long),
    ] {
        ask(Method::POST, &serving.url, id, GOOD).await;
    }
    let printed = serving.stop();
    let ids: Vec<_> = printed.lines().filter_map(id_of_handle).collect();
    // Those of whom none is given are made.
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

/// Printed in one piece each, and each with what was done for it alone. (Of fewer than twenty, nothing
/// is usual.)
#[tokio::test]
async fn requests_in_parallel_do_not_mix() {
    let serving = Serving::start();
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..19 {
        let url = serving.url.clone();
        requests.spawn(async move {
            // With as many tags as its number says.
            let tags = vec![r#""tag""#; number].join(",");
            let body = format!(r#"{{"author": "gopher", "text": "here", "tags": [{tags}]}}"#);
            ask(Method::POST, &url, Some(&number.to_string()), body).await
        });
    }
    while let Some(answer) = requests.join_next().await {
        assert_eq!(answer.expect("no panic").0, StatusCode::CREATED);
    }
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
    let address = serving.url.replace("http://", "");
    let address = address.trim_end_matches("/message");
    let mut client = TcpStream::connect(address).expect("the service");
    let headers = "Host: here\r\nX-Request-Id: cut\r\nContent-Length: 9";
    write!(client, "POST /message HTTP/1.1\r\n{headers}\r\n\r\n{{\"a").expect("the service reads");
    drop(client);
    while !serving.read_line().starts_with("POST ") {}
    assert_eq!(
        without_figures(&serving.stop()),
        "
allocates at call stack: 0, detailed call stack:
\tcall handle [cut]: TIME, allocates: N, failed: error reading a body from connection"
    );
}

/// The load finds something to keep, and the page shows it to who has its token.
#[tokio::test]
async fn under_load_the_page_has_something_to_show() {
    let serving = Serving::start_with(&["--load"]);
    let page = serving.url.replace("/message", "/debug/traces");
    let client = Client::builder().no_proxy().build().expect("a client");
    let look = async |page: &str| {
        let looked = client.get(page).bearer_auth(&serving.token).send().await;
        let looked = looked.expect("an answer");
        assert_eq!(looked.status(), StatusCode::OK);
        looked.text().await.expect("a page")
    };
    let has = async |text: &str| look(&page).await.contains(text);
    for text in [
        "POST /message",
        "cancelled",
        "500 Internal Server Error",
        "slower than 50.0 ms",
    ] {
        while !has(text).await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    let hotspots = look(&format!("{page}/hotspots?by=self-allocations")).await;
    assert!(hotspots.contains("service::fetch_data: "), "{hotspots}");
    assert_eq!(serving.stop(), "");
}
