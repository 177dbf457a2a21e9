//! The page of a recorder: kept requests, why they were kept, and what is usual, in any browser.
//!
//! A [`Page`] is mounted under any path of an axum service. Print its address when the service starts:
//! it contains the token that opens the page.
//!
//! ```
//! use axum::Router;
//! use tracer::recorder::Recorder;
//! use tracer::tower::RecorderLayer;
//! use tracer::web::Page;
//!
//! let recorder = Recorder::builder().start()?;
//! let page = Page::new(recorder.clone())?;
//! println!("traces: {}", page.url("http://127.0.0.1:3000/debug/traces"));
//! let app: Router = Router::new()
//!     // …the service's routes, and above them:
//!     .layer(RecorderLayer::new(recorder))
//!     .nest_service("/debug/traces", page.router());
//!
//! // The page is shown on this machine only, so the service must know the client's address.
//! let service = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
//! # let _ = service;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who sees it
//!
//! **Only clients with the token.** [`Page::new`] makes a new token at each start, [`Page::with_token`]
//! takes yours. [`Page::url`] returns an address with the token. A visit to it sets a cookie, which lasts
//! until the browser is closed (`HttpOnly`, `SameSite=Strict`, for the path of the page only), and
//! redirects to the address without the token. Programs send the header `Authorization: Bearer …`
//! instead. Without a token, every path of the page returns 401 with a field for the token, and nothing
//! about the recorder.
//!
//! **Only clients on this machine**, in addition. A request is refused with 403 if it
//!
//! - does not come from a loopback address,
//! - asks for a host name other than `localhost` or a loopback address, as in DNS rebinding,
//! - is of HTTP/1.0, or has a header that proxies set (`forwarded`, `via`, `x-real-ip`, `x-forwarded-…`
//!   and the like),
//! - comes from another site's page or link, by its header `sec-fetch-site`.
//!
//! These checks do not cover everything: a proxy on this machine that sets no known header, a TCP relay
//! (haproxy in its default mode, stunnel) and an SSH tunnel look like a client on this machine. Their
//! clients still need the token.
//!
//! The token is a secret like a password. It does not protect against someone who reads the service's
//! output, who eavesdrops between a browser and a relay, or who runs another service on this machine that
//! the browser opens: browsers send a cookie to all ports of a host. A log of full addresses contains the
//! token of the first visit; [`RecorderLayer`](crate::tower::RecorderLayer) records no queries.
//!
//! To show the page to others, pass a rule to [`router_for`]: it replaces the token and the checks above,
//! and should look at something that only these clients can send, such as a session or a client
//! certificate.
//!
//! The page is read-only. It has no scripts and loads nothing from other hosts, which a
//! `Content-Security-Policy` enforces. It leads to other hosts only by [links](Page::link) that you add. All text from outside is escaped.
//!
//! Times are local, by the machine's time zone; each page states its offset from UTC.
//! A page of [files](Archive) shows what was recorded elsewhere: [`Page::of_archive`], which the command `tracer serve`
//! mounts. What only a recorder knows is left out there.
//!
//! `nest_service` serves `/debug/traces` and `/debug/traces/`; `nest` serves the first only.
//!
//! # Paths
//!
//! | below the page's address | |
//! |---|---|
//! | `/` | overview: routes, failures, the slowest and the heaviest kept requests |
//! | `/search?…` | kept requests by id, text, route, outcome, time and size: the [parameters](crate::search) of a query, `sort`, `order` and `page` |
//! | `/id/…`, `/trace-id/…` | redirects to the kept request with this id, or of this trace; if there are several, to the search |
//! | `/failures` | kept failures in groups: of one route, with one message apart from numbers, ids and quoted texts |
//! | `/route?name=…` | one route: its last hours, and kept requests |
//! | `/trace/N` | one request; `/trace/N/json` and so on in each [`Format`](crate::export::Format) |
//! | `/trace/N/compare`, `/compare?a=N&b=M` | one request beside a [typical one](Recorder::typical); any two requests |
//! | `/hotspots` | all requests of the last minutes, by function, with a flame graph |
//! | `/in-flight` | requests that have not ended; not of files |
//! | `/metrics` | with the feature `metrics`: text for Prometheus |
//!
//! Requests are found in memory and, if the recorder writes [files](crate::recorder::Builder::file), there. A search
//! of files takes five seconds and 16 MiB at most, on a blocking thread, and two run at once. The page tells how
//! much was searched.
//!
//! Each page is also JSON: with `?format=json`, or the header `Accept: application/json`. Errors, too. The schema is in
//! [docs/page-json.md].
//!
//! [docs/page-json.md]: https://github.com/dead-simple/tracer/blob/main/docs/page-json.md

mod access;
mod archive;
mod asked;
mod charts;
mod compare;
mod failures;
mod files;
mod find;
mod flames;
mod hotspots;
mod in_flight;
mod json;
mod layout;
mod lines;
mod links;
#[cfg(feature = "metrics")]
mod metrics;
mod overview;
mod page;
mod pairs;
mod refused;
mod repeated;
mod requests;
mod route;
mod search;
mod sent;
mod source;
mod timeline;
mod token;
mod trace;
mod when;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use crate::recorder::{Recorder, RouteStatistics};
use crate::report::Report;

use access::{AccessRule, Admitted, TOKEN};
use asked::{Asked, Refused, number};
use find::Searches;
use links::Links;
use sent::Excluded;
use source::Source;

pub use archive::{Archive, ArchiveContents, ArchiveError};
pub use links::LinkError;
pub use page::{Page, router_for};
pub use token::TokenError;

fn build<S>(source: Source, rule: AccessRule, links: Links) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let page = Mounted {
        source,
        rule: Arc::new(rule),
        links,
        searches: Searches::default(),
    };
    let nowhere = async |State(page), parts| answer(page, parts, nowhere).await;
    let unchanged = async |State(page), parts| answer(page, parts, unchanged).await;
    let router = Router::new()
        .route("/", shown(|page, asked| Ok(overview(page, asked))))
        .route("/route", shown(route::page))
        .route("/trace/{number}", shown(trace::page))
        .route("/trace/{number}/compare", shown(compare::with_typical))
        .route("/trace/{number}/{form}", shown(trace::export))
        .route("/compare", shown(compare::page))
        .route("/hotspots", shown(hotspots::page))
        .route("/search", shown(search::page))
        .route(
            "/failures",
            shown(|page, asked| Ok(failures::page(page, asked))),
        )
        .route("/id/{*id}", shown(find::by_id))
        .route("/trace-id/{*id}", shown(find::by_trace_id))
        .route("/in-flight", shown(in_flight::page))
        .route("/icon.svg", shown(|_, _| Ok(layout::icon())))
        .route("/style.css", shown(|_, _| Ok(layout::style())));
    #[cfg(feature = "metrics")]
    let router = router.route("/metrics", shown(metrics::page));
    router
        .fallback(nowhere)
        .method_not_allowed_fallback(unchanged)
        .with_state(page)
}

/// A page and where it is mounted.
#[derive(Clone)]
struct Mounted {
    source: Source,
    rule: Arc<AccessRule>,
    links: Links,
    searches: Searches,
}

impl Mounted {
    /// Returns the report of the trace in the path.
    fn asked_report(&self, asked: &Asked) -> Result<Arc<Report>, Refused> {
        let number = asked.path.first().map_or("", String::as_str);
        self.report(number, asked.get("started"))
    }

    /// Returns the report of the trace with this number: one in memory, or also one in a file if its beginning is
    /// given, in nanoseconds since 1970.
    fn report(&self, text: &str, started: Option<&str>) -> Result<Arc<Report>, Refused> {
        let trace = number(text, "trace")?;
        let Some(started) = started else {
            return self.source.get(trace, None).ok_or_else(|| {
                let why = format!(
                    "Trace {trace} is not in memory: it was not kept, or others have taken its place."
                );
                Refused(StatusCode::NOT_FOUND, why)
            });
        };
        let started = number(started, "time in nanoseconds")?;
        if let Some(report) = self.source.get(trace, Some(started)) {
            return Ok(report);
        }
        let (report, in_files) = self.report_in_files(trace, started);
        let why = || find::missing(&format!("Trace {trace} of that time is not kept"), in_files);
        report.map(Arc::new).ok_or_else(why)
    }

    /// Returns the recorder, for a page that files can't have.
    fn recorder(&self) -> Result<&Recorder, Refused> {
        self.source.recorder().ok_or_else(|| {
            let why =
                "This page needs the recorder of a running service: files have kept requests only.";
            Refused(StatusCode::NOT_FOUND, why.to_owned())
        })
    }

    /// Returns the statistics of the route of this name; `None` if they are not known, since it is in files.
    fn route(&self, name: &str) -> Result<Option<RouteStatistics>, Refused> {
        let found = match &self.source {
            Source::Recorder(recorder) => recorder.route(name).map(Some),
            Source::Archive(archive) => {
                let newest = archive.newest();
                let mut names = newest.iter().map(|it| it.name());
                names.any(|it| it == name).then_some(None)
            }
        };
        found.ok_or_else(|| {
            let name = layout::shown(&crate::recorder::bounded(name));
            let why = format!("There is no route “{name}”.");
            Refused(StatusCode::NOT_FOUND, why)
        })
    }
}

type Show = fn(&Mounted, &Asked) -> Result<Response, Refused>;

/// Serves a page to authorised clients.
fn shown(show: Show) -> MethodRouter<Mounted> {
    get(async move |State(page), parts| answer(page, parts, show).await)
}

fn overview(page: &Mounted, asked: &Asked) -> Response {
    match &page.source {
        Source::Recorder(recorder) => overview::page(page, asked, recorder),
        Source::Archive(archive) => files::page(page, asked, &archive.contents()),
    }
}

fn nowhere(_: &Mounted, _: &Asked) -> Result<Response, Refused> {
    let why = "There is no page at this address.".to_owned();
    Err(Refused(StatusCode::NOT_FOUND, why))
}

fn unchanged(_: &Mounted, _: &Asked) -> Result<Response, Refused> {
    let why = "This page can only be read.".to_owned();
    Err(Refused(StatusCode::METHOD_NOT_ALLOWED, why))
}

/// Serves a response to authorised clients. Its allocations are in no request's figures.
async fn answer(page: Mounted, parts: Parts, show: Show) -> Response {
    // The answer drops them inside of `exclude`, too.
    let (asked, admitted) = alloc_counter::exclude(|| {
        let mut asked = Asked::of(&parts);
        asked.is_of_files = page.source.recorder().is_none();
        let admitted = page.rule.admit(&parts, &asked);
        (asked, admitted)
    });
    let answer = move || match admitted {
        Ok(Admitted::Shown) => {
            if !matches!(&*asked.raw_path, "/style.css" | "/icon.svg") {
                page.source.refresh();
            }
            let shown = show(&page, &asked);
            shown.unwrap_or_else(|refused| refused.page(&asked))
        }
        Ok(Admitted::WithCookie(cookie)) => {
            let there = [(header::LOCATION, asked.without(TOKEN))];
            let cookie = [(header::SET_COOKIE, cookie)];
            (StatusCode::SEE_OTHER, cookie, there).into_response()
        }
        Err(refused) => refused.page_outside(&asked),
    };
    let excluded = move || alloc_counter::exclude(|| Excluded::of(answer()));
    let mut response = aside(excluded).await;
    let headers = response.headers_mut();
    let policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
                  form-action 'self'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Renders on a blocking thread, as a large page takes some ten milliseconds.
async fn aside(answer: impl FnOnce() -> Excluded + Send + 'static) -> Response {
    if tokio::runtime::Handle::try_current().is_err() {
        return answer().into_response();
    }
    match tokio::task::spawn_blocking(answer).await {
        Ok(answer) => answer.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
