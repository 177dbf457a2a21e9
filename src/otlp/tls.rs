//! TLS to a collector, by rustls.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Protocol;
use super::certificates::{Certificates, Identity};
use super::environment::Found;
use super::error::SettingError;

/// Makes streams to one collector that are encrypted.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    is_http2: bool,
}

impl Tls {
    /// Reads the files. The error names the setting and its file.
    pub(super) fn new(
        host: &str,
        protocol: Protocol,
        files: &Certificates,
        endpoint: &Found,
    ) -> Result<Self, SettingError> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| endpoint.error("a URL with a name that certificates have"))?;
        let roots = match &files.authority {
            Some(found) => given_roots(found)?,
            None => roots_of_the_system(endpoint)?,
        };
        // Named, so that it does not matter which others the program has.
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|why| endpoint.error(&format!("versions of TLS: {why}")))?
            .with_root_certificates(roots);
        let mut config = match &files.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = read(identity)?;
                let config = config.with_client_auth_cert(chain, key);
                config.map_err(|why| {
                    let expected = format!("the key of {}", identity.certificate.value);
                    because(&identity.key, &expected, why)
                })?
            }
        };
        let is_http2 = protocol == Protocol::Grpc;
        let spoken: &[u8] = if is_http2 { H2 } else { b"http/1.1" };
        config.alpn_protocols = vec![spoken.to_vec()];
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
            is_http2,
        })
    }

    /// Does the handshake.
    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        let spoken = stream.get_ref().1.alpn_protocol();
        if self.is_http2 && spoken != Some(H2) {
            return Err(io::Error::other("the collector offers no HTTP/2 (ALPN)"));
        }
        Ok(stream)
    }
}

const H2: &[u8] = b"h2";

fn given_roots(found: &Found) -> Result<RootCertStore, SettingError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(found)? {
        let added = roots.add(certificate);
        added.map_err(|why| because(found, CERTIFICATES, why))?;
    }
    Ok(roots)
}

fn roots_of_the_system(endpoint: &Found) -> Result<RootCertStore, SettingError> {
    let mut roots = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    // Many systems have some that are malformed.
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let expected = "an authority's certificate among those of this system, of which there are \
                        none, or in OTEL_EXPORTER_OTLP_CERTIFICATE";
        return Err(match loaded.errors.first() {
            Some(why) => because(endpoint, expected, why),
            None => endpoint.error(expected),
        });
    }
    Ok(roots)
}

type Chain = Vec<CertificateDer<'static>>;

fn read(identity: &Identity) -> Result<(Chain, PrivateKeyDer<'static>), SettingError> {
    let key = PrivateKeyDer::from_pem_file(path(&identity.key));
    let key = key.map_err(|why| because(&identity.key, "a file with a private key in PEM", why))?;
    Ok((chain(&identity.certificate)?, key))
}

/// Returns the certificates of a file, of which there is one at least.
fn chain(found: &Found) -> Result<Chain, SettingError> {
    let certificates = CertificateDer::pem_file_iter(path(found)).and_then(Iterator::collect);
    match certificates {
        Ok(chain) if Chain::is_empty(&chain) => {
            Err(because(found, CERTIFICATES, pem::Error::NoItemsFound))
        }
        read => read.map_err(|why| because(found, CERTIFICATES, why)),
    }
}

const CERTIFICATES: &str = "a file with certificates in PEM";

fn path(found: &Found) -> PathBuf {
    PathBuf::from(&found.value)
}

fn because(found: &Found, expected: &str, why: impl Display) -> SettingError {
    found.error(&format!("{expected}: {why}"))
}
