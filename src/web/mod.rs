//! The page of a recorder: what is kept and why, beside what is usual, in any browser.
//!
//! [`router`] mounts under any path of an axum service:
//!
//! ```
//! use axum::Router;
//! use tracer::recorder::Recorder;
//! use tracer::tower::RecorderLayer;
//!
//! let recorder = Recorder::builder().start()?;
//! let app: Router = Router::new()
//!     // …the service's routes, and above them:
//!     .layer(RecorderLayer::new(recorder.clone()))
//!     .nest_service("/debug/traces", tracer::web::router(recorder));
//!
//! // The page is shown to who is on this machine: it has to be known who that is.
//! let service = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
//! # let _ = service;
//! # Ok::<(), tracer::recorder::StartError>(())
//! ```
//!
//! # Who sees it
//!
//! Whoever comes from this machine itself, over a loopback address, has asked for a loopback name
//! (so that no page elsewhere can send a browser here by a name of its own), and comes through no
//! proxy: a request of HTTP/1.0 is refused, and one with a header that proxies set (`forwarded`, `via`,
//! `x-real-ip`, `x-forwarded-…` and the like).
//!
//! **A proxy on this machine** that sets none of them can't be told from a person. With nginx, whose
//! own default it is to tell nothing, write
//! `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`, or keep it from the path. Or give a
//! rule with [`router_for`]: that decides alone, and should look at something that no one else can
//! send, such as a session or a client certificate.
//!
//! Nothing on the page changes anything; there are no cookies and no scripts, and nothing is loaded
//! from elsewhere, to which a `Content-Security-Policy` holds the browser. All that came from outside
//! is shown as text. Only the flame graph, where it is opened by itself, has a script to be searched
//! and zoomed into, in a sandbox that keeps it from the site.
//!
//! `nest_service` answers under `/debug/traces` and under `/debug/traces/`, `nest` under the first alone.
//!
//! The paths below that: `/` the overview, `/route?name=…` what was kept of one route,
//! `/trace/N` one request (`/trace/N/text`, `/trace/N/json` and `/trace/N/chrome` to take away),
//! `/hotspots` and `/flamegraph.svg` over all requests of the last minutes, `/in-flight`.

mod access;
mod charts;
mod hotspots;
mod in_flight;
mod layout;
mod overview;
mod requests;
mod route;
mod trace;

use std::sync::Arc;

use axum::Router;
use axum::extract::{NestedPath, OriginalUri, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use crate::recorder::{Recorder, RouteStatistics};

use access::Rule;

/// The page of a recorder, for who is on this machine: see the [module](self).
pub fn router<S>(recorder: Recorder) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    build(recorder, Rule::Loopback)
}

/// The same for those to whom `may_see` says yes, and nobody else.
pub fn router_for<S>(
    recorder: Recorder,
    may_see: impl Fn(&Parts) -> bool + Send + Sync + 'static,
) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    build(recorder, Rule::Own(Arc::new(may_see)))
}

fn build<S>(recorder: Recorder, rule: Rule) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let page = Page {
        recorder,
        rule: Arc::new(rule),
    };
    Router::new()
        .route("/", shown(|page, asked| Ok(overview::page(page, asked))))
        .route("/route", shown(route::page))
        .route("/trace/{number}", shown(trace::page))
        .route("/trace/{number}/{form}", shown(trace::form))
        .route("/hotspots", shown(hotspots::page))
        .route("/flamegraph.svg", shown(hotspots::flamegraph))
        .route(
            "/in-flight",
            shown(|page, asked| Ok(in_flight::page(page, asked))),
        )
        .route("/icon.svg", shown(|_, _| Ok(layout::icon())))
        .route("/style.css", shown(|_, _| Ok(layout::style())))
        .with_state(page)
}

#[derive(Clone)]
struct Page {
    recorder: Recorder,
    rule: Arc<Rule>,
}

impl Page {
    /// What is known of the route of this name.
    fn route(&self, name: &str) -> Result<RouteStatistics, Refused> {
        self.recorder.route(name).ok_or_else(|| {
            let name = layout::shown(&crate::recorder::bounded(name));
            let why = format!("There is no route “{name}”.");
            Refused(StatusCode::NOT_FOUND, why)
        })
    }
}

/// What was asked for.
struct Asked {
    /// The path under which the page is mounted, and the overview's.
    base: String,
    home: String,
    /// The last parts of the path, after the name of the page.
    path: Vec<String>,
    query: Vec<(String, String)>,
}

/// What can't be shown, and why.
struct Refused(StatusCode, String);

impl Asked {
    fn of(parts: &Parts) -> Self {
        let path = parts.uri.path();
        let asked = parts.extensions.get::<OriginalUri>();
        let asked = asked.map_or(path, |asked| asked.0.path());
        // The way it was asked for: where it is mounted may have parameters.
        let base = asked.strip_suffix(path).unwrap_or(asked);
        let base = base.trim_end_matches('/').to_owned();
        let nested = parts.extensions.get::<NestedPath>();
        let has_slash = nested.is_some_and(|nested| nested.as_str().ends_with('/'));
        let home = if has_slash || base.is_empty() {
            format!("{base}/")
        } else {
            base.clone()
        };
        let path = path.trim_start_matches('/').split('/').skip(1);
        let query = parts.uri.query().unwrap_or_default();
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(
            &format!("/?{query}").parse().unwrap_or_default(),
        );
        Self {
            base,
            home,
            path: path.map(str::to_owned).collect(),
            query: query.map(|it| it.0).unwrap_or_default(),
        }
    }

    /// What was said of this, the last where it was said more than once.
    fn get(&self, name: &str) -> Option<&str> {
        let mut query = self.query.iter().rev();
        query
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
    }

    /// The path of one of the pages.
    fn link(&self, page: &str) -> String {
        format!("{}{page}", self.base)
    }

    /// The path of a route's page.
    fn route(&self, name: &str) -> String {
        self.link(&format!("/route?name={}", layout::encoded(name)))
    }
}

type Show = fn(&Page, &Asked) -> Result<Response, Refused>;

/// A page that this shows, to who may see it. What is made for it is in no request's figures.
fn shown(show: Show) -> MethodRouter<Page> {
    get(async move |State(page): State<Page>, parts: Parts| {
        let asked = Asked::of(&parts);
        let allowed = page.rule.may_see(&parts);
        let answer = move || {
            let allowed = allowed.map_err(|why| Refused(StatusCode::FORBIDDEN, why.to_owned()));
            let shown = allowed.and_then(|()| show(&page, &asked));
            shown.unwrap_or_else(|refused| refused.page(&asked))
        };
        let mut response = aside(move || alloc_counter::exclude(answer)).await;
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
    })
}

/// A large page takes some ten milliseconds, in which no other request is to wait.
async fn aside(answer: impl FnOnce() -> Response + Send + 'static) -> Response {
    if tokio::runtime::Handle::try_current().is_err() {
        return answer();
    }
    let answered = tokio::task::spawn_blocking(answer).await;
    answered.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

impl Refused {
    fn page(self, asked: &Asked) -> Response {
        let Self(status, why) = self;
        let reason = status.canonical_reason().unwrap_or_default();
        let content = maud::html! {
            h1 { (status.as_u16()) " " (reason) }
            p { (why) }
        };
        (status, layout::page(asked, reason, None, &content)).into_response()
    }
}

/// A number in the path or the query.
fn number(text: &str, of: &str) -> Result<u64, Refused> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        Refused(
            StatusCode::BAD_REQUEST,
            format!("“{shown}” is no {of}: expected a whole number"),
        )
    })
}
