//! A request for a page: its path, its query, and the addresses of other pages; or why it is refused.

use std::borrow::Cow;
use std::sync::OnceLock;

use axum::extract::{NestedPath, OriginalUri};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::when::When;

/// A request for a page.
pub(super) struct Asked {
    /// The path under which the page is mounted, which is also the overview's.
    pub(super) base: String,
    pub(super) home: String,
    /// The whole path.
    pub(super) here: String,
    /// The parameters of the path.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) raw_query: String,
    /// Below the page's address.
    pub(super) raw_path: String,
    /// Whether the response is JSON.
    pub(super) is_json: bool,
    /// Of the moment at which the page is made.
    pub(super) when: OnceLock<When>,
    /// Whether the page is of files, and not of a recorder.
    pub(super) is_of_files: bool,
}

/// Error that is shown instead of a page: its status and the reason.
pub(super) struct Refused(pub(super) StatusCode, pub(super) String);

impl Asked {
    pub(super) fn of(parts: &Parts) -> Self {
        let path = parts.uri.path();
        let asked = parts.extensions.get::<OriginalUri>();
        let asked = asked.map_or(path, |asked| asked.0.path());
        // A path that begins with two slashes would be another host's address.
        let here = format!("/{}", asked.trim_start_matches('/'));
        // From the request, as the path where the page is mounted may have parameters.
        let base = asked.strip_suffix(path).unwrap_or(asked);
        let base = base.trim_end_matches('/').to_owned();
        let nested = parts.extensions.get::<NestedPath>();
        let has_slash = nested.is_some_and(|nested| nested.as_str().ends_with('/'));
        let home = if has_slash || base.is_empty() {
            format!("{base}/")
        } else {
            base.clone()
        };
        let raw_path = path.to_owned();
        let path = path.trim_start_matches('/').split('/').skip(1);
        let raw_query = parts.uri.query().unwrap_or_default();
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(
            &format!("/?{raw_query}").parse().unwrap_or_default(),
        );
        let mut asked = Self {
            base,
            home,
            here,
            path: path.map(str::to_owned).collect(),
            query: query.map(|it| it.0).unwrap_or_default(),
            raw_query: raw_query.to_owned(),
            raw_path,
            is_json: false,
            when: OnceLock::new(),
            is_of_files: false,
        };
        asked.is_json = match asked.get("format") {
            Some(format) => format == "json",
            None => accepts_json(&parts.headers),
        };
        asked
    }

    /// Returns the rest of the path, decoded.
    pub(super) fn rest(&self, after: &str) -> Result<String, Refused> {
        let rest = self.raw_path.strip_prefix(after).unwrap_or_default();
        let rest = percent_decode_str(rest).decode_utf8();
        rest.map(Cow::into_owned).map_err(|_| {
            let why = format!("expected UTF-8, percent-encoded, after {after}");
            Refused(StatusCode::BAD_REQUEST, why)
        })
    }

    /// Returns the moment at which the page is made: that of the first call.
    pub(super) fn when(&self) -> &When {
        self.when.get_or_init(When::now)
    }

    /// Returns the value of a query parameter, the last one if it is repeated.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut query = self.query.iter().rev();
        query
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
    }

    /// Returns this address without one of the parameters.
    pub(super) fn without(&self, parameter: &str) -> String {
        let query = self.query.iter().filter(|(name, _)| name != parameter);
        let query: Vec<_> = query
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        match &*query.join("&") {
            "" => self.here.clone(),
            query => format!("{}?{query}", self.here),
        }
    }

    /// Returns the path of one of the pages.
    pub(super) fn link(&self, page: &str) -> String {
        format!("{}{page}", self.base)
    }

    /// Returns the path of a request's page.
    pub(super) fn trace(&self, trace: u64) -> String {
        self.link(&format!("/trace/{trace}"))
    }

    /// Returns the path of a route's page.
    pub(super) fn route(&self, name: &str) -> String {
        self.link(&format!("/route?name={}", encoded(name)))
    }
}

/// Returns whether a client asks for JSON and not, as browsers do, for HTML.
fn accepts_json(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).into_iter();
    let ranges = values
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','));
    let types = ranges.map(|it| it.split(';').next().unwrap_or_default().trim());
    let (mut json, mut html) = (false, false);
    for it in types {
        json |= it.eq_ignore_ascii_case("application/json");
        html |= it.eq_ignore_ascii_case("text/html");
    }
    json && !html
}

/// Encodes a text as a query's value: all but letters and digits as percent-encoded bytes.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Parses a number of the path or the query.
pub(super) fn number<T: std::str::FromStr>(text: &str, of: &str) -> Result<T, Refused> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        Refused(
            StatusCode::BAD_REQUEST,
            format!("“{shown}” is no {of}: expected a whole number"),
        )
    })
}
