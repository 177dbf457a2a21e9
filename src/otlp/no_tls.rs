//! In place of `tls.rs`, without the feature `otlp-tls`.

use std::io;

use tokio::net::TcpStream;

use super::Protocol;
use super::certificates::Certificates;
use super::environment::Found;
use super::error::SettingError;

/// There is none.
pub(super) enum Tls {}

impl Tls {
    pub(super) fn new(
        _: &str,
        _: Protocol,
        _: &Certificates,
        endpoint: &Found,
    ) -> Result<Self, SettingError> {
        Err(endpoint.error(super::endpoint::WITHOUT_TLS))
    }

    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn connect(&self, _: TcpStream) -> io::Result<TcpStream> {
        match *self {}
    }
}
