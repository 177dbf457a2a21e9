//! Access to the page: only from this machine, with the token.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, Version};
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tracer::recorder::Recorder;
use tracer::web::Page;

use crate::site::{Site, recorder, status};

#[test]
fn only_local_hosts_without_proxy_headers_see_it() {
    let site = Site::new();
    let answer = |headers: &str| site.status("/debug/traces/in-flight", headers);
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
            // A malformed host may be refused by the server before the page sees it.
            let found = answer(&format!("Host: {host}\r\n"));
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
        "cf-ray: 1",
        "cdn-loop: cloudflare",
        "fastly-client-ip: ::1",
        "tailscale-user-login: a@example.com",
        "x-arr-log-id: 1",
        "x-azure-clientip: ::1",
        "x-cluster-client-ip: ::1",
        "x-original-forwarded-for: ::1",
        "x-varnish: 7",
        "sec-fetch-site: cross-site",
    ] {
        assert_eq!(answer(&format!("{header}\r\n")), "403", "{header}");
    }
    for header in ["sec-fetch-site: same-origin", "sec-fetch-site: none"] {
        assert_eq!(answer(&format!("{header}\r\n")), "200", "{header}");
    }
    let unknown = Site::of(|page| page, false);
    let (head, body) = unknown.get("/in-flight", "");
    assert!(head.starts_with("HTTP/1.1 403"));
    assert!(
        body.contains("into_make_service_with_connect_info"),
        "{body}"
    );
    let allowed = |parts: &axum::http::request::Parts| parts.headers.contains_key("x-session");
    let recorder = recorder();
    let app = tracer::web::router_for(recorder.clone(), allowed);
    let own = Site::serve(recorder, app, false);
    let known = "x-session: 1\r\nHost: example.com\r\nvia: 1.1 a\r\n";
    assert_eq!(status(&own.ask("GET /", known).0), "200");
    assert_eq!(status(&own.ask("GET /", "").0), "403");
    assert_eq!(status(&own.ask("GET /nothing-here", "").0), "403");
    assert_eq!(status(&own.ask("GET /nothing-here", known).0), "404");
}

/// The paths of a page, and unknown paths below it.
const PATHS: [&str; 19] = [
    "",
    "/",
    "/route?name=a",
    "/trace/1",
    "/trace/1/json",
    "/trace/1/json/more",
    "/hotspots",
    "/in-flight",
    "/search?id=1",
    "/failures",
    "/id/1",
    "/trace-id/4bf92f3577b34da6a3ce929d0e0e4736",
    "/trace/1?started=1",
    "/metrics",
    "/icon.svg",
    "/style.css",
    "/nothing-here",
    "/nothing/here?at=all",
    "/trace/%FF",
];

#[test]
fn without_the_token_nothing_is_revealed() {
    for nested in [true, false] {
        let mount = |page| {
            if nested {
                Router::new().nest("/debug/traces", page)
            } else {
                Router::new().nest_service("/debug/traces", page)
            }
        };
        let site = Site::of(mount, true);
        site.work();
        let wrong = site.token.replace(|it: char| it.is_ascii_digit(), "x");
        let port = site.address.port();
        let strangers = [
            String::new(),
            format!("authorization: Bearer {wrong}\r\n"),
            format!("authorization: Basic {}\r\n", site.token),
            format!("cookie: tracer={wrong}; tracer-{port}={wrong}\r\n"),
            // A cookie for another port.
            format!(
                "host: localhost:{port}\r\ncookie: tracer-1={}\r\n",
                site.token
            ),
            "cookie: tracer=\r\n".to_owned(),
        ];
        for headers in &strangers {
            for path in PATHS {
                for method in ["GET", "HEAD", "POST", "BREW"] {
                    let asked = format!("{method} /debug/traces{path}");
                    if nested && path == "/" {
                        // Not an address of a page mounted by `nest`.
                        continue;
                    }
                    let (head, body) = site.ask(&asked, headers);
                    assert_eq!(status(&head), "401", "{asked} {headers}: {head}");
                    assert!(head.contains("www-authenticate: Bearer"), "{head}");
                    assert!(!head.contains("set-cookie"), "{head}");
                    assert!(!body.contains("tracer") && !body.contains("<a "), "{body}");
                    assert!(
                        method == "HEAD" || body.contains("name=\"token\""),
                        "{body}"
                    );
                }
            }
        }
        // A client on another machine isn't asked for a token.
        let (head, body) = site.ask("GET /debug/traces/nothing-here", "via: 1.1 a\r\n");
        assert_eq!(status(&head), "403");
        assert!(!body.contains("token"), "{body}");
        // With the token, the error is specific.
        assert_eq!(site.status("/debug/traces/nothing-here", ""), "404");
        let bearer = format!("authorization: Bearer {}\r\n", site.token);
        let (head, _) = site.ask("POST /debug/traces/hotspots", &bearer);
        assert_eq!(status(&head), "405");
    }
}

#[test]
fn the_address_with_the_token_opens_the_page() {
    let site = Site::new();
    site.work();
    let token = &site.token;
    let port = site.address.port();
    let host = format!("host: localhost:{port}\r\n");
    let (head, body) = site.ask(&format!("GET /debug/traces?token={token}"), &host);
    assert_eq!(status(&head), "303");
    assert!(head.contains("\r\nlocation: /debug/traces\r\n"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert!(head.contains("referrer-policy: no-referrer"), "{head}");
    let cookie = format!(
        "\r\nset-cookie: tracer-{port}={token}; Path=/debug/traces; HttpOnly; SameSite=Strict\r\n"
    );
    assert!(head.contains(&cookie), "{head}");
    assert_eq!(body, "");
    let headers = format!("{host}cookie: theme=dark; tracer-{port}={token}; a=b\r\n");
    for path in ["", "/hotspots", "/style.css"] {
        let (head, _) = site.ask(&format!("GET /debug/traces{path}"), &headers);
        assert_eq!(status(&head), "200", "{head}");
        assert!(!head.contains("set-cookie"), "{head}");
    }
    // The redirect keeps the rest of the query.
    let asked = format!("GET /debug/traces/hotspots?by=self-bytes&token={token}&a%26=%0d%0a%3d");
    let (head, _) = site.ask(&asked, &host);
    assert_eq!(status(&head), "303");
    let there = "\r\nlocation: /debug/traces/hotspots?by=self%2Dbytes&a%26=%0D%0A%3D\r\n";
    assert!(head.contains(there), "{head}");
    // A wrong token opens nothing. With a valid cookie, an old token is ignored.
    let old = "GET /debug/traces?token=0123456789abcdef0123456789abcdef";
    let (head, body) = site.ask(old, &host);
    assert_eq!(status(&head), "401");
    assert!(
        body.contains("it may be that of an earlier start"),
        "{body}"
    );
    assert_eq!(status(&site.ask(old, &headers).0), "303");
    // From another machine, even the right token is refused.
    let asked = format!("GET /debug/traces?token={token}");
    for header in ["x-forwarded-for: ::1\r\n", "host: example.com\r\n"] {
        let (head, _) = site.ask(&asked, header);
        assert_eq!(status(&head), "403", "{head}");
        assert!(!head.contains("set-cookie"), "{head}");
    }
}

#[test]
fn a_custom_token_may_have_any_characters() {
    let token = "correct horse; battery=staple \u{e9}&%";
    let recorder = recorder();
    let page = Page::with_token(recorder.clone(), token).unwrap();
    let site = Site::serve(recorder, page.router(), true);
    let url = page.url("");
    assert_eq!(
        url,
        "?token=correct%20horse%3B%20battery%3Dstaple%20%C3%A9%26%25"
    );
    // Mounted at the root. A redirect never leads to another host.
    let (head, _) = site.ask(&format!("GET //example.com/{url}"), "");
    assert!(head.contains("\r\nlocation: /example.com/\r\n"), "{head}");
    let (head, _) = site.ask(&format!("GET /{url}"), "");
    assert!(head.contains("\r\nlocation: /\r\n"), "{head}");
    let (_, cookie) = head.split_once("set-cookie: ").unwrap();
    let (cookie, attributes) = cookie.split_once(';').unwrap();
    assert!(attributes.starts_with(" Path=/; HttpOnly; SameSite=Strict\r\n"));
    let (head, _) = site.ask("GET /", &format!("cookie: {cookie}\r\n"));
    assert_eq!(status(&head), "200");
    assert!(!format!("{page:?}").contains("horse"));
}

const TOKEN: &str = "c8de56fa4deed248";

/// Returns the page's status for a request with the token, from this peer and in this version of HTTP.
fn status_for(peer: &str, version: Version) -> StatusCode {
    let recorder = Recorder::builder().start().unwrap();
    let peer: SocketAddr = peer.parse().unwrap();
    let request = Request::builder()
        .version(version)
        .header("host", "localhost")
        .header("authorization", format!("bearer {TOKEN}"))
        .extension(ConnectInfo(peer))
        .body(Body::empty())
        .unwrap();
    let page = Page::with_token(recorder, TOKEN).unwrap().router::<()>();
    let runtime = Runtime::new().unwrap();
    let Ok(answer) = runtime.block_on(page.oneshot(request));
    answer.status()
}

#[test]
fn other_machines_do_not_see_it() {
    for peer in [
        "127.0.0.1:1",
        "127.8.0.1:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        assert_eq!(status_for(peer, Version::HTTP_11), StatusCode::OK, "{peer}");
        assert_eq!(status_for(peer, Version::HTTP_2), StatusCode::OK, "{peer}");
        // As nginx connects with its default configuration.
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
