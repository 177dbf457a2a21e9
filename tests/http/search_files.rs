//! Finding kept requests in the recorder's files.

use std::collections::HashSet;
use std::time::UNIX_EPOCH;

use serde_json::Value;
use tempfile::TempDir;
use tracer::recorder::{Policy, Recorder, Rotation};

use crate::PATIENCE;
use crate::search::{HOSTILE, ids, json, record, recorder};
use crate::site::{Site, status, values};

fn location(head: &str) -> &str {
    assert_eq!(status(head), "303", "{head}");
    let (_, after) = head.split_once("\r\nlocation: ").unwrap();
    after.split("\r\n").next().unwrap()
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
    let site = Site::mounted(recorder(Some((&path, Rotation::default()))));
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
    let unix_ns = lost.started.duration_since(UNIX_EPOCH).unwrap().as_nanos();
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
fn a_request_in_a_file_is_compared_with_one_in_memory() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("traces.jsonl");
    let before = recorder(Some((&path, Rotation::default())));
    record(&before, "GET /", "earlier", 2, Some("lost"));
    assert!(before.flush(PATIENCE));
    let earlier = before.kept()[0].clone();
    drop(before);
    let site = Site::mounted(recorder(Some((&path, Rotation::default()))));
    record(&site.recorder, "GET /", "now", 1, None);
    assert!(site.recorder.flush(PATIENCE));
    let now = &site.recorder.kept()[0];
    let get = |path: &str| site.get(&format!("/debug/traces{path}"), "");

    let unix_ns = { earlier.started.duration_since(UNIX_EPOCH) }
        .unwrap()
        .as_nanos();
    let there = format!("/trace/{}?started={unix_ns}", earlier.trace);
    let (_, page) = get(&there);
    let field = format!("name=\"a_started\" value=\"{unix_ns}\"");
    assert!(page.contains(&field), "{page}");
    // The charts have no mark for it.
    assert!(!page.contains("#minutes"), "{page}");
    let both = format!(
        "/compare?a={}&a_started={unix_ns}&b={}",
        earlier.trace, now.trace
    );
    let (head, page) = get(&both);
    assert_eq!(status(&head), "200", "{page}");
    for path in [there, format!("/trace/{}", now.trace)] {
        let link = format!("href=\"/debug/traces{path}\"");
        assert!(page.contains(&link), "{link}: {page}");
    }
    for (path, code) in [
        (both.replace("a_started=", "a_started=x"), "400"),
        (
            both.replace(&format!("a_started={unix_ns}"), "a_started=7"),
            "404",
        ),
        (
            format!("/compare?a={}&b={}", earlier.trace, now.trace),
            "404",
        ),
    ] {
        assert_eq!(status(&get(&path).0), code, "{path}");
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
    let site = Site::mounted(recorder.clone());
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
    while !writer.is_finished() || searches < 3 {
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
    let site = Site::mounted(recorder(Some((&path, Rotation::default()))));
    let found = json(&site, "/search");
    let seen = |found: &Value| {
        let requests = found["requests"].as_array().unwrap().iter();
        let ids = requests.map(|it| it["request"]["id"].as_str().unwrap().to_owned());
        let mut ids: Vec<_> = ids.collect();
        ids.sort();
        ids
    };
    assert_eq!(seen(&found), ["0", "1"]);
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
    let site = Site::mounted(recorder(Some((&path, Rotation::default()))));
    record(&site.recorder, "GET /", "1", 1, None);
    assert!(site.recorder.flush(PATIENCE));
    let found = json(&site, "/search");
    assert_eq!(
        (&found["matched"], &found["files"]["of"]),
        (&1.into(), &0.into())
    );
    drop(reader);
}
