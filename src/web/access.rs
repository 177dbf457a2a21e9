//! Who may see the page.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::header;
use axum::http::request::Parts;

pub(super) enum Rule {
    Loopback,
    Own(Arc<MaySee>),
}

pub(super) type MaySee = dyn Fn(&Parts) -> bool + Send + Sync;

/// Which a proxy sets.
const OF_PROXIES: [&str; 5] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
    "via",
];

impl Rule {
    /// Otherwise, why not.
    pub(super) fn may_see(&self, parts: &Parts) -> Result<(), &'static str> {
        match self {
            Self::Own(may_see) if may_see(parts) => Ok(()),
            Self::Own(_) => Err("This page is not for you."),
            Self::Loopback => {
                let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>()
                else {
                    return Err("It is not known who asks: serve the application with \
                        into_make_service_with_connect_info::<SocketAddr>(), or give a rule.");
                };
                if !peer.ip().to_canonical().is_loopback() {
                    return Err("This page is shown on the machine itself only.");
                }
                if OF_PROXIES
                    .iter()
                    .any(|name| parts.headers.contains_key(*name))
                {
                    return Err("This page is not shown through a proxy.");
                }
                if !is_local(parts) {
                    return Err(
                        "This page is shown under a name of the machine itself only, \
                        such as localhost.",
                    );
                }
                Ok(())
            }
        }
    }
}

/// Whether the name that was asked for is one for the machine itself.
fn is_local(parts: &Parts) -> bool {
    let of_header = parts
        .headers
        .get(header::HOST)
        .and_then(|it| it.to_str().ok());
    let asked = parts.uri.host().or(of_header).unwrap_or_default();
    let host = match asked.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => asked.split(':').next().unwrap_or_default(),
    };
    let is_name =
        host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    is_name
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|it| it.is_loopback())
}
