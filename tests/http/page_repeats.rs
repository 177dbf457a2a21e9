//! Calls that repeat, on the page of a request.

use tracer::recorder::Recorder;
use tracer::{Limits, call};

use crate::PATIENCE;
use crate::common::allocate;
use crate::site::Site;

fn query(id: u32, table: &str) {
    let query = call!("{id}", table = table);
    query.checkpoint("sent");
    call!("decode").stop();
    allocate(3);
}

/// Records 40 requests with one query. The last one has `queries`, and fails.
fn record(recorder: &Recorder, queries: u32) {
    for number in 0..40 {
        let recording = recorder.begin("GET /orders");
        let _scope = recording.inject();
        let list = call!("list");
        for id in 0..if number == 39 { queries } else { 1 } {
            query(id, "<orders>");
        }
        if number == 39 {
            list.fail("too many");
        }
    }
    assert!(recorder.flush(PATIENCE));
}

fn page(site: &Site) -> String {
    let trace = site.recorder.kept()[0].trace;
    site.get(&format!("/debug/traces/trace/{trace}"), "").1
}

/// Replaces pictures, and times as `1.23 µs`, which are different in each run.
fn without_times(html: &str) -> String {
    let mut pictures = html.split("<svg");
    let mut text = pictures.next().unwrap().to_owned();
    for picture in pictures {
        text += picture.split_once("</svg>").unwrap().1;
    }
    for unit in [" ns", " µs", " ms", " s"] {
        let parts: Vec<_> = text.split(unit).collect();
        let last = parts.len() - 1;
        let cut = |(place, part): (usize, &&str)| {
            let number = |it: char| it.is_ascii_digit() || ".,".contains(it);
            match part.trim_end_matches(number) {
                _ if place == last => (*part).to_owned(),
                rest if rest.len() == part.len() => format!("{part}{unit}"),
                rest => format!("{rest}T"),
            }
        };
        text = parts.iter().enumerate().map(cut).collect();
    }
    text
}

#[test]
fn equal_siblings_are_one_row_that_lists_them() {
    let site = Site::new();
    record(&site.recorder, 9);
    let page = page(&site);
    let rows: Vec<_> = page.split("<tr class=\"repeated\">").skip(1).collect();
    assert_eq!(rows.len(), 2, "{page}");
    let row = rows[0].split("</tr>").next().unwrap();
    let listed = |id: u32| format!("<li><b>{id}</b> at T: T, allocates 3</li>");
    let list: String = (0..9).map(listed).collect();
    let expected = format!(
        "<th class=\"tree\" title=\"http::page_repeats::query tests/http/page_repeats.rs:11\">\
         <details><summary>\u{2003}query <b>×9</b></summary><ol class=\"each\">{list}</ol></details>\
         <small>\u{2003}table=&lt;orders&gt;</small>\
         <small class=\"warm\">\u{2003}<b>N+1</b>: T (usual T) · allocates 27 (usual 3) · 9 calls (usual 1)</small>\
         <small>\u{2003}· sent ×9 T, allocates 0</small></th>\
         <td><small>from T<i>, level 2</i></small></td>\
         <td>T<small title=\"p95 T, p99 T\">p50 T</small><small>max T</small></td>\
         <td>T</td><td>27</td><td>27</td>\
         <td>27 B</td><td><small>27 B</small></td>\
         <td>1 B</td><td>ok</td>"
    );
    assert_eq!(without_times(row), expected);
    // Those inside are added up below.
    assert!(
        rows[1].contains("\u{2003}\u{2003}query <b>×9</b>"),
        "{}",
        rows[1]
    );
    assert_eq!(page.matches("<b>N+1</b>: ").count(), 1, "{page}");
    assert!(
        page.contains("<b>N+1:</b> many calls where requests usually have one to three"),
        "{page}"
    );
}

#[test]
fn seven_equal_siblings_have_a_row_each() {
    let site = Site::new();
    record(&site.recorder, 7);
    let page = page(&site);
    assert!(!page.contains("<details><summary>\u{2003}"), "{page}");
    let rows = page.split("<tr>").skip(2);
    assert_eq!(rows.count(), 1 + 7 * 2);
    assert!(
        page.contains("<b>all:</b> the calls of this path together"),
        "{page}"
    );
}

#[test]
fn ten_thousand_calls_take_little_room() {
    let recorder = Recorder::builder()
        .policy(tracer::recorder::Policy::none().failed())
        .trace(100, Limits::default().calls(10_000))
        .memory_bytes(64 << 20)
        .start()
        .unwrap();
    let site = Site::mounted(recorder);
    record(&site.recorder, 4_999);
    let report = site.recorder.kept()[0].clone();
    assert_eq!((report.calls.len(), report.folded.len()), (9_999, 0));
    let page = page(&site);
    assert_eq!(page.matches("<b>×4,999</b>").count(), 2);
    // Each of the two rows lists 200 calls.
    assert_eq!(page.matches("</b> at ").count(), 400);
    assert_eq!(
        page.matches("<li>and 4,799 more, in the text</li>").count(),
        2
    );
    assert!(page.len() < 64 << 10, "{} bytes", page.len());
}
