//! The content of the page.

use tracer::{Report, call};

use crate::PATIENCE;
use crate::common::allocate;
use crate::site::{Site, values};

#[test]
fn the_figures_are_those_of_the_json() {
    let site = Site::new();
    site.work();
    let trace = site.recorder.kept()[0].trace;
    let (_, json) = site.get(&format!("/debug/traces/trace/{trace}/json"), "");
    let report: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(report, *site.recorder.kept()[0]);
    assert_eq!(report.calls.len(), 38);
    let (_, page) = site.get(&format!("/debug/traces/trace/{trace}"), "");
    assert!(page.contains(" · 37 calls (usual 1)"), "{page}");
    assert!(
        page.contains("<b>111 (111 B)</b><span class=\"faint\"> (usual 3, p99 3)"),
        "{page}"
    );
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\u{1b}[2J\\n&quot;'&amp;"),
        "{page}"
    );
    let (_, text) = site.get(&format!("/debug/traces/trace/{trace}/text"), "");
    assert_eq!(text, format!("{report}\n\n{report:#}\n"));
    let (_, chrome) = site.get(&format!("/debug/traces/trace/{trace}/chrome"), "");
    let events: serde_json::Value = serde_json::from_str(&chrome).unwrap();
    let begins = events["traceEvents"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["ph"] == "B");
    assert_eq!(begins.count(), 38);
    let (_, overview) = site.get("/debug/traces", "");
    assert!(
        overview.contains("Ended <b id=\"ended\">200</b>"),
        "{overview}"
    );
    let kept = site.recorder.statistics().kept;
    assert!(overview.contains(&format!("Kept <b id=\"kept\">{kept}</b>")));
}

mod users {
    pub(super) fn get() {
        let _call = tracer::call!();
        super::allocate(3);
    }
}

mod orders {
    pub(super) fn get() {
        let _call = tracer::call!();
        super::allocate(5);
    }
}

fn outer() {
    let _call = call!();
    allocate(2);
    users::get();
    orders::get();
}

/// Returns each bar of a page's flame graph: its title, its name, its start, its width, its row.
fn bars(page: &str) -> Vec<[String; 5]> {
    let start = page.find("<svg class=\"flames\"").unwrap();
    let end = page.rfind("</svg>").unwrap() + "</svg>".len();
    let document = roxmltree::Document::parse(&page[start..end]).unwrap();
    let bars = document.descendants().filter(|it| it.has_tag_name("a"));
    bars.map(|bar| {
        let svg = bar.first_element_child().unwrap();
        let text = |tag: &str| {
            let found = svg.children().find(|it| it.has_tag_name(tag));
            found.and_then(|it| it.text()).unwrap_or("").to_owned()
        };
        let at = |name: &str| svg.attribute(name).unwrap().to_owned();
        [text("title"), text("text"), at("x"), at("width"), at("y")]
    })
    .collect()
}

#[test]
fn the_flame_graph_is_drawn_to_scale_and_zoomed_into_by_links() {
    let site = Site::new();
    for _ in 0..4 {
        let recording = site.recorder.begin("GET /");
        let _scope = recording.inject();
        outer();
    }
    assert!(site.recorder.flush(PATIENCE));
    let here = "/debug/traces/hotspots?by=self-allocations&route=GET%20%2F";
    let (_, page) = site.get(here, "");
    assert_eq!(
        bars(&page),
        [
            ["all: 40", "all", "0%", "100%", "0"],
            [
                "http::page::outer: 40, 100.0%, self 8",
                "outer",
                "0.000%",
                "100.000%",
                "20"
            ],
            [
                "http::page::orders::get: 20, 50.0%",
                "orders::get",
                "0.000%",
                "50.000%",
                "40"
            ],
            [
                "http::page::users::get: 12, 30.0%",
                "users::get",
                "50.000%",
                "30.000%",
                "40"
            ],
        ]
    );
    // The names in the table have their modules, with their places below.
    for name in ["orders::get<span", "users::get<span", "outer<span"] {
        assert!(
            page.contains(&format!(">{name} class=\"usual\">tests/http/page.rs:")),
            "{page}"
        );
    }
    let zoomed = values(&page, "href").find(|it| {
        it.contains("&at=")
            && page.contains(&format!(
                "{}#flames\"><svg x=\"50.000%\"",
                it.replace('&', "&amp;")
            ))
    });
    let (_, page) = site.get(&zoomed.unwrap(), "");
    assert_eq!(
        bars(&page),
        [
            ["all: 40", "all", "0%", "100%", "0"],
            [
                "http::page::outer: 40, 100.0%, self 8",
                "outer",
                "0.000%",
                "100.000%",
                "20"
            ],
            [
                "http::page::users::get: 12, 30.0%",
                "users::get",
                "0.000%",
                "100.000%",
                "40"
            ],
        ]
    );
    assert!(page.contains(">Zoom out</a>"), "{page}");
    // A link to a path stays valid when the figures change. An unknown path shows all.
    let (_, page) = site.get(&format!("{here}&at=123"), "");
    assert!(page.contains("this is all"), "{page}");
    assert_eq!(bars(&page).len(), 4);
}

/// Returns the text of an element, without its markup.
fn text(markup: &str) -> String {
    let parts = markup
        .split('<')
        .map(|it| it.split_once('>').map_or(it, |(_, text)| text));
    parts.collect()
}

/// Returns the column heads of each table.
fn heads(page: &str) -> Vec<Vec<String>> {
    let heads = page
        .split("<thead>")
        .skip(1)
        .map(|it| it.split("</thead>").next().unwrap());
    let columns = heads.map(|it| it.split("<th").skip(1).map(|it| text(&format!("<th{it}"))));
    columns.map(Iterator::collect).collect()
}

/// The innermost call fails with one message; the calls around it forward another.
fn fails(depth: u32) {
    let call = call!();
    match depth {
        0 => call.fail("timed out"),
        1 => {
            fails(0);
            call.fail("no row 7");
        }
        _ => {
            fails(depth - 1);
            call.fail("no row 7");
        }
    }
}

#[test]
fn a_message_stands_at_the_call_that_failed_first() {
    let site = Site::new();
    let recording = site.recorder.begin("GET /");
    let scope = recording.inject();
    fails(3);
    drop((scope, recording));
    assert!(site.recorder.flush(PATIENCE));
    let trace = site.recorder.kept()[0].trace;
    let (_, page) = site.get(&format!("/debug/traces/trace/{trace}"), "");
    let page = page.split("<textarea").next().unwrap();
    let rows = page.split("</td></tr>");
    let outcomes = rows.filter_map(|it| it.rsplit_once("<td>"));
    let outcomes: Vec<_> = outcomes.map(|(_, outcome)| text(outcome)).collect();
    assert_eq!(
        outcomes,
        [
            "failed: see below",
            "failed: see below",
            "failed: no row 7",
            "failed: timed out"
        ]
    );
}

#[test]
fn small_screens_have_the_names_of_a_waterfalls_columns_from_the_style_sheet() {
    let site = Site::new();
    site.work();
    let trace = site.recorder.kept()[0].trace;
    let (_, page) = site.get(&format!("/debug/traces/trace/{trace}"), "");
    let (_, table) = page
        .split_once("<table class=\"calls waterfall\">")
        .unwrap();
    let (head, _) = table.split_once("</thead>").unwrap();
    let names: Vec<_> = head.split("<th>").skip(1).map(text).collect();
    assert_eq!(names.len(), 10);
    let (_, style) = site.get("/debug/traces/style.css", "");
    for (place, name) in names.iter().enumerate().skip(1) {
        let rule = format!(
            ".waterfall td:nth-child({})::before {{ content: \"{name} \"; }}",
            place + 1
        );
        assert!(style.contains(&rule), "{rule}");
    }
}

#[test]
fn column_heads_are_unique() {
    let site = Site::new();
    site.work();
    let trace = site.recorder.kept()[0].trace;
    let pages = ["", "/hotspots", &format!("/trace/{trace}"), "/in-flight"];
    for path in pages {
        let _request = site.recorder.begin("GET /");
        let (_, page) = site.get(&format!("/debug/traces{path}"), "");
        let tables = heads(&page);
        assert!(!tables.is_empty(), "{path}");
        for mut table in tables {
            // The columns of times and of allocations stand below different headings.
            table.retain(|it| !matches!(&**it, "Spread" | "p50" | "p95" | "p99"));
            let all = table.len();
            table.sort();
            table.dedup();
            assert_eq!(table.len(), all, "{path}: {table:?}");
        }
    }
}

#[test]
fn marks_are_explained_if_there_are_any() {
    let site = Site::new();
    site.work();
    let kept = site.recorder.kept();
    let marks = |trace: u64| {
        let (_, page) = site.get(&format!("/debug/traces/trace/{trace}"), "");
        let (_, page) = page.split_once("<tbody>").unwrap();
        let (table, below) = page.split_once("</table>").unwrap();
        let below = below.split("<textarea").next().unwrap();
        let bold = below.contains(">Bold</span>: above the figure of 95 in 100");
        let all = below.contains("<b>all:</b> the calls of this path together");
        // Times vary, so the table decides whether anything is bold.
        let is_bold = table.contains("warm\"");
        assert_eq!((bold, all), (is_bold, table.contains("all: ")), "{page}");
        (bold, all)
    };
    // Its 37 queries are one row.
    assert_eq!(marks(kept[0].trace), (true, false));
    assert!(!marks(kept[1].trace).1);
}

#[test]
fn a_request_in_flight_says_how_many_of_its_route_there_are() {
    let site = Site::new();
    let _requests = [site.recorder.begin("GET /"), site.recorder.begin("GET /")];
    let mut cancelled = site.recorder.begin("GET /");
    cancelled.outcome(tracer::Outcome::Cancelled);
    cancelled.finish();
    assert!(site.recorder.flush(PATIENCE));
    let (_, page) = site.get("/debug/traces", "");
    let told = [
        "<td class=\"\" data-of=\"Ended\">1<span class=\"usual\">in flight 2</span></td>",
        "<td class=\"\" data-of=\"Errors\">0<span class=\"usual\">cancelled 1</span></td>",
    ];
    for told in told {
        assert!(page.contains(told), "{page}");
    }
}

#[test]
fn paths_too_narrow_to_be_drawn_are_counted() {
    let site = Site::new();
    let recording = site.recorder.begin("GET /");
    let scope = recording.inject();
    allocates_a_lot();
    drop((scope, recording));
    assert!(site.recorder.flush(PATIENCE));
    let (_, page) = site.get("/debug/traces/hotspots?by=self-allocations", "");
    let titles = |page: &str| {
        bars(page)
            .into_iter()
            .map(|[title, ..]| title)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        titles(&page),
        [
            "all: 3,005",
            "http::page::allocates_a_lot: 3,005, 100.0%, self 3,000"
        ]
    );
    assert!(page.contains("Too narrow to be drawn: 2 paths."), "{page}");
}

fn allocates_a_lot() {
    let _call = call!();
    allocate(3_000);
    narrow();
}

fn narrow() {
    let _call = call!();
    allocate(2);
    users::get();
}

#[test]
fn in_flight_requests_have_their_place() {
    let site = Site::new();
    let mut recording = site.recorder.begin("GET /slow");
    recording.id("ca7a87c4");
    let _scope = recording.inject();
    let call = call!();
    call.checkpoint("half");
    let (_, page) = site.get("/debug/traces/in-flight", "");
    assert!(
        page.contains("GET /slow <span class=\"faint\">ca7a87c4</span>"),
        "{page}"
    );
    assert!(
        page.contains("in_flight_requests_have_their_place<span class=\"faint\"> · half</span>"),
        "{page}"
    );
}

#[test]
fn the_page_reloads_itself_only_if_asked_to() {
    let site = Site::new();
    let page = |query: &str| site.get(&format!("/debug/traces/in-flight{query}"), "").1;
    let again = |seconds: u32| format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">");

    let still = page("");
    assert!(!still.contains("http-equiv"), "{still}");
    let link = "<a href=\"/debug/traces/in-flight?refresh=2\">Load again every 2 s</a>";
    assert!(still.contains(link), "{still}");

    let stop = "<a href=\"/debug/traces/in-flight\">Stop</a>";
    for seconds in [2, 60] {
        let reloading = page(&format!("?refresh={seconds}"));
        assert!(reloading.contains(&again(seconds)), "{reloading}");
        assert!(reloading.contains(stop), "{reloading}");
    }
    for wrong in ["0", "-1", "2;url=//evil.example", "", "4294967296"] {
        assert_eq!(
            page(&format!("?refresh={wrong}"))
                .matches("http-equiv")
                .count(),
            0,
            "{wrong}"
        );
    }
}
