//! The page of a recorder: what is kept and why, beside what is usual, in any browser.
//!
//! A [`Page`] mounts under any path of an axum service. Print its address when the service starts: it
//! has the token that opens the page.
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
//! // The page is shown on this machine only: the service has to know who asks.
//! let service = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
//! # let _ = service;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who sees it
//!
//! **Whoever has the token**, and nobody else. [`Page::new`] makes a new one at each start,
//! [`Page::with_token`] takes one of yours. [`Page::url`] is an address with the token. The first visit
//! there sets a cookie, which lasts until the browser is closed (`HttpOnly`, `SameSite=Strict`, for the
//! path of the page only), and leads on to the address without the token. Programs send the header
//! `Authorization: Bearer …` instead. Without a token every path of the page answers 401, with a field
//! for the token, and tells nothing of the recorder.
//!
//! **Only on this machine**, in addition. A request is refused with 403 if it
//!
//! - does not come from a loopback address,
//! - asks for a host name other than `localhost` or a loopback address, as a page elsewhere would by a
//!   name of its own,
//! - is of HTTP/1.0, or has a header that proxies set (`forwarded`, `via`, `x-real-ip`, `x-forwarded-…`
//!   and the like),
//! - comes from another site's page or link, by its header `sec-fetch-site`.
//!
//! These checks are no promise: a proxy on this machine that sets no known header, a relay of plain
//! TCP (haproxy in its default mode, stunnel) and a tunnel of SSH look like a person on this machine.
//! What comes through them sees the page only with the token.
//!
//! The token is a secret like a password. It does not hold against somebody who reads the service's
//! output, who listens on the way between a browser and a relay, or who runs another service on this
//! machine that the browser opens: browsers send a cookie to all ports of a host. A log of whole
//! addresses has the token of the first visit; what [`RecorderLayer`](crate::tower::RecorderLayer)
//! records has no queries.
//!
//! To show the page to others, give a rule with [`router_for`]: that decides alone, without a token and
//! from anywhere, and should look at something that no one else can send, such as a session or a
//! client certificate.
//!
//! Nothing on the page changes anything; there are no scripts, and nothing is loaded from elsewhere, to
//! which a `Content-Security-Policy` holds the browser. All that came from outside is shown as text.
//!
//! `nest_service` answers under `/debug/traces` and under `/debug/traces/`, `nest` under the first alone.
//!
//! The paths below that: `/` the overview, `/route?name=…` what was kept of one route,
//! `/trace/N` one request (`/trace/N/text`, `/trace/N/json` and so on in the formats of [`export`](crate::export::Format)),
//! `/hotspots` with a flame graph over all requests of the last minutes, `/in-flight`.

mod access;
mod charts;
mod flames;
mod hotspots;
mod in_flight;
mod layout;
mod overview;
mod requests;
mod route;
mod token;
mod trace;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{NestedPath, OriginalUri, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use crate::recorder::{Recorder, RouteStatistics};

use access::{Admitted, Rule, TOKEN};
use token::Token;

pub use token::TokenError;

/// The page of a recorder, for requests that come from this machine and have the page's token: see the
/// [module](self).
#[derive(Clone)]
pub struct Page {
    recorder: Recorder,
    token: Token,
}

impl Page {
    /// Makes a page with a new token of 128 random bits.
    ///
    /// # Errors
    ///
    /// The operating system gives no random numbers.
    pub fn new(recorder: Recorder) -> Result<Self, TokenError> {
        let token = Token::random()?;
        Ok(Self { recorder, token })
    }

    /// Makes a page with this token, which is the same after each start.
    ///
    /// Choose it at random: all that protects the page is that nobody can guess it.
    ///
    /// # Errors
    ///
    /// The token has fewer than 16 characters.
    ///
    /// ```
    /// # use tracer::{recorder::Recorder, web::Page};
    /// # let recorder = Recorder::builder().start().unwrap();
    /// let error = Page::with_token(recorder, "secret").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the page's token has 6 characters: expected 16 or more"
    /// );
    /// ```
    pub fn with_token(recorder: Recorder, token: &str) -> Result<Self, TokenError> {
        let token = Token::given(token)?;
        Ok(Self { recorder, token })
    }

    /// Returns the token.
    pub fn token(&self) -> &str {
        self.token.as_str()
    }

    /// Returns the address that opens the page, if it is mounted at `address`.
    ///
    /// ```
    /// # use tracer::{recorder::Recorder, web::Page};
    /// # let recorder = Recorder::builder().start().unwrap();
    /// let page = Page::with_token(recorder, "c8de56fa4deed248").unwrap();
    /// assert_eq!(
    ///     page.url("http://127.0.0.1:3000/debug/traces"),
    ///     "http://127.0.0.1:3000/debug/traces?token=c8de56fa4deed248"
    /// );
    /// ```
    pub fn url(&self, address: &str) -> String {
        format!("{address}?{TOKEN}={}", layout::encoded(self.token()))
    }

    /// Returns the routes of the page, to be mounted with
    /// [`nest_service`](axum::Router::nest_service).
    pub fn router<S>(&self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        build(self.recorder.clone(), Rule::Token(self.token.clone()))
    }
}

/// Without the token.
impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

/// Returns the routes of a recorder's page for those to whom `may_see` says yes, and nobody else:
/// there is no token, and it is shown anywhere.
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
    let page = Mounted {
        recorder,
        rule: Arc::new(rule),
    };
    let nowhere = async |State(page), parts| answer(page, parts, nowhere).await;
    let unchanged = async |State(page), parts| answer(page, parts, unchanged).await;
    Router::new()
        .route("/", shown(|page, asked| Ok(overview::page(page, asked))))
        .route("/route", shown(route::page))
        .route("/trace/{number}", shown(trace::page))
        .route("/trace/{number}/{form}", shown(trace::export))
        .route("/hotspots", shown(hotspots::page))
        .route(
            "/in-flight",
            shown(|page, asked| Ok(in_flight::page(page, asked))),
        )
        .route("/icon.svg", shown(|_, _| Ok(layout::icon())))
        .route("/style.css", shown(|_, _| Ok(layout::style())))
        .fallback(nowhere)
        .method_not_allowed_fallback(unchanged)
        .with_state(page)
}

/// A page, where it is mounted.
#[derive(Clone)]
struct Mounted {
    recorder: Recorder,
    rule: Arc<Rule>,
}

impl Mounted {
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
    /// The whole path.
    here: String,
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
        // No other host's, which a path with two slashes would be in an address.
        let here = format!("/{}", asked.trim_start_matches('/'));
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
            here,
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

    /// This address, without one of the parameters.
    fn without(&self, parameter: &str) -> String {
        let query = self.query.iter().filter(|(name, _)| name != parameter);
        let query: Vec<_> = query
            .map(|(name, value)| format!("{}={}", layout::encoded(name), layout::encoded(value)))
            .collect();
        match &*query.join("&") {
            "" => self.here.clone(),
            query => format!("{}?{query}", self.here),
        }
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

type Show = fn(&Mounted, &Asked) -> Result<Response, Refused>;

/// A page that this shows, to who may see it.
fn shown(show: Show) -> MethodRouter<Mounted> {
    get(async move |State(page), parts| answer(page, parts, show).await)
}

fn nowhere(_: &Mounted, _: &Asked) -> Result<Response, Refused> {
    let why = "There is no page at this address.".to_owned();
    Err(Refused(StatusCode::NOT_FOUND, why))
}

fn unchanged(_: &Mounted, _: &Asked) -> Result<Response, Refused> {
    let why = "This page can only be read.".to_owned();
    Err(Refused(StatusCode::METHOD_NOT_ALLOWED, why))
}

/// What this shows, to who may see it. What is made for it is in no request's figures.
async fn answer(page: Mounted, parts: Parts, show: Show) -> Response {
    let asked = Asked::of(&parts);
    let admitted = page.rule.admit(&parts, &asked);
    let answer = move || match admitted {
        Ok(Admitted::Shown) => {
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

    /// For who may not see the page: it says nothing of the recorder, and links to nothing.
    fn page_outside(self, asked: &Asked) -> Response {
        let Self(status, why) = self;
        let reason = status.canonical_reason().unwrap_or_default();
        let asks_for_token = status == StatusCode::UNAUTHORIZED;
        let content = maud::html! {
            h1 { (status.as_u16()) " " (reason) }
            p { (why) }
            @if asks_for_token {
                form action=(asked.here) {
                    label { "Token " input type="password" name=(TOKEN) required autofocus; }
                    " " button { "Open" }
                }
            }
        };
        let mut response = (status, layout::bare(reason, &content)).into_response();
        if asks_for_token {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
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
