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
use tracer::web::Page;
use tracer::{Counting, Report, call};

#[global_allocator]
static A: Counting = Counting::system();

const PATIENCE: Duration = Duration::from_secs(20);
const HOSTILE: &str = "<script>alert(1)</script>\u{1b}[2J\n\"'&";

struct Site {
    _runtime: Runtime,
    recorder: Recorder,
    address: SocketAddr,
    token: String,
}

fn recorder() -> Recorder {
    let policy = Policy::none()
        .failed()
        .heaviest(1, Duration::from_secs(60 * 60));
    Recorder::builder().policy(policy).start().unwrap()
}

impl Site {
    fn of(mount: impl FnOnce(Router) -> Router, knows_peers: bool) -> Self {
        let recorder = recorder();
        let page = Page::new(recorder.clone()).unwrap();
        let app = mount(page.router());
        let token = page.token().to_owned();
        Self {
            token,
            ..Self::serve(recorder, app, knows_peers)
        }
    }

    fn serve(recorder: Recorder, app: Router, knows_peers: bool) -> Self {
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
            token: String::new(),
        }
    }

    fn new() -> Self {
        Self::of(|page| Router::new().nest("/debug/traces", page), true)
    }

    /// The head and the body of an answer to who has the token.
    fn get(&self, path: &str, headers: &str) -> (String, String) {
        let token = &self.token;
        self.ask(
            &format!("GET {path}"),
            &format!("{headers}authorization: Bearer {token}\r\n"),
        )
    }

    /// The head and the body of an answer to anyone.
    fn ask(&self, request: &str, headers: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = if headers.to_lowercase().contains("host:") {
            ""
        } else {
            "host: localhost\r\n"
        };
        write!(
            stream,
            "{request} HTTP/1.1\r\n{host}connection: close\r\n{headers}\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn status(&self, path: &str, headers: &str) -> String {
        status(&self.get(path, headers).0)
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

fn status(head: &str) -> String {
    head.split(' ').nth(1).unwrap().to_owned()
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
    // Two are kept: the heaviest until then, and the last, which failed.
    let figures = 3;
    assert_eq!(
        (count("/trace/"), count("/route?"), count("/in-flight")),
        (2 * 4, 1, 2)
    );
    // Each zoomed into its two paths, as far as those have any of the figure.
    let zooms = 2;
    assert_eq!(count("/hotspots"), 2 * figures * (1 + zooms) + 2);
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

/// Of each bar of the flame graph in a page: what it says, its name, where it begins, how wide it is,
/// and in which row.
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
                "web::outer: 40, 100.0%, self 8",
                "outer",
                "0.000%",
                "100.000%",
                "20"
            ],
            [
                "web::orders::get: 20, 50.0%",
                "orders::get",
                "0.000%",
                "50.000%",
                "40"
            ],
            [
                "web::users::get: 12, 30.0%",
                "users::get",
                "50.000%",
                "30.000%",
                "40"
            ],
        ]
    );
    // The names in the table tell them apart, with their places below.
    for name in ["orders::get<span", "users::get<span", "outer<span"] {
        assert!(
            page.contains(&format!(">{name} class=\"usual\">tests/web.rs:")),
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
                "web::outer: 40, 100.0%, self 8",
                "outer",
                "0.000%",
                "100.000%",
                "20"
            ],
            [
                "web::users::get: 12, 30.0%",
                "users::get",
                "0.000%",
                "100.000%",
                "40"
            ],
        ]
    );
    assert!(page.contains(">Zoom out</a>"), "{page}");
    // The way is known again, however the figures are by then; another is not.
    let (_, page) = site.get(&format!("{here}&at=123"), "");
    assert!(page.contains("this is all"), "{page}");
    assert_eq!(bars(&page).len(), 4);
}

/// The text of an element, without its markup.
fn text(markup: &str) -> String {
    let parts = markup
        .split('<')
        .map(|it| it.split_once('>').map_or(it, |(_, text)| text));
    parts.collect()
}

/// The heads of each table's columns.
fn heads(page: &str) -> Vec<Vec<String>> {
    let heads = page
        .split("<thead>")
        .skip(1)
        .map(|it| it.split("</thead>").next().unwrap());
    let columns = heads.map(|it| it.split("<th").skip(1).map(|it| text(&format!("<th{it}"))));
    columns.map(Iterator::collect).collect()
}

/// An error as it is handed on from call to call, and one that is not.
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
fn a_message_stands_where_the_failure_began() {
    let site = Site::new();
    let recording = site.recorder.begin("GET /");
    let scope = recording.inject();
    fails(3);
    drop((scope, recording));
    assert!(site.recorder.flush(PATIENCE));
    let trace = site.recorder.kept()[0].trace;
    let (_, page) = site.get(&format!("/debug/traces/trace/{trace}"), "");
    let page = page.split("<textarea").next().unwrap();
    let outcomes = page.split("data-of=\"Outcome\">").skip(1);
    let outcomes: Vec<_> = outcomes
        .map(|it| text(it.split("</td>").next().unwrap()))
        .collect();
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
fn no_two_columns_go_by_one_name() {
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
            // Those of the times and those of the allocations stand below different words.
            table.retain(|it| !matches!(&**it, "Spread" | "p50" | "p95" | "p99"));
            let all = table.len();
            table.sort();
            table.dedup();
            assert_eq!(table.len(), all, "{path}: {table:?}");
        }
    }
}

#[test]
fn marks_are_explained_where_there_are_any() {
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
        // Times may be anything.
        let is_bold = table.contains("warm\"");
        assert_eq!((bold, all), (is_bold, table.contains("all: ")), "{page}");
        (bold, all)
    };
    assert_eq!(marks(kept[0].trace), (true, true));
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
fn what_is_too_narrow_to_be_drawn_is_counted() {
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
            "web::allocates_a_lot: 3,005, 100.0%, self 3,000"
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
            // A name that makes no sense is refused by whoever sees it first.
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

/// The paths of a page, and others below it.
const PATHS: [&str; 13] = [
    "",
    "/",
    "/route?name=a",
    "/trace/1",
    "/trace/1/json",
    "/trace/1/json/more",
    "/hotspots",
    "/in-flight",
    "/icon.svg",
    "/style.css",
    "/nothing-here",
    "/nothing/here?at=all",
    "/trace/%FF",
];

#[test]
fn without_the_token_nothing_is_told() {
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
                        // That is no address of a page that is mounted so.
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
        // Nor to a stranger on another machine, of whom no token is asked.
        let (head, body) = site.ask("GET /debug/traces/nothing-here", "via: 1.1 a\r\n");
        assert_eq!(status(&head), "403");
        assert!(!body.contains("token"), "{body}");
        // With the token it is told what is wrong.
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
    // What else was asked for stays, whatever it is.
    let asked = format!("GET /debug/traces/hotspots?by=self-bytes&token={token}&a%26=%0d%0a%3d");
    let (head, _) = site.ask(&asked, &host);
    assert_eq!(status(&head), "303");
    let there = "\r\nlocation: /debug/traces/hotspots?by=self%2Dbytes&a%26=%0D%0A%3D\r\n";
    assert!(head.contains(there), "{head}");
    // A wrong one opens nothing, and an old one does no harm to who is known.
    let old = "GET /debug/traces?token=0123456789abcdef0123456789abcdef";
    let (head, body) = site.ask(old, &host);
    assert_eq!(status(&head), "401");
    assert!(
        body.contains("it may be that of an earlier start"),
        "{body}"
    );
    assert_eq!(status(&site.ask(old, &headers).0), "303");
    // Who is not on this machine can't even try.
    let asked = format!("GET /debug/traces?token={token}");
    for header in ["x-forwarded-for: ::1\r\n", "host: example.com\r\n"] {
        let (head, _) = site.ask(&asked, header);
        assert_eq!(status(&head), "403", "{head}");
        assert!(!head.contains("set-cookie"), "{head}");
    }
}

#[test]
fn a_token_of_ones_own_may_have_any_characters() {
    let token = "correct horse; battery=staple \u{e9}&%";
    let recorder = recorder();
    let page = Page::with_token(recorder.clone(), token).unwrap();
    let site = Site::serve(recorder, page.router(), true);
    let url = page.url("");
    assert_eq!(
        url,
        "?token=correct%20horse%3B%20battery%3Dstaple%20%C3%A9%26%25"
    );
    // At the root, and not by a path that were another host's address.
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

/// What a page answers to who comes from there with the token, as this version of HTTP.
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
        // Overview, route, in flight and paused, hotspots of both and by three figures, zoomed into two
        // paths, two traces and their three forms, style and icon.
        seen.insert(format!("{}/", home.trim_end_matches('/')));
        let overviews = if home == "/" || home == "/debug/" {
            1
        } else {
            2
        };
        assert_eq!(
            seen.len(),
            overviews + 1 + 2 + 20 + 8 + 2,
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
