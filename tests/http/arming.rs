//! Armed routes behind the layer and on the page.

use axum::extract::Path;
use axum::{Router, routing::get};
use tracer::recorder::{Arming, Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::traced;
use tracer::web::router_for;

use crate::PATIENCE;
use crate::common::allocate;
use crate::site::{Site, status};

#[traced]
async fn order(Path(allocations): Path<u64>) {
    allocate(allocations);
    tokio::task::yield_now().await;
    allocate(1);
}

/// Serves a route with two methods, and the page.
fn site(arming: Arming) -> Site {
    let builder = Recorder::builder().policy(Policy::none()).arm(arming);
    let recorder = builder.start().unwrap();
    let app = Router::new()
        .route("/orders/{id}", get(order).post(order))
        .layer(RecorderLayer::new(recorder.clone()))
        .nest("/debug/traces", router_for(recorder.clone(), |_| true));
    Site::serve(recorder, app, false)
}

impl Site {
    fn order(&self, method: &str, allocations: u64) {
        let asked = format!("{method} /orders/{allocations}");
        let (head, _) = self.ask(&asked, "content-length: 0\r\n");
        assert_eq!(status(&head), "200");
        // The client may have its response a little before the request is over.
        while self.recorder.statistics().in_flight > 0 {
            std::thread::yield_now();
        }
    }

    /// Returns the text of a page from one mark to another, without tags.
    fn shown(&self, page: &str, from: &str, to: &str) -> String {
        let (_, page) = self.ask(&format!("GET /debug/traces{page}"), "");
        let found = page
            .split_once(from)
            .and_then(|(_, rest)| rest.split_once(to));
        let parts = found.unwrap_or_else(|| panic!("{page}")).0.split('<');
        parts
            .map(|it| it.split_once('>').map_or(it, |(_, text)| text))
            .collect()
    }
}

const ROUTE: &str = "/route?name=GET%20%2Forders%2F%7Bid%7D";

#[test]
fn a_route_of_axum_is_armed_and_its_page_tells_how_far() {
    let site = site(Arming::default());
    for _ in 0..20 {
        site.order("GET", 3);
    }
    let arming = || site.shown(ROUTE, "Hotspots</a></li></ul>", "<p class=\"faint\">Of the");
    assert_eq!(
        arming(),
        "Not armed. To record which lines allocate in its next requests: recorder.arm(&quot;GET \
         /orders/{id}&quot;). A request that allocates more than usual does it, too."
    );
    site.order("GET", 300);
    assert_eq!(
        arming(),
        "armed, 0 of 20 requests: each records which lines allocate, and is kept."
    );
    for _ in 0..12 {
        site.order("GET", 3);
    }
    site.order("POST", 3);
    assert_eq!(
        arming(),
        "armed, 12 of 20 requests: each records which lines allocate, and is kept."
    );
    let routes = site.shown("", "<tbody>", "</th>");
    assert_eq!(
        routes,
        "GET /orders/{id}Requests of the last 30 minutes: 33, errors: 0armed, 12 of 20"
    );
    assert!(site.recorder.flush(PATIENCE));
    let heads = site.shown(ROUTE, "<h2 id=\"armed\">", "</h2>");
    assert_eq!(heads, "Armed (12)");
    let hotspots = "/hotspots?route=GET%20%2Forders%2F%7Bid%7D&amp;by=self-bytes";
    let link = format!("<a href=\"/debug/traces{hotspots}\">");
    assert_eq!(site.shown(ROUTE, &link, "</a>"), "Lines that allocate");
    let lines = site.shown(&hotspots.replace("&amp;", "&"), "<h2 id=\"lines\">", "</p>");
    let over = "Lines that allocateOver the 12 kept requests with allocation sites.";
    assert!(lines.starts_with(over), "{lines}");
    for report in site.recorder.kept() {
        let call = &report.calls[0];
        let sites = call.sites.as_ref().unwrap();
        let allocations: u64 = sites.iter().map(|site| site.allocations).sum();
        assert_eq!(
            allocations,
            call.self_counts.unwrap().allocations,
            "{report:#}"
        );
    }
    let facts = site.shown("", "<ul class=\"facts\">", "</ul>");
    assert!(
        facts.ends_with("Armed routes 1, their requests 12"),
        "{facts}"
    );
}

#[test]
fn the_page_shows_the_line_that_arms_any_route() {
    let site = site(Arming::by_hand());
    let hostile = "<b>\"\u{1b}\u{202e}";
    site.recorder.record(hostile, || allocate(1));
    let page = "/route?name=%3Cb%3E%22%1B%E2%80%AE";
    let arming = site.shown(page, "Hotspots</a></li></ul>", "<p class=\"faint\">Of the");
    assert_eq!(
        arming,
        "Not armed. To record which lines allocate in its next requests: \
         recorder.arm(&quot;&lt;b&gt;\\&quot;\\u{1b}\\u{202e}&quot;). To do it if a request allocates more \
         than usual: Recorder::builder().arm(Arming::default())"
    );
}
