//! Finding kept requests on the page.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::Value;
use tracer::Outcome;
use tracer::call;
use tracer::recorder::{Policy, Recorder, Rotation};

use crate::PATIENCE;
use crate::common::allocate;
use crate::site::{Site, status, values};

pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\u{1b}[2J\"'&";

/// Returns a recorder that keeps all requests and writes them to a file.
pub(crate) fn recorder(file: Option<(&Path, Rotation)>) -> Recorder {
    let policy = Policy::none().when("all", |_| true);
    let mut builder = Recorder::builder().policy(policy);
    if let Some((path, rotation)) = file {
        builder = builder.file(path, rotation);
    }
    builder.start().unwrap()
}

/// Records a request that fails with a message, if there is one.
pub(crate) fn record(
    recorder: &Recorder,
    route: &str,
    id: &str,
    allocations: u64,
    fails: Option<&str>,
) {
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
pub(crate) fn json(site: &Site, path: &str) -> Value {
    let gap = if path.contains('?') { '&' } else { '?' };
    let (head, body) = site.get(&format!("/debug/traces{path}{gap}format=json"), "");
    assert!(head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(&body).unwrap()
}

/// Returns the ids of what a search finds, in its order.
pub(crate) fn ids(site: &Site, query: &str) -> Vec<String> {
    let found = json(site, &format!("/search?{query}"));
    let ids: Vec<String> = { found["requests"].as_array().unwrap().iter() }
        .map(|it| it["request"]["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found["matched"], ids.len(), "{query}");
    ids
}

/// Records four requests, one after the other, and once more if the clock that tells their beginnings disagrees.
fn site_of_four() -> Site {
    loop {
        let site = Site::mounted(recorder(None));
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
        if kept.is_sorted_by(|one, other| one.started > other.started) {
            return site;
        }
    }
}

#[test]
fn each_parameter_narrows_what_is_found() {
    let site = site_of_four();
    let recorder = &site.recorder;
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
        ("sort=route&order=descending", &["b-2", "b-1", "a-2", "a-1"]),
        (
            "sort=started&order=ascending",
            &["a-1", "a-2", "b-1", "b-2"],
        ),
        ("sort=outcome", &["a-2", "b-1", "b-2", "a-1"]),
    ] {
        let ids = ids(&site, &query.replace(' ', "%20"));
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        assert_eq!(ids, found, "{query}");
    }
    // Others may have been slow, too: the reports tell.
    let wall = |id: &str| of(id).request.as_ref().unwrap().wall;
    let mut all = ["b-2", "b-1", "a-2", "a-1"];
    let limit = Duration::from_millis(29);
    let slow: Vec<_> = { all.into_iter() }.filter(|id| wall(id) > limit).collect();
    assert_eq!(ids(&site, "slower=29ms"), slow);
    all.sort_by_key(|id| std::cmp::Reverse(wall(id)));
    assert_eq!(ids(&site, "sort=wall&text=&id=&slower="), all);
    // Between the start of one and the end of another.
    let middle = of("b-2").started + Duration::from_millis(10);
    let at = |time: SystemTime| Timestamp::try_from(time).unwrap();
    let (from, to) = (at(middle), at(middle + Duration::from_millis(1)));
    assert_eq!(ids(&site, &format!("since={from}&until={to}")), ["b-2"]);
}

#[test]
fn results_are_sorted_and_paged_by_links() {
    let site = Site::mounted(recorder(None));
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
fn wrong_queries_are_refused_with_what_was_expected() {
    let site = Site::mounted(recorder(None));
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
    let site = Site::mounted(recorder(None));
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
