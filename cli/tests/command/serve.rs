//! `tracer serve`, by a client over sockets.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, ChildStderr};

use serde_json::Value;

use crate::{FAILED, Folder, command, kept_at, line};

/// The command, while it serves.
pub(crate) struct Served {
    pub(crate) child: Child,
    address: String,
    token: String,
    errors: BufReader<ChildStderr>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    pub(crate) fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let arguments = [&["serve"], arguments].concat();
        let mut child = command(folder.0.path(), &arguments).spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (address, token) = line.trim_end().split_once("/?token=").unwrap_or_default();
        Self {
            child,
            address: address.to_owned(),
            token: token.to_owned(),
            errors,
        }
    }

    /// Returns the next line of standard error.
    fn told(&mut self) -> String {
        let mut line = String::new();
        self.errors.read_line(&mut line).unwrap();
        line
    }

    /// Gets a page, with these headers.
    fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
        let agent = ureq::Agent::config_builder();
        let agent = agent.http_status_as_error(false).max_redirects(0).build();
        let mut request = ureq::Agent::from(agent).get(format!("{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.call().unwrap();
        let location = response.headers().get("location");
        let location = location.map_or("", |it| it.to_str().unwrap()).to_owned();
        let body = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), location, body)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String, String) {
        let bearer = format!("Bearer {}", self.token);
        self.get_with(path, &[("Authorization", &bearer)])
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        let gap = if path.contains('?') { '&' } else { '?' };
        let (_, _, body) = self.get(&format!("{path}{gap}format=json"));
        serde_json::from_str(&body).unwrap()
    }
}

/// Returns the ids of the requests of a page.
pub(crate) fn ids(requests: &Value) -> Vec<&str> {
    let requests = requests.as_array().unwrap().iter();
    requests
        .map(|it| it["request"]["id"].as_str().unwrap())
        .collect()
}

#[test]
fn files_are_shown_as_the_page_of_a_recorder_shows_its_requests() {
    let first = kept_at(1, 0, FAILED) + &kept_at(2, 1, "\"ok\"");
    // Another process: its first trace has the same number.
    let second = kept_at(1, 100, "\"panicked\"").replace("\"id\":\"1\"", "\"id\":\"other\"");
    let folder = Folder::with(&[
        ("a.jsonl", &first),
        ("b.jsonl", &second),
        ("a.jsonl.lock", ""),
    ]);
    let mut served = Served::start(&folder, &["a.jsonl", "b.jsonl", "a.jsonl", "a.jsonl.lock"]);
    assert_eq!(served.told(), "tracer: shows 3 reports: Ctrl-C ends it\n");
    let overview = served.json("/");
    assert_eq!(
        overview["files"],
        serde_json::json!({"files": 3, "reports": 3, "in_memory": 3, "unreadable_lines": 0})
    );
    assert_eq!(
        overview["routes"],
        serde_json::json!([{"name": "GET /", "in_memory": 3, "failed": 1, "panicked": 1, "cancelled": 0}])
    );
    // What only a recorder knows is left out, and not 0.
    assert_eq!(
        (&overview["statistics"], &overview["counted"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(overview["failures"][0]["route_ended"], Value::Null);
    let route = served.json("/route?name=GET%20%2F");
    assert_eq!(route["route"], serde_json::json!({"name": "GET /"}));
    assert_eq!(ids(&route["requests"]), ["other", "2", "1"]);
    let (status, _, body) = served.get("/");
    assert!(
        status == 200 && body.contains("Kept requests in 3 files"),
        "{body}"
    );
    for unknown in ["In flight", "Ended", "Share", "not counted"] {
        assert!(!body.contains(unknown), "{unknown}: {body}");
    }
    assert_eq!(served.get("/in-flight").0, 404);
    // Each of the traces with number 1 has its own page.
    let of = |started: u64| {
        let page = served.json(&format!("/trace/1?started={started}000000000"));
        page["report"]["request"]["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (of(1_763_942_400), of(1_763_942_500)),
        ("1".to_owned(), "other".to_owned())
    );
    for link in ["1763942400", "1763942500"] {
        let link = format!("href=\"/trace/1?started={link}000000000\"");
        assert!(body.contains(&link), "{link}: {body}");
    }
    let found = served.json("/search?outcome=failure");
    assert_eq!(
        (ids(&found["requests"]), &found["matched"]),
        (vec!["other", "1"], &2.into())
    );
    let (status, location, _) = served.get("/id/other");
    assert_eq!(
        (status, &*location),
        (303, "/trace/1?started=1763942500000000000")
    );
    let failures = served.json("/failures");
    assert_eq!(failures["groups"][1]["message"], "write: broken pipe");
    let hotspots = served.json("/hotspots");
    assert_eq!(
        (&hotspots["reports"], &hotspots["functions"][0]["calls"]),
        (&3.into(), &3.into())
    );
    assert!(
        served
            .get("/hotspots")
            .2
            .contains("Over the 3 kept requests in memory.")
    );
    let (status, _, tree) = served.get("/trace/1/text?started=1763942500000000000");
    assert!(status == 200 && tree.contains("[other]"), "{tree}");
}

#[test]
fn only_a_client_on_this_machine_with_the_token_sees_it() {
    let folder = Folder::with(&[("a.jsonl", &kept_at(1, 0, "\"ok\""))]);
    let served = Served::start(&folder, &["a.jsonl"]);
    assert!(
        served.address.starts_with("http://127.0.0.1:"),
        "{}",
        served.address
    );
    assert_eq!(served.token.len(), 32);
    let (status, _, body) = served.get_with("/", &[]);
    assert!(status == 401 && !body.contains("GET /"), "{body}");
    let bearer = format!("Bearer {}", served.token);
    let elsewhere = [("Authorization", &*bearer), ("Host", "example.org")];
    assert_eq!(served.get_with("/", &elsewhere).0, 403);
    // As a browser opens it.
    let (status, location, _) = served.get_with(&format!("/?token={}", served.token), &[]);
    assert_eq!((status, &*location), (303, "/"));
    let port = served.address.rsplit(':').next().unwrap();
    let cookie = format!("tracer-{port}={}", served.token);
    assert_eq!(served.get_with("/", &[("Cookie", &cookie)]).0, 200);
}

#[test]
fn the_newest_are_in_memory_and_a_search_covers_all() {
    // Not in the order of their beginnings, as requests end in another one.
    let text: String = (0..2000).rev().map(|it| kept_at(it, it, FAILED)).collect();
    let folder = Folder::with(&[("a.jsonl", &text)]);
    let mut served = Served::start(&folder, &["a.jsonl", "--memory-mib", "1"]);
    let overview = served.json("/");
    let in_memory = overview["files"]["in_memory"].as_u64().unwrap();
    assert!((100..1500).contains(&in_memory), "{in_memory}");
    let told = format!("the newest {in_memory} of 2000 reports");
    assert!(served.told().contains(&told));
    assert_eq!(overview["files"]["reports"], 2000);
    let (_, _, body) = served.get("/");
    assert!(body.contains("This page shows the newest"), "{body}");
    let route = served.json("/route?name=GET%20%2F");
    assert_eq!(route["in_memory"], in_memory);
    assert_eq!(route["requests"][0]["request"]["id"], "1999");
    assert_eq!(served.json("/failures")["failures"], in_memory);
    let found = served.json("/search?sort=started&order=ascending");
    assert_eq!(
        (&found["matched"], &found["requests"][0]["request"]["id"]),
        (&2000.into(), &"0".into())
    );
    assert_eq!(found["requests"][0]["in_memory"], false);
    let (_, location, _) = served.get("/trace-id/00000000000000000000000000000001");
    assert_eq!(location, "");
    let (_, location, _) = served.get("/id/0");
    assert_eq!(location, "/trace/0?started=1763942400000000000");
    assert_eq!(served.json(&location)["report"]["trace"], 0);
}

#[test]
fn a_file_that_grows_and_is_rotated_is_read_again() {
    let folder = Folder::with(&[("a.jsonl", &kept_at(1, 0, "\"ok\""))]);
    let served = Served::start(&folder, &["a.jsonl", "a.jsonl.1"]);
    // The second file is not there yet.
    assert_eq!(served.address, "");
    fs::write(folder.path("a.jsonl.1"), "").unwrap();
    let served = Served::start(&folder, &["a.jsonl", "a.jsonl.1"]);
    let shown = || {
        let route = served.json("/route?name=GET%20%2F");
        ids(&route["requests"]).join(" ")
    };
    assert_eq!(shown(), "1");
    let mut file = File::options()
        .append(true)
        .open(folder.path("a.jsonl"))
        .unwrap();
    let half = kept_at(2, 1, "\"ok\"");
    let (start, end) = half.split_at(200);
    file.write_all(start.as_bytes()).unwrap();
    assert_eq!(shown(), "1");
    assert_eq!(served.json("/")["files"]["unreadable_lines"], 0);
    // The line need not be ended, if it is a whole report.
    file.write_all(end.trim_end().as_bytes()).unwrap();
    assert_eq!(shown(), "2 1");
    file.write_all(b"\n").unwrap();
    fs::rename(folder.path("a.jsonl"), folder.path("a.jsonl.1")).unwrap();
    assert_eq!(shown(), "2 1");
    fs::write(folder.path("a.jsonl"), kept_at(3, 2, "\"ok\"")).unwrap();
    assert_eq!(shown(), "3 2 1");
    fs::remove_file(folder.path("a.jsonl.1")).unwrap();
    assert_eq!(shown(), "3");
    fs::write(folder.path("a.jsonl"), "").unwrap();
    assert_eq!(served.json("/")["files"]["reports"], 0);
    let (status, _, body) = served.get("/");
    assert!(
        status == 200 && body.contains("No request is kept."),
        "{body}"
    );
}

#[test]
fn lines_that_are_no_reports_are_passed_over_and_named() {
    let good = kept_at(1, 0, "\"ok\"");
    // The head of the second is that of a report.
    let bad = kept_at(2, 1, "\"ok\"").replace("\"strand\":0", "\"strand\":-1");
    let text = format!("{good}\n{bad}<script>alert(1)</script>\n{good}");
    let folder = Folder::with(&[("<b>.jsonl", &text)]);
    let mut served = Served::start(&folder, &["<b>.jsonl"]);
    assert_eq!(
        served.told() + &served.told(),
        "tracer: passed over 2 lines, the first in <b>.jsonl: line 3\n\
         tracer: shows 1 report: Ctrl-C ends it\n"
    );
    let (_, _, body) = served.get("/");
    let told = "2 lines could not be read, the first: line 3 of &lt;b&gt;.jsonl";
    assert!(body.contains(told), "{body}");
}

#[test]
fn reports_without_a_recorder_are_shown_without_what_it_adds() {
    let folder = Folder::with(&[("a.jsonl", &line(7, 10, 2_000_000, FAILED))]);
    let served = Served::start(&folder, &["a.jsonl"]);
    let (_, _, body) = served.get("/");
    assert!(
        body.contains(">(no route)</a>") && body.contains("2.00 ms"),
        "{body}"
    );
    let (status, _, route) = served.get("/route?name=");
    assert!(
        status == 200 && route.contains("<h1>(no route)</h1>"),
        "{route}"
    );
    let (_, _, page) = served.get("/trace/7?started=1763942400000000000");
    assert!(
        page.contains("no recorder kept it") && page.contains("11 (1.07 KiB)"),
        "{page}"
    );
    let found = served.json("/search?text=BROKEN");
    assert_eq!(
        (&found["matched"], &found["requests"][0]["trace"]),
        (&1.into(), &7.into())
    );
}

#[test]
fn what_can_not_be_served_is_named() {
    let folder = Folder::with(&[
        ("a.jsonl", &kept_at(1, 0, "\"ok\"")),
        ("empty.jsonl", ""),
        ("notes.txt", "one\ntwo\n"),
    ]);
    fs::create_dir(folder.path("folder")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let in_use = format!("port {port} of 127.0.0.1: Address already in use (os error 98)");
    for (arguments, told) in [
        (
            &["none.jsonl"][..],
            "none.jsonl: No such file or directory (os error 2)",
        ),
        (
            &["a.jsonl", "folder"],
            "folder: expected a regular file, which can be read again",
        ),
        (
            &["empty.jsonl"],
            "empty.jsonl: no reports: expected a line of JSON for each",
        ),
        (
            &["a.jsonl", "notes.txt"],
            "notes.txt: no reports: expected a line of JSON for each",
        ),
        (&["-"], "standard input can't be read again: expected files"),
        (&["a.jsonl", "--port", &port], &in_use),
    ] {
        if cfg!(not(target_os = "linux")) && told.contains("os error") {
            continue;
        }
        let ran = folder.run(&[&["serve"], arguments].concat());
        assert_eq!((&*ran.out, ran.errors), ("", format!("tracer: {told}\n")));
        assert_eq!(ran.code, Some(2));
    }
    for (arguments, told) in [
        (
            &["serve"][..],
            "error: the following required arguments were not provided:\n  <FILES>...",
        ),
        (
            &["serve", "a.jsonl", "--port", "70000"],
            "error: invalid value '70000' for '--port <PORT>'",
        ),
        (
            &["serve", "a.jsonl", "--memory-mib", "0"],
            "error: invalid value '0' for '--memory-mib <MIB>'",
        ),
    ] {
        let ran = folder.run(arguments);
        assert_eq!(ran.code, Some(2));
        assert!(ran.errors.starts_with(told), "{}", ran.errors);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_at_once() {
    use std::os::unix::process::ExitStatusExt as _;
    let folder = Folder::with(&[("a.jsonl", &kept_at(1, 0, "\"ok\""))]);
    for (signal, number) in [("INT", 2), ("TERM", 15)] {
        if crate::outputs::is_ignored(number) {
            continue;
        }
        let mut served = Served::start(&folder, &["a.jsonl"]);
        // A browser keeps its connection.
        let address = served.address.trim_start_matches("http://").to_owned();
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        connection
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        connection.read_exact(&mut [0; 12]).unwrap();
        let id = served.child.id().to_string();
        let killed = std::process::Command::new("kill")
            .args(["-s", signal, &id])
            .status();
        assert!(killed.unwrap().success());
        assert_eq!(
            served.child.wait().unwrap().signal(),
            Some(number.cast_signed())
        );
        assert_eq!(folder.names(), ["a.jsonl"]);
    }
}
