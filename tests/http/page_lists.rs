//! Lists that are longer than what a page shows.

use tracer::recorder::{Policy, Recorder};

use crate::PATIENCE;
use crate::site::{Site, values};

/// Returns the places to which links with this text lead.
fn more(page: &str, text: &str) -> Vec<String> {
    let links = page
        .split("<a ")
        .filter(|it| it.contains(&format!(">{text}</a>")));
    let links = links.map(|it| values(&format!("<a {it}"), "href").next().unwrap());
    links.collect()
}

#[test]
fn a_list_leads_to_the_search_for_all_of_it() {
    let policy = Policy::none().allocates_over(0);
    let site = Site::mounted(Recorder::builder().policy(policy).start().unwrap());
    for number in 0..130 {
        let mut recording = site.recorder.begin("GET /a b");
        recording.id(number);
        let _scope = recording.inject();
        drop(std::hint::black_box(Box::new([0_u8; 100])));
    }
    assert!(site.recorder.flush(PATIENCE));
    let (_, page) = site.get("/debug/traces", "");
    let search = "/debug/traces/search?";
    assert_eq!(
        more(&page, "And 120 more"),
        ["sort=wall&order=descending", "sort=bytes&order=descending"]
            .map(|it| format!("{search}{it}"))
    );
    for link in more(&page, "And 120 more") {
        let (_, found) = site.get(&link, "");
        assert!(found.contains("130 kept requests"), "{link}");
    }
    // All took less than a millisecond, or some more.
    let (_, page) = site.get("/debug/traces/route?name=GET%20%2Fa%20b", "");
    for link in values(&page, "href").filter(|it| it.contains("/search?route=")) {
        assert_eq!(link, format!("{search}route=GET%20%2Fa%20b"));
    }
    assert!(page.contains(" more</a>"), "{page}");
}
