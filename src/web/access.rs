//! Access: who may see the page.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use percent_encoding::percent_decode_str;

use super::asked::encoded;
use super::token::Token;
use super::{Asked, Refused};

pub(super) enum AccessRule {
    /// Clients on this machine with this token.
    Token(Token),
    /// The program's own rule.
    Custom(Arc<MaySee>),
}

pub(super) type MaySee = dyn Fn(&Parts) -> bool + Send + Sync;

/// What an authorised client gets.
pub(super) enum Admitted {
    Shown,
    /// The token is in the address: sets the cookie and redirects to the address without the token.
    WithCookie(HeaderValue),
}

/// Headers that proxies set.
const OF_PROXIES: [&str; 18] = [
    "cdn-loop",
    "client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "forwarded",
    "proxy-client-ip",
    "true-client-ip",
    "via",
    "wl-proxy-client-ip",
    "x-amz-cf-id",
    "x-amzn-trace-id",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-varnish",
];
/// Prefixes of such headers.
const BEGINNINGS: [&str; 7] = [
    "cf-",
    "l5d-",
    "tailscale-",
    "x-arr-",
    "x-azure-",
    "x-envoy-",
    "x-forwarded",
];

/// The query parameter that holds the token.
pub(super) const TOKEN: &str = "token";

impl AccessRule {
    pub(super) fn admit(&self, parts: &Parts, asked: &Asked) -> Result<Admitted, Refused> {
        match self {
            Self::Custom(may_see) if may_see(parts) => Ok(Admitted::Shown),
            Self::Custom(_) => Err(forbidden("This page is not for you.")),
            Self::Token(token) => {
                on_this_machine(parts).map_err(forbidden)?;
                with_token(token, parts, asked)
            }
        }
    }
}

fn forbidden(why: &str) -> Refused {
    Refused(StatusCode::FORBIDDEN, why.to_owned())
}

fn with_token(token: &Token, parts: &Parts, asked: &Asked) -> Result<Admitted, Refused> {
    let name = cookie_name(parts);
    let is_known = bearer(&parts.headers).is_some_and(|given| token.is(given))
        || cookies(&parts.headers, &name).any(|given| token.is(&given));
    let refused = |why: &str| Refused(StatusCode::UNAUTHORIZED, why.to_owned());
    match asked.get(TOKEN) {
        Some(given) if is_known || token.is(given) => {
            // This would end the path within the cookie.
            let path = if asked.base.is_empty() || asked.base.contains(';') {
                "/"
            } else {
                &asked.base
            };
            let value = encoded(token.as_str());
            let cookie = format!("{name}={value}; Path={path}; HttpOnly; SameSite=Strict");
            let cookie = HeaderValue::from_str(&cookie);
            cookie
                .map(Admitted::WithCookie)
                .map_err(|_| refused("This page has no address for a cookie."))
        }
        Some(_) => Err(refused(
            "This is not the page's token: it may be that of an earlier start.",
        )),
        None if is_known => Ok(Admitted::Shown),
        None => Err(refused(
            "This page asks for its token: open the address that was printed at the service's start.",
        )),
    }
}

/// Returns the cookie's name. Browsers share the cookies of all ports, so each port has its own name.
fn cookie_name(parts: &Parts) -> String {
    let port = authority(parts).and_then(|it| it.port_u16());
    port.map_or_else(|| "tracer".to_owned(), |port| format!("tracer-{port}"))
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let headers = headers.get_all(header::COOKIE).into_iter();
    let cookies = headers
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(';'));
    cookies.filter_map(move |it| {
        let (_, value) = it.trim().split_once('=').filter(|(it, _)| *it == name)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    })
}

/// Returns the token in the header `Authorization`, as programs send it.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start())
}

fn on_this_machine(parts: &Parts) -> Result<(), &'static str> {
    let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
        return Err("It is not known who asks: serve the application with \
            into_make_service_with_connect_info::<SocketAddr>(), or give a rule.");
    };
    if !peer.ip().to_canonical().is_loopback() {
        return Err("This page is shown on the machine itself only.");
    }
    // nginx's default for upstreams; no browser uses it.
    let is_old = parts.version < Version::HTTP_11;
    if is_old || parts.headers.keys().any(is_of_proxies) {
        return Err("This page is not shown through a proxy.");
    }
    if !is_local(parts) {
        return Err(
            "This page is shown under a name of the machine itself only, \
            such as localhost.",
        );
    }
    let from = parts.headers.get("sec-fetch-site");
    if from.is_some_and(|from| from.as_bytes() == b"cross-site") {
        return Err("This page is not shown within another site's, nor by a link from there.");
    }
    Ok(())
}

fn is_of_proxies(name: &HeaderName) -> bool {
    let name = name.as_str();
    OF_PROXIES.contains(&name) || BEGINNINGS.iter().any(|it| name.starts_with(it))
}

/// Returns the host name and port that were asked for.
fn authority(parts: &Parts) -> Option<Authority> {
    let of_header = parts.headers.get(header::HOST);
    let of_header = of_header.and_then(|it| Authority::try_from(it.as_bytes()).ok());
    parts.uri.authority().cloned().or(of_header)
}

/// Returns whether the host name is one of the machine itself.
fn is_local(parts: &Parts) -> bool {
    let Some(asked) = authority(parts) else {
        return false;
    };
    let host = asked.host().to_ascii_lowercase();
    let host = host.trim_end_matches('.');
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_address = |it: IpAddr| it.to_canonical().is_loopback();
    host == "localhost" || host.ends_with(".localhost") || address.parse().is_ok_and(is_address)
}
