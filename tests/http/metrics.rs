//! Metrics of a service, below its page.

use axum::Router;
use tracer::recorder::{Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::web::router_for;

use crate::PATIENCE;
use crate::openmetrics::{Exemplar, Metrics};
use crate::server::app;
use crate::site::{Site, status};

/// Starts a service with its page.
fn service() -> Site {
    let policy = Policy::none().failed();
    let recorder = Recorder::builder().policy(policy).start().unwrap();
    let layer = RecorderLayer::new(recorder.clone());
    let mount = |page| app().layer(layer).nest("/debug/traces", page);
    Site::with(recorder, mount, true)
}

#[test]
fn a_scraper_with_the_token_gets_exact_counts() {
    let site = service();
    for number in 0..7 {
        site.ask(&format!("GET /orders/{number}"), "");
    }
    for _ in 0..3 {
        site.ask("GET /broken", "");
    }
    site.ask("GET /\"}%0A", "");
    assert!(site.recorder.flush(PATIENCE));
    let (head, body) = site.get("/debug/traces/metrics", "");
    assert_eq!(status(&head), "200");
    let expected = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(head.contains(expected), "{head}");
    assert!(head.contains("cache-control: no-store\r\n"), "{head}");
    let metrics = Metrics::parse(&body);
    let mut found: Vec<_> = metrics
        .all("tracer_requests_total")
        .filter(|(_, sample)| sample.value > 0.0)
        .map(|(labels, sample)| (&*labels[0].1, &*labels[1].1, sample.count()))
        .collect();
    found.sort_by(|one, other| one.0.cmp(other.0));
    assert_eq!(
        found,
        [
            ("GET (no route)", "ok", 1),
            ("GET /broken", "failed", 3),
            ("GET /orders/{id}", "ok", 7),
        ]
    );
    let kept = site.recorder.kept();
    let newest = kept[0].trace_id.unwrap().to_string();
    let mut exemplars = metrics
        .all("tracer_request_duration_seconds_bucket")
        .filter_map(|(_, sample)| sample.exemplar.as_ref());
    let named = ("trace_id".to_owned(), newest);
    let is_newest = |it: &Exemplar| it.labels == [named.clone()];
    assert!(exemplars.any(|it| is_newest(it) && it.value > 0.0 && it.seconds > 1e9));

    // Each scrape is of the moment, and is no request itself.
    site.ask("GET /orders/8", "");
    let later = Metrics::parse(&site.get("/debug/traces/metrics", "").1);
    metrics.assert_only_grow(&later);
    let labels = [("route", "GET /orders/{id}"), ("outcome", "ok")];
    assert_eq!(later.value("tracer_requests_total", &labels), 8);
}

#[test]
fn others_learn_nothing() {
    let site = service();
    site.ask("GET /orders/1", "");
    let refused = |site: &Site, headers: &str, expected: &str| {
        let (head, body) = site.ask("GET /debug/traces/metrics", headers);
        assert_eq!(status(&head), expected, "{head}");
        assert!(
            !body.contains("tracer_") && !body.contains("orders"),
            "{body}"
        );
    };
    refused(&site, "", "401");
    refused(&site, "authorization: Bearer 0123456789abcdef\r\n", "401");
    let token = format!("authorization: Bearer {}\r\n", site.token);
    refused(&site, &format!("{token}via: 1.1 a\r\n"), "403");

    let rule = |parts: &axum::http::request::Parts| parts.headers.contains_key("x-scraper");
    let page = router_for(site.recorder.clone(), rule);
    let app = Router::new().nest("/debug/traces", page);
    let own = Site::serve(site.recorder.clone(), app, false);
    refused(&own, "", "403");
    let (head, body) = own.ask("GET /debug/traces/metrics", "x-scraper: 1\r\n");
    assert_eq!(status(&head), "200");
    Metrics::parse(&body);
}
