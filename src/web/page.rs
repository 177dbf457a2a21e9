//! What a program mounts.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::http::request::Parts;

use crate::recorder::Recorder;

use super::access::{AccessRule, TOKEN};
use super::archive::Archive;
use super::asked::encoded;
use super::build;
use super::links::{LinkError, Links};
use super::source::Source;
use super::token::{Token, TokenError};

/// The page of a recorder, for requests that come from this machine and have the page's token: see the
/// [module](super).
#[derive(Clone)]
pub struct Page {
    source: Source,
    token: Token,
    links: Links,
}

impl Page {
    /// Makes a page with a new token of 128 random bits.
    ///
    /// # Errors
    ///
    /// If the operating system returns no random numbers.
    pub fn new(recorder: Recorder) -> Result<Self, TokenError> {
        Ok(Self::of(Source::Recorder(recorder), Token::random()?))
    }

    /// Makes a page of files, with a new token: what was recorded elsewhere.
    ///
    /// It shows kept requests, as files have no others: no requests in flight, no counts and percentiles of all
    /// requests. Hotspots are those of the kept requests in memory.
    ///
    /// # Errors
    ///
    /// If the operating system returns no random numbers.
    pub fn of_archive(archive: Archive) -> Result<Self, TokenError> {
        Ok(Self::of(Source::Archive(archive), Token::random()?))
    }

    fn of(source: Source, token: Token) -> Self {
        let links = Links::default();
        Self {
            source,
            token,
            links,
        }
    }

    /// Makes a page with this token, for a token that outlives a restart.
    ///
    /// Choose it at random: the page is protected only if nobody can guess it.
    ///
    /// # Errors
    ///
    /// If the token has fewer than 16 characters.
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
        Ok(Self::of(Source::Recorder(recorder), Token::given(token)?))
    }

    /// Adds a link to another tool beside each kept request and on its page: `template` with the values of
    /// `{trace_id}` and `{request_id}`, percent-encoded. A request without an id has no link that needs it.
    ///
    /// The links don't tell the other tool where they are.
    ///
    /// # Errors
    ///
    /// If the template is no `http` or `https` address, has no placeholder or another one, or has one in its host; if
    /// the name or the template has more than 2,048 bytes.
    ///
    /// ```
    /// # use tracer::{recorder::Recorder, web::Page};
    /// # let recorder = Recorder::builder().start().unwrap();
    /// let page = Page::new(recorder)?
    ///     .link("Jaeger", "https://jaeger.example/trace/{trace_id}")?
    ///     .link("Sentry", "https://sentry.example/issues/?query=request_id:{request_id}")?;
    ///
    /// let error = page.link("Jaeger", "https://jaeger.example/trace/{traceid}").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the link template \"https://jaeger.example/trace/{traceid}\" is malformed at byte 30: \
    ///      expected {trace_id} or {request_id}"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn link(mut self, name: &str, template: &str) -> Result<Self, LinkError> {
        self.links.add(name, template)?;
        Ok(self)
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
        format!("{address}?{TOKEN}={}", encoded(self.token()))
    }

    /// Returns the routes of the page, to be mounted with
    /// [`nest_service`](axum::Router::nest_service).
    pub fn router<S>(&self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        build(
            self.source.clone(),
            AccessRule::Token(self.token.clone()),
            self.links.clone(),
        )
    }

    /// Returns the routes of the page, which serve exactly the requests for which `may_see` returns `true`, as
    /// those of [`router_for`] do, with the page's [links](Self::link).
    pub fn router_for<S>(
        &self,
        may_see: impl Fn(&Parts) -> bool + Send + Sync + 'static,
    ) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let rule = AccessRule::Custom(Arc::new(may_see));
        build(self.source.clone(), rule, self.links.clone())
    }
}

/// Does not show the token.
impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

/// Returns the routes of a recorder's page that serve exactly the requests for which `may_see` returns
/// `true`: without a token, and to any address.
pub fn router_for<S>(
    recorder: Recorder,
    may_see: impl Fn(&Parts) -> bool + Send + Sync + 'static,
) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let rule = AccessRule::Custom(Arc::new(may_see));
    build(Source::Recorder(recorder), rule, Links::default())
}
