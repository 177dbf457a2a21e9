//! The tabs of the page of hotspots: each sorts by its figure, and those that add up are drawn.

use std::hint::black_box;

use tracer::call;

use crate::PATIENCE;
use crate::site::Site;

fn make() -> Vec<u8> {
    let _call = call!();
    black_box(vec![0; 1000])
}

fn free(made: Vec<u8>) {
    let _call = call!();
    drop(black_box(made));
}

fn handle() -> Vec<u8> {
    let _call = call!();
    free(make());
    black_box(vec![0; 50])
}

fn site() -> Site {
    let site = Site::new();
    for _ in 0..3 {
        let recording = site.recorder.begin("GET /");
        let _scope = recording.inject();
        drop(handle());
    }
    assert!(site.recorder.flush(PATIENCE));
    site
}

/// Returns the page's rows: the function's name, and this figure.
fn rows(page: &str, figure: &str) -> Vec<(String, String)> {
    let table = page.split("aria-label=\"Functions\"").nth(1).unwrap();
    let rows = table.split("<tr><th class=\"text\" title=\"").skip(1);
    rows.map(|row| {
        let name = row.split(['>', '<']).nth(1).unwrap();
        let cell = format!("data-of=\"{figure}\">");
        let value = row.split(&cell).nth(1).and_then(|it| it.split('<').next());
        (name.to_owned(), value.unwrap_or("none").to_owned())
    })
    .collect()
}

#[test]
fn kept_bytes_have_a_tab_with_what_was_freed_for_others_below_zero() {
    let site = site();
    let (_, page) = site.get("/debug/traces/hotspots", "");
    let link = "<a href=\"/debug/traces/hotspots?by=net-bytes\">Kept bytes</a>";
    assert!(page.contains(link), "{page}");
    let (_, page) = site.get("/debug/traces/hotspots?by=net-bytes", "");
    let expected = [
        ("make", "2.93 KiB"),
        ("handle", "150 B"),
        ("free", "-2.93 KiB"),
    ];
    let expected = expected.map(|(name, keeps)| (name.to_owned(), keeps.to_owned()));
    assert_eq!(rows(&page, "Keeps"), expected);
    // They do not add up.
    assert_eq!(rows(&page, "Share")[0].1, "none");
    assert!(!page.contains("<svg class=\"flames\""), "{page}");
}

#[test]
fn a_figure_with_the_calls_inside_is_drawn_by_that_without() {
    let site = site();
    for (with, without) in [
        ("bytes", "self-bytes"),
        ("allocations", "self-allocations"),
        ("time", "self-time"),
    ] {
        let get = |by: &str| {
            let (_, page) = site.get(&format!("/debug/traces/hotspots?by={by}"), "");
            let graph = page.split("<svg class=\"flames\"").nth(1).unwrap();
            let (graph, _) = graph.split_once("<h2>Functions").unwrap();
            (graph.replace(&format!("?by={by}"), ""), page)
        };
        let (graph, page) = get(with);
        assert_eq!(graph, get(without).0);
        if with == "bytes" {
            let shares = [("handle", "100.0%"), ("make", "95.2%"), ("free", "0.0%")];
            let shares = shares.map(|(name, share)| (name.to_owned(), share.to_owned()));
            assert_eq!(rows(&page, "Share"), shares);
        }
    }
}
