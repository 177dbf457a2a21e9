//! The lines that allocate, on the page.

use std::hint::black_box;

use tracer::alloc::Sites;
use tracer::recorder::{Policy, Recorder};
use tracer::traced;

use crate::PATIENCE;
use crate::site::Site;

const STORE: u32 = line!() + 4;
#[traced]
#[inline(never)]
fn store(rows: usize) {
    drop(black_box(vec![1_u8; 100 * rows]));
    for _ in 0..rows {
        drop(black_box(Box::new([1_u8; 10])));
    }
    drop(black_box(String::from("key")));
    drop(black_box(vec![1_u16; 1]));
    drop(black_box(vec![1_u8; 1]));
}

fn site(sites: Option<Sites>) -> Site {
    let policy = Policy::none().failed();
    let mut builder = Recorder::builder().policy(policy);
    if let Some(sites) = sites {
        builder = builder.sites(sites);
    }
    let recorder = builder.start().unwrap();
    let site = Site::mounted(recorder);
    for name in ["GET /a", "GET /b"] {
        let mut recording = site.recorder.begin(name);
        let scope = recording.inject();
        store(5);
        drop(scope);
        recording.fail("no rows");
        drop(recording);
    }
    assert!(site.recorder.flush(PATIENCE));
    site
}

/// Returns the texts of a page between two texts, without the folder of this project and the tags.
fn between(page: &str, from: &str, to: &str) -> Vec<String> {
    let (_, after) = page.split_once(from).expect(from);
    let (inside, _) = after.split_once(to).expect(to);
    let inside = inside.replace(concat!(env!("CARGO_MANIFEST_DIR"), "/"), "");
    let mut texts = Vec::new();
    for part in inside.split('<').skip(1) {
        let (_, text) = part.split_once('>').unwrap();
        if !text.trim().is_empty() {
            texts.push(text.to_owned());
        }
    }
    texts
}

#[test]
#[cfg(target_os = "linux")]
fn a_call_has_its_heaviest_lines() {
    let site = site(Some(Sites::exact()));
    let trace = site.recorder.kept()[0].trace;
    let (_, page) = site.get(&format!("/debug/traces/trace/{trace}"), "");
    let lines = page.split("▸ ").skip(1).take(4);
    let lines: Vec<_> = lines.map(|it| it.split_once('<').unwrap().0).collect();
    let expected = [
        format!("page_lines.rs:{STORE} 500 B, allocates 1"),
        format!("page_lines.rs:{} 50 B, allocates 5", STORE + 2),
        format!("page_lines.rs:{} 3 B, allocates 1", STORE + 4),
        "2 more lines".to_owned(),
    ];
    assert_eq!(lines, expected);
    let title = format!("http::page_lines::store at {}:{STORE}\"", {
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/page_lines.rs")
    });
    assert!(page.contains(&title), "{page}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_flame_graph_goes_on_to_the_lines() {
    let site = site(Some(Sites::exact()));
    let here = "/debug/traces/hotspots?by=self-bytes";
    let (_, page) = site.get(here, "");
    let kept = "Over the 2 kept requests with allocation sites.";
    assert!(page.contains(kept), "{page}");
    let table = between(&page, "aria-label=\"Lines\">", "</table>");
    let store = |line: u32, rest: [&str; 5]| {
        let place = format!("tests/http/page_lines.rs:{line}");
        let mut row = vec!["http::page_lines::store".to_owned(), place];
        row.extend(rest.map(str::to_owned));
        row
    };
    let head = [
        "Line",
        "Share",
        "Self allocates",
        "Allocates",
        "Self bytes",
        "Bytes",
    ];
    let expected = [
        head.map(str::to_owned).to_vec(),
        store(STORE, ["89.9%", "2", "2", "1,000 B", "1,000 B"]),
        store(STORE + 2, ["9.0%", "10", "10", "100 B", "100 B"]),
        store(STORE + 4, ["0.5%", "2", "2", "6 B", "6 B"]),
        store(STORE + 5, ["0.4%", "2", "2", "4 B", "4 B"]),
        store(STORE + 6, ["0.2%", "2", "2", "2 B", "2 B"]),
    ];
    assert_eq!(table, expected.concat());

    // Of one route, and zoomed into the widest bar.
    let (_, page) = site.get(&format!("{here}&route=GET%20%2Fa"), "");
    assert!(page.contains("Over the 1 kept request with"), "{page}");
    let (_, graph) = page.split_once("id=\"lines\"").unwrap();
    let bar = graph.split("<a href=\"").nth(3).unwrap();
    let (link, bar) = bar.split_once('"').unwrap();
    assert!(bar.contains(&format!(">store:{STORE}<")), "{bar}");
    assert!(
        link.contains("&amp;line=") && link.ends_with("#lines"),
        "{link}"
    );
    let link = link.replace("&amp;", "&").replace("#lines", "");
    let (_, zoomed) = site.get(&link, "");
    let (calls, lines) = zoomed.split_once("id=\"lines\"").unwrap();
    assert!(!calls.contains("Zoom out"), "{calls}");
    assert!(lines.contains("Zoom out"), "{lines}");

    let (_, page) = site.get("/debug/traces/hotspots?by=self-time", "");
    assert!(!page.contains("id=\"lines\""), "{page}");
}

#[test]
fn without_sites_there_is_no_such_section() {
    let site = site(None);
    let (_, page) = site.get("/debug/traces/hotspots?by=self-bytes", "");
    assert!(!page.contains("id=\"lines\""), "{page}");
}
