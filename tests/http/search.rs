//! Finding kept requests on the page: in memory and in files.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use tempfile::TempDir;
use tracer::Outcome;
use tracer::call;
use tracer::recorder::{Policy, Recorder, Rotation};

use crate::PATIENCE;
use crate::common::allocate;
use crate::site::{Site, status, values};

const HOSTILE: &str = "<script>alert(1)</script>\u{1b}[2J\"'&";

/// Returns a recorder that keeps all requests and writes them to a file.
fn recorder(file: Option<(&Path, Rotation)>) -> Recorder {
    let policy = Policy::none().when("all", |_| true);
    let mut builder = Recorder::builder().policy(policy);
    if let Some((path, rotation)) = file {
        builder = builder.file(path, rotation);
    }
    builder.start().unwrap()
}

fn site(recorder: Recorder) -> Site {
    let mount = |page| Router::new().nest("/debug/traces", page);
    Site::with(recorder, mount, true)
}

/// Records a request that fails with a message, if there is one.
fn record(recorder: &Recorder, route: &str, id: &str, allocations: u64, fails: Option<&str>) {
    let mut recording = recorder.begin(route);
    recording.id(id);
    recording.label("tenant", format_args!("Tenant of {id}"));
    let scope = recording.inject();
    let call = call!("call of {id}", step = "CHECK-out");
    allocate(allocations);
    drop((call, scope));
    if let Some(message) = fails {
        recording.outcome(Outcome::Failed(message.to_owned()));
    }
    recording.finish();
}

/// Returns a page as JSON.
fn json(site: &Site, path: &str) -> Value {
    let gap = if path.contains('?') { '&' } else { '?' };
    let (head, body) = site.get(&format!("/debug/traces{path}{gap}format=json"), "");
    assert!(head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(&body).unwrap()
}

/// Returns the ids of what a search finds, in its order.
fn ids(site: &Site, query: &str) -> Vec<String> {
    let found = json(site, &format!("/search?{query}"));
    let ids: Vec<String> = { found["requests"].as_array().unwrap().iter() }
        .map(|it| it["request"]["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found["matched"], ids.len(), "{query}");
    ids
}

fn location(head: &str) -> &str {
    assert_eq!(status(head), "303", "{head}");
    let (_, after) = head.split_once("\r\nlocation: ").unwrap();
    after.split("\r\n").next().unwrap()
}

#[test]
fn each_parameter_narrows_what_is_found() {
    let site = site(recorder(None));
    let recorder = &site.recorder;
    record(recorder, "GET /a", "a-1", 1, None);
    record(recorder, "GET /a", "a-2", 5000, Some("no row 7"));
    record(recorder, "GET /b", "b-1", 1, Some("no row 8"));
    let mut slow = recorder.begin("GET /b");
    slow.id("b-2");
    std::thread::sleep(Duration::from_millis(30));
    slow.outcome(Outcome::Cancelled);
    slow.finish();
    assert!(recorder.flush(PATIENCE));
    let kept = recorder.kept();
    let of = |id: &str| {
        let is_it = |it: &&std::sync::Arc<tracer::Report>| {
            it.request.as_ref().unwrap().id.as_deref() == Some(id)
        };
        kept.iter().find(is_it).unwrap()
    };
    let trace_id = of("b-1").trace_id.unwrap();
    for (query, found) in [
        ("", &["b-2", "b-1", "a-2", "a-1"][..]),
        ("id=a-1", &["a-1"]),
        ("id=A-1", &[]),
        ("id=+a-1%20", &["a-1"]),
        (&format!("trace_id={trace_id}"), &["b-1"]),
        ("text=tenant+of+B", &["b-1"]),
        ("text=NO%20ROW", &["b-1", "a-2"]),
        ("text=check-OUT", &["b-1", "a-2", "a-1"]),
        ("text=CALL OF a", &["a-2", "a-1"]),
        ("route=GET%20/b", &["b-2", "b-1"]),
        ("route=GET", &[]),
        ("outcome=failure", &["b-1", "a-2"]),
        ("outcome=cancelled", &["b-2"]),
        ("outcome=ok", &["a-1"]),
        ("outcome=panicked", &[]),
        ("failure=no+row+%23", &["b-1", "a-2"]),
        ("failure=no+row+9&route=GET+/a", &["a-2"]),
        ("slower=29ms", &["b-2"]),
        ("heavier=4999B", &["a-2"]),
        ("heavier=5000B", &[]),
        ("since=1h&until=0s", &["b-2", "b-1", "a-2", "a-1"]),
        ("until=1h", &[]),
        ("since=2100-01-01T00:00:00Z", &[]),
        (
            "since=1970-01-01T00:00:00%2B01:00",
            &["b-2", "b-1", "a-2", "a-1"],
        ),
        (
            "sort=bytes&order=descending&outcome=failure",
            &["a-2", "b-1"],
        ),
        (
            "sort=bytes&order=ascending&outcome=failure",
            &["b-1", "a-2"],
        ),
        ("sort=wall&text=&id=&slower=", &["b-2"]),
        ("sort=route&order=descending", &["b-2", "b-1", "a-2", "a-1"]),
        (
            "sort=started&order=ascending",
            &["a-1", "a-2", "b-1", "b-2"],
        ),
        ("sort=outcome", &["a-2", "b-1", "b-2", "a-1"]),
    ] {
        let ids = ids(&site, &query.replace(' ', "%20"));
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        if query.starts_with("sort=wall") {
            assert_eq!((ids.len(), ids[0]), (4, found[0]));
        } else {
            assert_eq!(ids, found, "{query}");
        }
    }
    // Between the start of one and the end of another.
    let started = |id: &str| {
        of(id)
            .started
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
    };
    let middle = started("b-2") + Duration::from_millis(10);
    let at = |time: Duration| {
        let ns = time.as_nanos();
        let (days, ns) = (ns / 86_400_000_000_000, ns % 86_400_000_000_000);
        let date = civil(u32::try_from(days).unwrap());
        let (s, ns) = (ns / 1_000_000_000, ns % 1_000_000_000);
        format!(
            "{date}T{:02}:{:02}:{:02}.{ns:09}Z",
            s / 3600,
            s / 60 % 60,
            s % 60
        )
    };
    let (from, to) = (at(middle), at(middle + Duration::from_millis(1)));
    assert_eq!(ids(&site, &format!("since={from}&until={to}")), ["b-2"]);
}

/// Returns the date of a day since 1970.
fn civil(days: u32) -> String {
    let (mut year, mut days) = (1970, days);
    let is_leap = |year: u32| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while days >= 365 + u32::from(is_leap(year)) {
        days -= 365 + u32::from(is_leap(year));
        year += 1;
    }
    let months = [
        31,
        28 + u32::from(is_leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while days >= months[month] {
        days -= months[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, days + 1)
}

#[test]
fn results_are_sorted_and_paged_by_links() {
    let site = site(recorder(None));
    for number in 0..120 {
        record(
            &site.recorder,
            "GET /",
            &format!("{number:03}"),
            number,
            None,
        );
    }
    assert!(site.recorder.flush(PATIENCE));
    let (_, page) = site.get("/debug/traces/search", "");
    assert!(
        page.contains("<b>120 kept requests</b> in memory."),
        "{page}"
    );
    let next = |page: &str| {
        let (before, _) = page.split_once(" rel=\"next\"").unwrap();
        values(before, "href").last().unwrap()
    };
    let sort = values(&page, "href")
        .find(|it| it.contains("sort=allocates"))
        .unwrap();
    assert_eq!(sort, "/debug/traces/search?sort=allocates&order=descending");
    let mut here = sort;
    let mut seen = Vec::new();
    for number in 1..=3 {
        let (_, page) = site.get(&here, "");
        assert!(
            page.contains(&format!("<span>Page {number} of 3</span>")),
            "{page}"
        );
        assert!(page.contains("aria-sort=\"descending\""), "{page}");
        let ids = page.split("GET /</a> <span class=\"faint\">").skip(1);
        seen.extend(ids.map(|it| it.split('<').next().unwrap().to_owned()));
        if number < 3 {
            here = next(&page);
        } else {
            assert!(!page.contains("rel=\"next\""));
        }
    }
    let expected: Vec<_> = (0..120).rev().map(|it| format!("{it:03}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(
        here,
        "/debug/traces/search?sort=allocates&order=descending&page=3"
    );
    let last = json(&site, "/search?page=3");
    assert_eq!(
        (&last["page_number"], &last["pages"], &last["matched"]),
        (&3.into(), &3.into(), &120.into())
    );
    assert_eq!(last["requests"].as_array().unwrap().len(), 20);
    assert_eq!(
        json(&site, "/search?page=4")["requests"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn an_id_leads_straight_to_its_request() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("traces.jsonl");
    let before = recorder(Some((&path, Rotation::default())));
    record(&before, "GET /", "long ago/7?", 2, Some("lost"));
    record(&before, "GET /", "twice", 2, None);
    record(&before, "GET /", "twice", 2, None);
    assert!(before.flush(PATIENCE));
    let earlier = before.kept();
    drop(before);
    let site = site(recorder(Some((&path, Rotation::default()))));
    record(&site.recorder, "GET /", HOSTILE, 1, None);
    assert!(site.recorder.flush(PATIENCE));
    let now = &site.recorder.kept()[0];

    let get = |path: &str| site.get(&format!("/debug/traces{path}"), "");
    let hostile = "%3Cscript%3Ealert%281%29%3C%2Fscript%3E%1B%5B2J%22%27%26";
    let (head, _) = get(&format!("/id/{hostile}"));
    assert_eq!(
        location(&head),
        format!("/debug/traces/trace/{}", now.trace)
    );
    let (head, _) = get(&format!("/trace-id/{}", now.trace_id.unwrap()));
    assert_eq!(
        location(&head),
        format!("/debug/traces/trace/{}", now.trace)
    );

    // That of an earlier process is shown from the file, with its exports.
    let lost = &earlier[2];
    let (head, _) = get("/id/long%20ago%2F7%3F");
    let there = location(&head).to_owned();
    let unix_ns = lost
        .started
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    assert_eq!(
        there,
        format!("/debug/traces/trace/{}?started={unix_ns}", lost.trace)
    );
    let (_, page) = site.get(&there, "");
    assert!(
        page.contains("GET /</a> <span class=\"faint\">long ago/7?</span>"),
        "{page}"
    );
    let export = values(&page, "href")
        .find(|it| it.contains("/json"))
        .unwrap();
    let (_, report) = site.get(&export, "");
    assert_eq!(
        &serde_json::from_str::<tracer::Report>(&report).unwrap(),
        &**lost
    );
    let (head, _) = get(&format!("/trace-id/{}?format=json", lost.trace_id.unwrap()));
    let there = location(&head);
    assert!(there.ends_with("&format=json"), "{there}");
    let (_, body) = site.get(there, "");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["page"], "trace");
    assert_eq!(
        &serde_json::from_value::<tracer::Report>(body["report"].clone()).unwrap(),
        &**lost
    );

    // Several are listed.
    let (head, _) = get("/id/twice");
    assert_eq!(location(&head), "/debug/traces/search?id=twice");
    assert_eq!(ids(&site, "id=twice"), ["twice", "twice"]);
    let all = json(&site, "/search");
    let in_memory: Vec<_> = { all["requests"].as_array().unwrap().iter() }
        .map(|it| it["in_memory"].as_bool().unwrap())
        .collect();
    assert_eq!(in_memory, [true, false, false, false]);
    assert_eq!(
        (&all["files"]["searched"], &all["files"]["of"]),
        (&1.into(), &1.into())
    );
    let length = path.metadata().unwrap().len();
    assert_eq!(all["files"]["searched_bytes"], length);

    let (head, body) = get("/id/unknown");
    assert_eq!(status(&head), "404");
    let told =
        "No kept request has the id “unknown” in memory or in the files: searched 1 of 1 file.";
    assert!(body.contains(told), "{body}");
    for (path, code) in [
        ("/id/", "404"),
        ("/id/%FF", "400"),
        ("/id/%20", "400"),
        ("/trace-id/xyz", "400"),
        (&format!("/trace/{}?started=7", now.trace), "404"),
        (
            &format!("/trace/{}?started=99999999999999999999", now.trace),
            "400",
        ),
        (&format!("/id/{}", "x".repeat(2000)), "400"),
    ] {
        assert_eq!(status(&get(path).0), code, "{path}");
    }
}

#[test]
fn files_are_searched_while_they_are_written_and_rotated() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("traces.jsonl");
    let rotation = Rotation::default().max_bytes(20_000).files(4);
    let policy = Policy::none().when("all", |_| true);
    // Room for some of them in memory only.
    let recorder = Recorder::builder().policy(policy).memory_bytes(64 << 10);
    let recorder = recorder.file(&path, rotation).start().unwrap();
    let site = site(recorder.clone());
    let writer = std::thread::spawn(move || {
        for number in 0..1_500 {
            record(
                &recorder,
                "GET /",
                &format!("{number}"),
                1,
                Some("no row 7"),
            );
            if number % 20 == 19 {
                assert!(recorder.flush(PATIENCE));
            }
        }
    });
    let mut searches = 0;
    while !writer.is_finished() {
        let found = json(&site, "/search?failure=no+row+7&text=TENANT");
        let files = &found["files"];
        assert_eq!(files["searched"], files["of"], "{files}");
        assert_eq!(
            (&files["unreadable_lines"], &files["busy"]),
            (&0.into(), &false.into())
        );
        let requests = found["requests"].as_array().unwrap();
        let different: HashSet<_> = requests
            .iter()
            .map(|it| it["request"]["id"].as_str())
            .collect();
        assert_eq!(different.len(), requests.len());
        searches += 1;
    }
    writer.join().unwrap();
    assert!(searches > 2, "{searches}");
    assert!(site.recorder.flush(PATIENCE));

    // All that is in memory or in a file is found, once.
    let mut expected: HashSet<u64> = site.recorder.kept().iter().map(|it| it.trace).collect();
    let in_memory = expected.len();
    for name in [
        "traces.jsonl",
        "traces.jsonl.1",
        "traces.jsonl.2",
        "traces.jsonl.3",
    ] {
        let text = std::fs::read(folder.path().join(name)).unwrap();
        let reports = tracer::report::json::Lines::new(&text[..]);
        expected.extend(reports.map(|it| it.unwrap().trace));
    }
    assert!(expected.len() > in_memory, "{in_memory}");
    let found = json(&site, "/search?text=tenant");
    assert_eq!(found["matched"], expected.len());
    assert_eq!(found["files"]["of"], 4);
}

#[test]
fn files_that_were_cut_or_damaged_are_searched_as_far_as_they_go() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("traces.jsonl");
    let before = recorder(Some((&path, Rotation::default())));
    for number in 0..3 {
        record(&before, "GET /", &format!("{number}"), 1, None);
    }
    assert!(before.flush(PATIENCE));
    drop(before);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let damaged = format!(
        "{}\n\n{{\"tracer_report\":1,\"request\":7}}\nno JSON\n{}\n{}",
        lines[0],
        // Another order of the fields, and escapes that need not be there.
        resorted(lines[1]),
        &lines[2][..lines[2].len() / 2],
    );
    std::fs::rename(&path, folder.path().join("traces.jsonl.1")).unwrap();
    std::fs::write(folder.path().join("traces.jsonl.1"), damaged).unwrap();
    // Beyond the number of files.
    std::fs::write(folder.path().join("traces.jsonl.4"), &text).unwrap();
    let site = site(recorder(Some((&path, Rotation::default()))));
    let found = json(&site, "/search");
    let seen = |found: &Value| {
        let requests = found["requests"].as_array().unwrap().iter();
        requests
            .map(|it| it["request"]["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(seen(&found), ["1", "0"]);
    assert_eq!(
        (&found["files"]["unreadable_lines"], &found["files"]["of"]),
        (&2.into(), &2.into())
    );
    let (_, page) = site.get("/debug/traces/search", "");
    assert!(
        page.contains("searched 2 of 2 files, 2 lines could not be read"),
        "{page}"
    );
    assert_eq!(ids(&site, "text=Tenant+of+1"), ["1"]);
    // Cut, while the recorder has it open.
    std::fs::write(folder.path().join("traces.jsonl.1"), "").unwrap();
    assert_eq!(ids(&site, ""), Vec::<String>::new());
}

/// Returns a line of JSON with its fields sorted, and its capital letters escaped.
fn resorted(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    serde_json::to_string(&value)
        .unwrap()
        .replace('T', "\\u0054")
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    // So that the recorder can open it.
    let reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let site = site(recorder(Some((&path, Rotation::default()))));
    record(&site.recorder, "GET /", "1", 1, None);
    assert!(site.recorder.flush(PATIENCE));
    let found = json(&site, "/search");
    assert_eq!(
        (&found["matched"], &found["files"]["of"]),
        (&1.into(), &0.into())
    );
    drop(reader);
}

#[test]
fn wrong_queries_are_refused_with_what_was_expected() {
    let site = site(recorder(None));
    for (query, told) in [
        (
            "id=%FF",
            "The parameter \"id\" is not UTF-8: expected UTF-8, percent-encoded.",
        ),
        (
            "id=1&id=2",
            "The parameter \"id\" is there twice: expected it once.",
        ),
        (
            "page=0",
            "The parameter \"page\" is \"0\": expected a page from 1 to 40.",
        ),
        (
            "page=99999999999999999999",
            "The parameter \"page\" is \"99999999999999999999\": expected a page from 1 to 40.",
        ),
        (
            "order=up",
            "The parameter \"order\" is \"up\": expected ascending or descending.",
        ),
        (
            "sort=%3Cb%3E",
            "The parameter \"sort\" is \"<b>\": expected one of started, route, wall, allocates, bytes, outcome.",
        ),
        (
            "until=%1b",
            "The parameter \"until\" is \"\\u{1b}\": expected a time such as 2026-11-29T17:05:00Z, or a time ago \
             such as 90s, 10m, 2h, 7d.",
        ),
        (
            &format!("text={}", "x".repeat(2000)),
            "The parameter \"text\" has 2,000 bytes: expected 1,024 at most.",
        ),
        (
            "regex=.*",
            "There is no parameter \"regex\": expected id, trace_id, text, route, outcome, failure, slower, heavier, \
             since, until, sort, order, page, format.",
        ),
    ] {
        let path = format!("/debug/traces/search?{query}");
        let (head, body) = site.get(&path, "");
        assert_eq!(status(&head), "400", "{query}");
        let escaped = told
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        assert!(body.contains(&format!("<p>{escaped}</p>")), "{body}");
        let (head, body) = site.get(&path, "accept: application/json\r\n");
        assert_eq!(status(&head), "400", "{query}");
        let error: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            error,
            serde_json::json!({"tracer_page": 1, "page": "error", "status": 400, "message": told})
        );
    }
}

#[test]
fn hostile_texts_stay_texts() {
    let site = site(recorder(None));
    record(
        &site.recorder,
        &format!("GET /{HOSTILE}"),
        HOSTILE,
        1,
        Some(HOSTILE),
    );
    assert!(site.recorder.flush(PATIENCE));
    let hostile = "%3Cscript%3Ealert%281%29%3C%2Fscript%3E%1B%5B2J%22%27%26";
    for path in [
        format!("/search?id={hostile}"),
        format!("/search?text={hostile}"),
        format!("/search?failure={hostile}&id={hostile}"),
        "/failures".to_owned(),
        String::new(),
    ] {
        let (head, page) = site.get(&format!("/debug/traces{path}"), "");
        assert_eq!(status(&head), "200", "{path}");
        assert!(
            head.contains("content-security-policy: default-src 'none'"),
            "{head}"
        );
        assert!(
            page.contains("alert(") && !page.contains("<script"),
            "{page}"
        );
        assert!(!page.contains('\u{1b}'), "{page}");
        let queries = values(&page, "href").filter(|it| it.contains("/search?"));
        for link in queries {
            assert_eq!(status(&site.get(&link, "").0), "200", "{link}");
        }
    }
    // The form has what was asked for.
    let (_, page) = site.get(&format!("/debug/traces/search?id={hostile}"), "");
    assert!(page.contains("<b>1 kept request</b>"), "{page}");
    let field =
        "name=\"id\" value=\"&#x3c;script&#x3e;alert(1)&#x3c;/script&#x3e;&#x1b;[2J&#x22;'&#x26;\"";
    assert!(page.contains(field), "{page}");
}

#[test]
fn equal_failures_are_one_group() {
    let site = site(recorder(None));
    let recorder = &site.recorder;
    for number in 0..28 {
        let message = format!("CHECK constraint 'c{number}' failed for order {number}");
        record(
            recorder,
            "POST /message",
            &format!("{number}"),
            number % 7,
            Some(&message),
        );
    }
    record(
        recorder,
        "GET /message",
        "other",
        1,
        Some("CHECK constraint 'c1' failed for order 1"),
    );
    for _ in 0..12 {
        record(recorder, "POST /message", "ok", 1, None);
    }
    let mut panicked = recorder.begin("GET /message");
    panicked.outcome(Outcome::Panicked);
    panicked.finish();
    assert!(recorder.flush(PATIENCE));
    let page = json(&site, "/failures");
    assert_eq!(
        (&page["failures"], &page["ungrouped"], &page["at_least"]),
        (&30.into(), &0.into(), &false.into())
    );
    let groups = page["groups"].as_array().unwrap();
    let told: Vec<_> = { groups.iter() }
        .map(|it| {
            (
                it["route"].as_str().unwrap(),
                it["message"].as_str().unwrap(),
                &it["failures"],
                &it["route_ended"],
            )
        })
        .collect();
    let message = "CHECK constraint '…' failed for order #";
    assert_eq!(
        told,
        [
            ("POST /message", message, &Value::from(28), &Value::from(40)),
            ("GET /message", "panicked", &1.into(), &2.into()),
            ("GET /message", message, &1.into(), &2.into()),
        ]
    );
    // One click leads to the newest, the slowest and the heaviest.
    let kept = recorder.kept();
    let of_group: Vec<_> = { kept.iter() }
        .filter(|it| {
            let request = it.request.as_ref().unwrap();
            request.name == "POST /message" && request.outcome != Outcome::Ok
        })
        .collect();
    let newest = of_group.iter().max_by_key(|it| it.started).unwrap().trace;
    let slowest = of_group
        .iter()
        .map(|it| it.request.as_ref().unwrap().wall)
        .max()
        .unwrap();
    let heaviest = of_group
        .iter()
        .map(|it| it.total.unwrap().bytes_allocated)
        .max()
        .unwrap();
    let of_trace = |name: &str| {
        let trace = groups[0][name].as_u64().unwrap();
        recorder.get(trace).unwrap()
    };
    assert_eq!(groups[0]["newest"], newest);
    assert_eq!(of_trace("slowest").request.as_ref().unwrap().wall, slowest);
    assert_eq!(
        of_trace("heaviest").total.unwrap().bytes_allocated,
        heaviest
    );
    let query = groups[0]["query"].as_str().unwrap();
    assert_eq!(ids(&site, query).len(), 28);
    // On the overview, and on the route's page.
    for path in ["", "/failures", "/route?name=POST%20%2Fmessage"] {
        let (_, page) = site.get(&format!("/debug/traces{path}"), "");
        assert!(
            page.contains("CHECK constraint '…' failed for order #</a>"),
            "{page}"
        );
        assert!(
            page.contains("<td data-of=\"Share\">70.0%<span class=\"usual\">of 40</span></td>"),
            "{page}"
        );
        assert!(
            page.contains(&format!(
                "<a href=\"/debug/traces/trace/{newest}\">newest</a>"
            )),
            "{page}"
        );
    }
}

#[test]
fn every_page_is_json_too() {
    let site = Site::new();
    site.work();
    let _in_flight = site.recorder.begin("GET /slow");
    let trace = site.recorder.kept()[0].trace;
    let route = "GET%20%2F%3Cscript%3Ealert%281%29%3C%2Fscript%3E%1B%5B2J%0A%22%27%26";
    for (path, name) in [
        ("", "overview"),
        ("/search", "search"),
        ("/failures", "failures"),
        (&format!("/route?name={route}"), "route"),
        (&format!("/trace/{trace}"), "trace"),
        ("/hotspots", "hotspots"),
        ("/in-flight", "in-flight"),
    ] {
        let page = json(&site, path);
        assert_eq!(
            (&page["tracer_page"], &page["page"]),
            (&1.into(), &name.into())
        );
        for (accept, is_json) in [
            ("application/json", true),
            ("text/plain, Application/JSON;q=0.5", true),
            ("text/html, application/json", false),
            ("*/*", false),
        ] {
            let headers = format!("accept: {accept}\r\n");
            let (head, _) = site.get(&format!("/debug/traces{path}"), &headers);
            assert_eq!(
                head.contains("content-type: application/json"),
                is_json,
                "{accept}"
            );
        }
        // Nothing that a terminal would interpret.
        let (_, body) = site.get(
            &format!("/debug/traces{path}"),
            "accept: application/json\r\n",
        );
        assert!(
            body.trim_end().chars().all(|it| !it.is_control()),
            "{body:?}"
        );
    }
    let overview = json(&site, "");
    let kept = site.recorder.statistics().kept;
    assert_eq!(
        (
            &overview["statistics"]["ended"],
            &overview["statistics"]["kept"]
        ),
        (&200.into(), &kept.into())
    );
    assert_eq!(
        overview["routes"][0]["recent"]["wall_ns"]["p50"]
            .as_u64()
            .is_some(),
        true
    );
    assert_eq!(
        (&overview["counted"], &overview["failures"][0]["failures"]),
        (&true.into(), &1.into())
    );
    let slowest = &overview["slowest"][0];
    let report = site
        .recorder
        .get(slowest["trace"].as_u64().unwrap())
        .unwrap();
    let mut whole = serde_json::to_value(&*report).unwrap();
    whole["in_memory"] = true.into();
    for (name, value) in slowest.as_object().unwrap() {
        assert_eq!(&whole[name], value, "{name}");
    }
    let newest = { overview["newest"].as_array().unwrap().iter() }.map(|it| &it["trace"]);
    let kept = site.recorder.kept();
    let last = kept.iter().take(100).map(|it| it.trace);
    assert!(newest.eq(last.map(Value::from).collect::<Vec<_>>().iter()));
    let failures = overview["newest_failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0]["request"]["outcome"], "failed");
    let in_flight = json(&site, "/in-flight");
    assert_eq!(
        (&in_flight["in_flight"], &in_flight["requests"][0]["name"]),
        (&1.into(), &"GET /slow".into())
    );
    let hotspots = json(&site, "/hotspots?by=self-allocations");
    assert_eq!(
        (&hotspots["by"], &hotspots["reports"]),
        (&"self-allocations".into(), &200.into())
    );
    assert_eq!(
        hotspots["functions"][0]["self"]["allocations"],
        3 * (199 + 37)
    );

    // Errors, and for strangers.
    let (head, body) = site.get("/debug/traces/nothing-here?format=json", "");
    assert_eq!(status(&head), "404");
    assert!(
        body.starts_with("{\"tracer_page\":1,\"page\":\"error\",\"status\":404,"),
        "{body}"
    );
    let (head, body) = site.ask("GET /debug/traces/search", "accept: application/json\r\n");
    assert_eq!(status(&head), "401");
    assert!(head.contains("www-authenticate: Bearer"), "{head}");
    assert!(
        body.starts_with("{\"tracer_page\":1,\"page\":\"error\",\"status\":401,"),
        "{body}"
    );
}
