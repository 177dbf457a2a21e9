//! The page of a recorder, over a real socket: who sees it, what it shows, and that each link leads
//! somewhere.

#[expect(dead_code, reason = "not all of it is for this file")]
mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, Version};
use common::allocate;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tracer::recorder::{Policy, Recorder};
use tracer::{Counting, Report, call};

#[global_allocator]
static A: Counting = Counting::system();

const PATIENCE: Duration = Duration::from_secs(20);
const HOSTILE: &str = "<script>alert(1)</script>\u{1b}[2J\n\"'&";

struct Site {
    _runtime: Runtime,
    recorder: Recorder,
    address: SocketAddr,
}

impl Site {
    fn of(page: impl FnOnce(Recorder) -> Router, knows_peers: bool) -> Self {
        let policy = Policy::none().failed().heaviest(1, Duration::from_hours(1));
        let recorder = Recorder::builder().policy(policy).start().unwrap();
        let app = page(recorder.clone());
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            if knows_peers {
                let service = app.into_make_service_with_connect_info::<SocketAddr>();
                axum::serve(listener, service).await
            } else {
                axum::serve(listener, app).await
            }
        });
        Self {
            _runtime: runtime,
            recorder,
            address,
        }
    }

    fn new() -> Self {
        Self::of(
            |recorder| Router::new().nest("/debug/traces", tracer::web::router(recorder)),
            true,
        )
    }

    /// The head and the body of an answer.
    fn get(&self, path: &str, headers: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = if headers.to_lowercase().contains("host:") {
            ""
        } else {
            "host: localhost\r\n"
        };
        write!(
            stream,
            "GET {path} HTTP/1.1\r\n{host}connection: close\r\n{headers}\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn status(&self, path: &str, headers: &str) -> String {
        let (head, _) = self.get(path, headers);
        head.split(' ').nth(1).unwrap().to_owned()
    }

    /// The last of two hundred requests has many queries, and fails; all names are hostile.
    fn work(&self) {
        for number in 0..200 {
            let mut recording = self.recorder.begin(&format!("GET /{HOSTILE}"));
            recording.id(format_args!("{number}{HOSTILE}"));
            recording.label("tenant", HOSTILE);
            let _scope = recording.inject();
            let handle = call!("{HOSTILE}", label = HOSTILE);
            handle.checkpoint(HOSTILE);
            for _ in 0..if number == 199 { 37 } else { 1 } {
                let _query = call!("query");
                allocate(3);
            }
            if number == 199 {
                handle.fail(HOSTILE);
            }
        }
        assert!(self.recorder.flush(PATIENCE));
    }
}

/// The values of an attribute in a page.
fn values<'a>(page: &'a str, attribute: &'a str) -> impl Iterator<Item = String> + 'a {
    let parts = page.split(&*format!("{attribute}=\"").leak()).skip(1);
    parts.map(|part| part.split(['"', '#']).next().unwrap().replace("&amp;", "&"))
}

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
            head.contains(if path.contains(".svg?") {
                "content-security-policy: sandbox allow-scripts allow-modals; default-src 'none';"
            } else {
                "content-security-policy: default-src 'none';"
            }),
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
    let page = |name: &str| seen.iter().filter(|path| path.contains(name)).count();
    // Two are kept: the heaviest until then, and the last, which failed.
    let figures = 3;
    assert_eq!(
        (page("/trace/"), page("/route?"), page("/in-flight")),
        (2 * 4, 1, 2)
    );
    assert_eq!(page("/hotspots"), 2 * figures + 2);
    assert_eq!(page("/flamegraph.svg"), 2 * figures);
}

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

#[test]
fn in_flight_says_where_each_is() {
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
        page.contains("in_flight_says_where_each_is<span class=\"faint\"> · half</span>"),
        "{page}"
    );
    assert!(page.contains("http-equiv=\"refresh\" content=\"2\""));
}

#[test]
fn who_sees_it() {
    let site = Site::new();
    let status = |headers: &str| site.status("/debug/traces/in-flight", headers);
    let local = [
        "localhost",
        "LocalHost:80",
        "localhost.",
        "127.0.0.1:8080",
        "[::1]:80",
        "[::ffff:127.0.0.1]",
        "traces.localhost",
    ];
    let others = [
        "example.com",
        "localhost.example.com",
        "10.0.0.1",
        "",
        "[::1",
        "localhost:80@example.com",
    ];
    for (hosts, expected) in [(&local[..], "200"), (&others, "403")] {
        for host in hosts {
            // A name that makes no sense is refused by whoever sees it first.
            let found = status(&format!("Host: {host}\r\n"));
            assert!(found == expected || found == "400", "{host}: {found}");
            assert!(expected == "403" || found == "200", "{host}: {found}");
        }
    }
    for header in [
        "forwarded: for=1",
        "X-Forwarded-For: 127.0.0.1",
        "x-forwarded-host: localhost",
        "X-Forwarded-Proto: https",
        "x-envoy-internal: true",
        "via: 1.1 a",
        "x-real-ip: ::1",
        "cf-connecting-ip: ::1",
        "sec-fetch-site: cross-site",
    ] {
        assert_eq!(status(&format!("{header}\r\n")), "403", "{header}");
    }
    for header in ["sec-fetch-site: same-origin", "sec-fetch-site: none"] {
        assert_eq!(status(&format!("{header}\r\n")), "200", "{header}");
    }
    let unknown = Site::of(tracer::web::router, false);
    let (head, body) = unknown.get("/in-flight", "");
    assert!(head.starts_with("HTTP/1.1 403"));
    assert!(
        body.contains("into_make_service_with_connect_info"),
        "{body}"
    );
    let allowed = |parts: &axum::http::request::Parts| parts.headers.contains_key("x-session");
    let own = Site::of(|recorder| tracer::web::router_for(recorder, allowed), false);
    assert_eq!(
        own.status("/", "x-session: 1\r\nHost: example.com\r\nvia: 1.1 a\r\n"),
        "200"
    );
    assert_eq!(own.status("/", ""), "403");
}

/// What a page answers to who comes from there, as this version of HTTP.
fn status_for(peer: &str, version: Version) -> StatusCode {
    let recorder = Recorder::builder().start().unwrap();
    let peer: SocketAddr = peer.parse().unwrap();
    let request = Request::builder()
        .version(version)
        .header("host", "localhost")
        .extension(ConnectInfo(peer))
        .body(Body::empty())
        .unwrap();
    let page = tracer::web::router::<()>(recorder);
    let runtime = Runtime::new().unwrap();
    let Ok(answer) = runtime.block_on(page.oneshot(request));
    answer.status()
}

#[test]
fn others_do_not_see_it() {
    for peer in [
        "127.0.0.1:1",
        "127.8.0.1:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        assert_eq!(status_for(peer, Version::HTTP_11), StatusCode::OK, "{peer}");
        assert_eq!(status_for(peer, Version::HTTP_2), StatusCode::OK, "{peer}");
        // As nginx comes that was told nothing.
        assert_eq!(status_for(peer, Version::HTTP_10), StatusCode::FORBIDDEN);
    }
    for peer in [
        "10.0.0.1:1",
        "192.168.1.1:1",
        "[::ffff:10.0.0.1]:1",
        "[fe80::1]:1",
        "0.0.0.0:1",
    ] {
        assert_eq!(
            status_for(peer, Version::HTTP_11),
            StatusCode::FORBIDDEN,
            "{peer}"
        );
    }
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
        let nested = |recorder| match pattern {
            "/" => tracer::web::router(recorder),
            "/service" => Router::new().nest_service("/service", tracer::web::router(recorder)),
            pattern => Router::new().nest(pattern, tracer::web::router(recorder)),
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
        // Overview, route, in flight and paused, hotspots of both and by three figures, their flame
        // graphs, two traces and their three forms, style and icon.
        seen.insert(format!("{}/", home.trim_end_matches('/')));
        let overviews = if home == "/" || home == "/debug/" {
            1
        } else {
            2
        };
        assert_eq!(
            seen.len(),
            overviews + 1 + 2 + 8 + 6 + 8 + 2,
            "{pattern}: {seen:?}"
        );
        let home = home.trim_end_matches('/');
        assert!(seen.iter().all(|it| it.starts_with(home)), "{seen:?}");
    }
}

#[test]
fn what_cannot_be_shown_is_told() {
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
            "“pdf” is no form of a trace",
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
            "/flamegraph.svg?route=nobody",
            "404",
            "There is no route “nobody”.",
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
