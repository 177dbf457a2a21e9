//! Who may see the page.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::header;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderName, Version};

pub(super) enum Rule {
    Loopback,
    Own(Arc<MaySee>),
}

pub(super) type MaySee = dyn Fn(&Parts) -> bool + Send + Sync;

/// Which proxies set.
const OF_PROXIES: [&str; 7] = [
    "cf-connecting-ip",
    "client-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-real-ip",
];
/// How those begin of which there are many.
const BEGINNINGS: [&str; 3] = ["l5d-", "x-envoy-", "x-forwarded"];

impl Rule {
    /// Otherwise, why not.
    pub(super) fn may_see(&self, parts: &Parts) -> Result<(), &'static str> {
        match self {
            Self::Own(may_see) if may_see(parts) => Ok(()),
            Self::Own(_) => Err("This page is not for you."),
            Self::Loopback => on_this_machine(parts),
        }
    }
}

fn on_this_machine(parts: &Parts) -> Result<(), &'static str> {
    let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
        return Err("It is not known who asks: serve the application with \
            into_make_service_with_connect_info::<SocketAddr>(), or give a rule.");
    };
    if !peer.ip().to_canonical().is_loopback() {
        return Err("This page is shown on the machine itself only.");
    }
    // As nginx asks, unless it is told otherwise; no browser does.
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

/// Whether the name that was asked for is one for the machine itself.
fn is_local(parts: &Parts) -> bool {
    let of_header = parts.headers.get(header::HOST);
    let of_header = of_header.and_then(|it| Authority::try_from(it.as_bytes()).ok());
    let Some(asked) = parts.uri.authority().cloned().or(of_header) else {
        return false;
    };
    let host = asked.host().to_ascii_lowercase();
    let host = host.trim_end_matches('.');
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_address = |it: IpAddr| it.to_canonical().is_loopback();
    host == "localhost" || host.ends_with(".localhost") || address.parse().is_ok_and(is_address)
}
