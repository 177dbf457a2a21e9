//! The targets of the page's links, with the page mounted anywhere, and its errors for wrong links.

use std::collections::BTreeSet;

use axum::Router;

use crate::site::{Site, values};

#[test]
fn each_link_leads_somewhere_and_nothing_hostile_is_markup() {
    let site = Site::new();
    site.work();
    let mut seen = BTreeSet::new();
    let mut next = vec!["/debug/traces".to_owned()];
    while let Some(path) = next.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let (head, body) = site.get(&path, "");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        assert!(
            head.contains("content-security-policy: default-src 'none';"),
            "{path}: {head}"
        );
        assert!(!head.contains("set-cookie"), "{head}");
        if !head.contains("content-type: text/html") {
            continue;
        }
        assert!(!body.contains("<script"), "{path}: {body}");
        assert!(!body.contains('\u{1b}'), "{path}");
        for attribute in ["href", "src"] {
            for value in values(&body, attribute) {
                assert!(
                    value.starts_with("/debug/traces"),
                    "{path} leads to {value}"
                );
                next.push(value);
            }
        }
    }
    let count = |name: &str| seen.iter().filter(|path| path.contains(name)).count();
    // Two requests are kept: the heaviest so far, and the last, which failed. Each has a page and an
    // export in every format.
    let forms = 1 + tracer::export::Format::ALL.len();
    let figures = 3;
    // The first two lead to their route with a mark, and to a comparison if there is a typical request.
    let typical = typical(&site);
    assert_eq!(
        (count("/trace/"), count("/route?"), count("/in-flight")),
        ((2 + typical) * forms + 2 * typical, 3 + typical, 2)
    );
    // Each figure is zoomed into two paths, but for kept bytes, which do not add up.
    let zooms = 2;
    assert_eq!(count("/hotspots"), 2 * (figures * (1 + zooms) + 1) + 2);
}

/// Returns the number of typical requests, which depends on how their times vary: one at most.
fn typical(site: &Site) -> usize {
    let routes = site.recorder.routes();
    let typical = site.recorder.typical(&routes[0].name);
    assert!(typical.len() <= 1);
    typical.len()
}

#[test]
fn mounted_anywhere_the_links_lead_to_the_same_place() {
    let mounted = [
        ("/", "/"),
        ("/service", "/service"),
        ("/service", "/service/"),
        ("/debug/", "/debug/"),
        ("/t/{tenant}/debug", "/t/acme%20%22inc/debug"),
    ];
    for (pattern, home) in mounted {
        let nested = |page| match pattern {
            "/" => page,
            "/service" => Router::new().nest_service("/service", page),
            pattern => Router::new().nest(pattern, page),
        };
        let site = Site::of(nested, true);
        site.work();
        let mut seen = BTreeSet::new();
        let mut next = vec![home.to_owned()];
        while let Some(path) = next.pop() {
            if seen.insert(path.clone()) {
                let (head, body) = site.get(&path, "");
                assert!(
                    head.starts_with("HTTP/1.1 200"),
                    "{pattern}, {path}: {head}"
                );
                next.extend(values(&body, " href").filter(|_| head.contains("text/html")));
            }
        }
        // The overview, the route, in flight and paused, hotspots of both by three figures and zoomed
        // into two paths, and by kept bytes, two traces with their exports, failures, searches for all, for the route and for
        // the failure in each order, metrics, style and icon. Each trace leads to the route with a mark, and the
        // kept ones to a comparison with the typical one, if there is one.
        let typical = typical(&site);
        let forms = 1 + tracer::export::Format::ALL.len();
        seen.insert(format!("{}/", home.trim_end_matches('/')));
        let overviews = if home == "/" || home == "/debug/" {
            1
        } else {
            2
        };
        assert_eq!(
            seen.len(),
            overviews
                + (3 + typical + 2 + 22)
                + ((2 + typical) * forms + 2 * typical)
                + (1 + 3 * 12)
                + 3,
            "{pattern}: {seen:?}"
        );
        let home = home.trim_end_matches('/');
        assert!(seen.iter().all(|it| it.starts_with(home)), "{seen:?}");
    }
}

#[test]
fn wrong_links_are_answered_with_an_error() {
    let site = Site::new();
    site.work();
    let kept = site.recorder.kept()[0].trace;
    let told = [
        (
            "/trace/7x",
            "400",
            "“7x” is no trace: expected a whole number",
        ),
        ("/trace/99999999", "404", "Trace 99999999 is not in memory"),
        (
            &*format!("/trace/{kept}/pdf"),
            "404",
            "unknown format `pdf`: expected one of text, json, chrome, folded",
        ),
        ("/route", "400", "expected ?name= and a route's name"),
        (
            "/route?name=%3Cb%3E",
            "404",
            "There is no route “&lt;b&gt;”.",
        ),
        (
            "/hotspots?by=colour",
            "400",
            "“colour” is no figure: expected one of self-time",
        ),
        (
            "/hotspots?route=nobody",
            "404",
            "There is no route “nobody”.",
        ),
        ("/route?name=%FF%zz", "404", "There is no route"),
    ];
    for (path, status, text) in told {
        let (head, body) = site.get(&format!("/debug/traces{path}"), "");
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")),
            "{path}: {head}"
        );
        assert!(body.contains(text), "{path}: {body}");
        assert!(!body.contains("<b>") || status == "200", "{body}");
    }
    let (head, _) = site.get("/debug/traces/nothing-here", "");
    assert!(head.starts_with("HTTP/1.1 404"));
}
