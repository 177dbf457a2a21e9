//! Two requests beside each other.

use std::time::{Duration, Instant};

use tracer::call;
use tracer::recorder::{Policy, Recorder};

use crate::PATIENCE;
use crate::common::allocate;
use crate::site::Site;

fn everything() -> Recorder {
    let policy = Policy::none().when("everything", |_| true);
    Recorder::builder().policy(policy).start().unwrap()
}

/// Records a request with so many queries, and an audit if it is asked for. Returns its trace.
fn request(recorder: &Recorder, queries: u64, is_audited: bool) -> u64 {
    let recording = recorder.begin("GET /orders");
    let trace = recording.trace().id();
    let scope = recording.inject();
    let handle = call!("handle");
    for _ in 0..queries {
        let _query = call!("query");
        allocate(3);
    }
    if is_audited {
        let audit = call!("audit");
        allocate(70);
        audit.fail("no disk");
    }
    drop(handle);
    drop(scope);
    drop(recording);
    assert!(recorder.flush(PATIENCE));
    trace
}

/// Returns the cells of each row of the table of calls, without the bars: the name with what differs, and the
/// allocations.
fn rows(page: &str) -> Vec<Vec<String>> {
    let start = page
        .find("<table class=\"calls compared\">")
        .expect("the table of calls");
    let length = page[start..].find("</table>").unwrap() + "</table>".len();
    let table = roxmltree::Document::parse(&page[start..start + length]).unwrap();
    let body = table
        .descendants()
        .find(|it| it.has_tag_name("tbody"))
        .unwrap();
    let text = |node: roxmltree::Node<'_, '_>| {
        let texts = node
            .descendants()
            .filter_map(|it| it.text().filter(|_| it.is_text()));
        texts
            .map(|it| it.trim_matches('\u{2003}'))
            .filter(|it| !it.is_empty())
            .collect::<Vec<_>>()
            .join(" | ")
    };
    let rows = body.children().filter(roxmltree::Node::is_element);
    rows.map(|row| {
        let cells: Vec<_> = row
            .children()
            .filter(roxmltree::Node::is_element)
            .map(text)
            .collect();
        [0, 5, 6, 7].map(|place| cells[place].clone()).to_vec()
    })
    .collect()
}

#[test]
fn calls_are_compared_by_path() {
    let site = Site::mounted(everything());
    let (few, many) = (
        request(&site.recorder, 1, false),
        request(&site.recorder, 40, true),
    );
    let (_, page) = site.get(&format!("/debug/traces/compare?a={many}&b={few}"), "");
    assert_eq!(
        rows(&page),
        [
            ["request", "190", "3", "+187"],
            ["request | × 40 in A, × 1 in B", "120", "3", "+117"],
            ["request | only in A | failed in A", "70", "–", "+70"],
        ]
        .map(|row| row.map(str::to_owned).to_vec())
    );
    // From the other side, and with itself.
    let (_, page) = site.get(&format!("/debug/traces/compare?a={few}&b={many}"), "");
    assert_eq!(
        rows(&page)[2],
        ["request | only in B | failed in B", "–", "70", "−70"]
    );
    let (_, page) = site.get(&format!("/debug/traces/compare?a={many}&b={many}"), "");
    assert_eq!(
        rows(&page)[1],
        ["request | × 40 in A, × 40 in B", "120", "120", "0"]
    );
    let (_, page) = site.get(&format!("/debug/traces/trace/{many}"), "");
    assert!(
        page.contains(&format!(
            "<input type=\"hidden\" name=\"a\" value=\"{many}\">"
        )),
        "{page}"
    );
}

#[test]
fn a_request_is_compared_with_a_typical_one() {
    let policy = Policy::none().failed();
    let site = Site::mounted(Recorder::builder().policy(policy).start().unwrap());
    let end = Instant::now() + PATIENCE;
    while site.recorder.typical("GET /orders").is_empty() {
        request(&site.recorder, 1, false);
        assert!(Instant::now() < end, "{:?}", site.recorder.routes());
    }
    let typical = site.recorder.typical("GET /orders")[0].trace;
    let failed = request(&site.recorder, 1, true);
    // It is the call that failed, not the request.
    assert_eq!(site.recorder.kept().len(), 0);
    let mut recording = site.recorder.begin("GET /orders");
    recording.fail("no disk");
    let trace = recording.trace().id();
    drop(recording);
    assert!(site.recorder.flush(PATIENCE));
    let (_, page) = site.get(&format!("/debug/traces/trace/{trace}"), "");
    assert!(
        page.contains(&format!("href=\"/debug/traces/trace/{trace}/compare\"")),
        "{page}"
    );
    let (_, page) = site.get(&format!("/debug/traces/trace/{trace}/compare"), "");
    assert_eq!(rows(&page)[1], ["request | only in B", "–", "3", "−3"]);
    assert!(
        page.contains(&format!("href=\"/debug/traces/trace/{typical}\"")),
        "{page}"
    );
    assert!(page.contains("typical of its route"), "{page}");
    let (_, page) = site.get(&format!("/debug/traces/trace/{typical}"), "");
    assert!(
        page.contains("typical of its route, and not kept otherwise"),
        "{page}"
    );
    assert_eq!(
        site.status(&format!("/debug/traces/trace/{failed}"), ""),
        "404"
    );
    let (_, page) = site.get("/debug/traces/route?name=GET%20%2Forders", "");
    assert!(page.contains("<h2>Typical</h2>"), "{page}");
}

#[test]
fn what_can_not_be_compared_is_named() {
    let site = Site::mounted(
        Recorder::builder()
            .policy(Policy::none().slower_than(Duration::ZERO))
            .memory_bytes(64 << 10)
            .start()
            .unwrap(),
    );
    let first = request(&site.recorder, 1, false);
    let status = |query: &str| {
        let (head, page) = site.get(&format!("/debug/traces/{query}"), "");
        let why = page
            .split("<p>")
            .nth(1)
            .unwrap_or("")
            .split("</p>")
            .next()
            .unwrap()
            .to_owned();
        (crate::site::status(&head), why)
    };
    let (code, why) = status("compare");
    assert_eq!(
        (&*code, &*why),
        (
            "400",
            "There is no a: expected ?a= and &amp;b= with the numbers of two traces."
        )
    );
    assert_eq!(
        status(&format!("compare?a={first}")).1,
        "There is no b: expected ?a= and &amp;b= with the numbers of two traces."
    );
    let (code, why) = status(&format!("compare?a={first}&b=%3Cscript%3E"));
    assert_eq!(
        (&*code, &*why),
        (
            "400",
            "“&lt;script&gt;” is no trace: expected a whole number"
        )
    );
    let (code, why) = status(&format!("compare?a={first}&b={}", "9".repeat(2000)));
    let shown = "9".repeat(40);
    assert_eq!(
        (code, why),
        (
            "400".to_owned(),
            format!("“{shown}” is no trace: expected a whole number")
        )
    );
    let nobody =
        "Trace 99999999 is not in memory: it was not kept, or others have taken its place.";
    assert_eq!(
        status(&format!("compare?a={first}&b=99999999")),
        ("404".to_owned(), nobody.to_owned())
    );
    assert_eq!(
        status("trace/99999999/compare"),
        ("404".to_owned(), nobody.to_owned())
    );
    let (code, why) = status(&format!("trace/{first}/compare"));
    assert_eq!(code, "404");
    assert!(
        why.starts_with("No other typical request of “GET /orders” is in memory."),
        "{why}"
    );
    // Others take its place.
    while site.recorder.get(first).is_some() {
        request(&site.recorder, 5, false);
    }
    let last = site.recorder.kept()[0].trace;
    let (code, why) = status(&format!("compare?a={last}&b={first}"));
    assert_eq!(
        (code, why),
        (
            "404".to_owned(),
            format!(
                "Trace {first} is not in memory: it was not kept, or others have taken its place."
            )
        )
    );
}
