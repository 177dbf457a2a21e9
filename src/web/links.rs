//! Links from a request to other tools: Jaeger, Sentry, a log viewer.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use axum::http::Uri;
use maud::{Markup, html};

use crate::primitives::text::character_boundary;
use crate::report::escape::Escaped;
use crate::store::ids::TraceId;

use super::asked::encoded;
use super::layout::shown;

/// Longer templates and names are refused.
const MOST_BYTES: usize = 2048;

/// The links of a page.
#[derive(Clone, Default)]
pub(super) struct Links(Arc<[Link]>);

#[derive(Clone)]
struct Link {
    name: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    TraceId,
    RequestId,
}

impl Part {
    /// Returns the placeholder that stands between braces.
    fn of(name: &str) -> Option<Self> {
        match name {
            "trace_id" => Some(Self::TraceId),
            "request_id" => Some(Self::RequestId),
            _ => None,
        }
    }
}

/// Why a [link](super::Page::link) was refused: see the message. It names the template, the place in it and what was
/// expected, or the name, its length and the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkError(Refused);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Refused {
    Name(String),
    Template(Malformed),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Malformed {
    template: String,
    /// The byte, if the problem is at one.
    at: Option<usize>,
    expected: &'static str,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Refused::Name(name) => {
                let start = &name[..character_boundary(name.as_bytes(), 100)];
                write!(
                    f,
                    "the link name \"{}…\" has {} bytes: expected {MOST_BYTES} bytes at most",
                    Escaped(start),
                    name.len(),
                )
            }
            Refused::Template(malformed) => malformed.fmt(f),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let template: String = self.template.chars().take(MOST_BYTES).collect();
        write!(f, "the link template \"{}\"", Escaped(&template))?;
        match self.at {
            Some(at) => write!(f, " is malformed at byte {}", at + 1)?,
            None => f.write_str(" is malformed")?,
        }
        write!(f, ": expected {}", self.expected)
    }
}

impl std::error::Error for LinkError {}

impl Links {
    pub(super) fn add(&mut self, name: &str, template: &str) -> Result<(), LinkError> {
        if name.len() > MOST_BYTES {
            return Err(LinkError(Refused::Name(name.to_owned())));
        }
        let parts = parts(template).map_err(|it| LinkError(Refused::Template(it)))?;
        let link = Link {
            name: name.to_owned(),
            parts,
        };
        self.0 = self.0.iter().cloned().chain([link]).collect();
        Ok(())
    }

    /// Makes the links of a request, those for which it has all values.
    pub(super) fn of(&self, trace_id: Option<TraceId>, request_id: Option<&str>) -> Markup {
        let address = |link: &Link| link.address(trace_id, request_id);
        let links = { self.0.iter() }.filter_map(|link| Some((&link.name, address(link)?)));
        html! {
            @for (name, address) in links {
                " " a href=(address) rel="noreferrer noopener" { (shown(name)) }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Link {
    fn address(&self, trace_id: Option<TraceId>, request_id: Option<&str>) -> Option<String> {
        let mut address = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => address.push_str(text),
                // Digits only.
                Part::TraceId => write!(address, "{}", trace_id?).ok()?,
                Part::RequestId => address.push_str(&encoded(request_id?)),
            }
        }
        Some(address)
    }
}

/// Returns whether an address without a path names a host, with or without a port, and no user.
fn is_host(address: &str) -> bool {
    let uri = address.parse::<Uri>();
    uri.is_ok_and(|uri| {
        let Some((host, all)) = uri.host().zip(uri.authority()) else {
            return false;
        };
        let port = all.port_u16().map(|port| format!("{host}:{port}"));
        !host.is_empty() && (all == host || port.is_some_and(|it| all == &*it))
    })
}

/// Splits a template at its placeholders.
fn parts(template: &str) -> Result<Vec<Part>, Malformed> {
    let wrong = |at: Option<usize>, expected| Malformed {
        template: template.to_owned(),
        at,
        expected,
    };
    if template.len() > MOST_BYTES {
        return Err(wrong(None, "2048 bytes at most"));
    }
    let scheme = ["https://", "http://"].into_iter();
    let scheme = { scheme }.find(|it| {
        { template.get(..it.len()) }.is_some_and(|start| start.eq_ignore_ascii_case(it))
    });
    let Some(scheme) = scheme else {
        return Err(wrong(Some(0), "http:// or https://"));
    };
    let host = scheme.len();
    // A value that clients choose is no host.
    let path = template[host..]
        .find(['/', '?', '#'])
        .map_or(template.len(), |at| host + at);
    if let Some(at) = template[host..path].find(['{', '}']) {
        return Err(wrong(Some(host + at), "a host without placeholders"));
    }
    if !is_host(&template[..path]) {
        return Err(wrong(Some(host), "a host, with or without a port"));
    }
    let is_allowed =
        |it: char| it.is_ascii_graphic() && !matches!(it, '"' | '<' | '>' | '\\' | '^' | '`' | '|');
    if let Some(at) = template.find(|it| !is_allowed(it)) {
        return Err(wrong(
            Some(at),
            "a character of a URL, or its percent-encoded bytes",
        ));
    }
    let placeholder = "{trace_id} or {request_id}";
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let place = template.len() - rest.len() + at;
        let inside = rest[at..]
            .strip_prefix('{')
            .and_then(|it| it.split_once('}'));
        let part = inside.and_then(|(name, after)| Some((Part::of(name)?, after)));
        let (part, after) = part.ok_or_else(|| wrong(Some(place), placeholder))?;
        parts.push(Part::Text(rest[..at].to_owned()));
        parts.push(part);
        rest = after;
    }
    if parts.is_empty() {
        return Err(wrong(None, placeholder));
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_template_is_refused_with_its_place() {
        for (template, at, expected) in [
            ("", Some(0), "http:// or https://"),
            (
                "javascript:alert({trace_id})",
                Some(0),
                "http:// or https://",
            ),
            ("//jaeger/{trace_id}", Some(0), "http:// or https://"),
            ("https://", Some(8), "a host, with or without a port"),
            (
                "https:///{trace_id}",
                Some(8),
                "a host, with or without a port",
            ),
            (
                "https://{request_id}/",
                Some(8),
                "a host without placeholders",
            ),
            (
                "https://a.{trace_id}",
                Some(10),
                "a host without placeholders",
            ),
            (
                "https://a:port/{trace_id}",
                Some(8),
                "a host, with or without a port",
            ),
            (
                "https://user@a/{trace_id}",
                Some(8),
                "a host, with or without a port",
            ),
            ("https://a/{trace}", Some(10), "{trace_id} or {request_id}"),
            (
                "https://a/{trace_id",
                Some(10),
                "{trace_id} or {request_id}",
            ),
            (
                "https://a/trace_id}",
                Some(18),
                "{trace_id} or {request_id}",
            ),
            ("https://a/{}", Some(10), "{trace_id} or {request_id}"),
            ("https://a/", None, "{trace_id} or {request_id}"),
            (
                "https://a/\"{trace_id}",
                Some(10),
                "a character of a URL, or its percent-encoded bytes",
            ),
            (
                "https://a/é/{trace_id}",
                Some(10),
                "a character of a URL, or its percent-encoded bytes",
            ),
        ] {
            let error = parts(template).unwrap_err();
            assert_eq!((error.at, error.expected), (at, expected), "{template}");
        }
        assert_eq!(
            parts("https://a/\n{trace_id}").unwrap_err().to_string(),
            "the link template \"https://a/\\n{trace_id}\" is malformed at byte 11: \
             expected a character of a URL, or its percent-encoded bytes"
        );
        assert!(parts(&format!("https://a/{{trace_id}}{}", "x".repeat(MOST_BYTES))).is_err());
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let mut links = Links::default();
        let template = "https://a/{trace_id}";
        assert_eq!(links.add(&"n".repeat(2048), template), Ok(()));
        assert_eq!(
            links
                .add(&"é".repeat(1025), template)
                .unwrap_err()
                .to_string(),
            format!(
                "the link name \"{}…\" has 2050 bytes: expected 2048 bytes at most",
                "é".repeat(50)
            )
        );
        assert_eq!(links.0.len(), 1);
    }

    #[test]
    fn values_stand_where_their_placeholders_are() {
        let template = "HTTP://a:8080?id={request_id}&trace={trace_id}#{trace_id}";
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(
            parts(template).unwrap(),
            [
                text("HTTP://a:8080?id="),
                Part::RequestId,
                text("&trace="),
                Part::TraceId,
                text("#"),
                Part::TraceId,
                text("")
            ]
        );
    }
}
