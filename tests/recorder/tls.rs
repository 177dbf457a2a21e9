//! Kept requests sent to a collector behind TLS, with certificates made here.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tracer::otlp::{Builder, Exporter, Protocol};

use crate::PATIENCE;
use crate::collector::{Asked, app, decode};
use crate::otlp::{counts, expected, exporter, failed, recorder, sink, spans};

/// Files of an authority, and of a certificate for `localhost` that it has signed.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = folder.path().display().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let files = Self { folder };
        std::fs::write(files.path("authority"), authority.pem()).unwrap();
        std::fs::write(files.path("certificate"), certificate.pem()).unwrap();
        std::fs::write(files.path("key"), key.serialize_pem()).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Returns the exporter to this collector, which believes this authority.
    fn exporter(&self, address: SocketAddr, protocol: Protocol) -> Builder {
        exporter(&format!("https://localhost:{}", address.port()))
            .protocol(protocol)
            .certificate(&self.text("authority"))
    }

    fn collector(&self, spoken: &[u8], asks_who: bool) -> (SocketAddr, Asked) {
        self.collector_on(TcpListener::bind("127.0.0.1:0").unwrap(), spoken, asks_who)
    }

    /// Starts a collector here with this certificate, which speaks this protocol of ALPN. It may ask who connects.
    fn collector_on(
        &self,
        listener: TcpListener,
        spoken: &[u8],
        asks_who: bool,
    ) -> (SocketAddr, Asked) {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = if asks_who {
            let mut roots = RootCertStore::empty();
            let authority = CertificateDer::from_pem_file(self.path("authority"));
            roots.add(authority.unwrap()).unwrap();
            let who = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            config.with_client_cert_verifier(who.build().unwrap())
        } else {
            config.with_no_client_auth()
        };
        let certificate = CertificateDer::from_pem_file(self.path("certificate")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.path("key")).unwrap();
        let mut config = config.with_single_cert(vec![certificate], key).unwrap();
        if !spoken.is_empty() {
            config.alpn_protocols = vec![spoken.to_vec()];
        }
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let asked = Asked::default();
        let app = app(false, Arc::clone(&asked));
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let listener = Encrypted(listener, acceptor);
                axum::serve(listener, app).await.unwrap();
            });
        });
        (address, asked)
    }
}

struct Encrypted(tokio::net::TcpListener, TlsAcceptor);

impl axum::serve::Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, from) = self.0.accept().await.unwrap();
            // Those that do not like the certificate.
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[test]
fn the_spans_arrive_over_http_and_grpc() {
    let files = Files::new();
    for (protocol, spoken, name) in [
        (Protocol::HttpProtobuf, &b"http/1.1"[..], "https"),
        // Many servers of HTTP/1.1 do not say so.
        (Protocol::HttpProtobuf, b"", "https"),
        (Protocol::Grpc, b"h2", "grpcs"),
    ] {
        let (address, asked) = files.collector(spoken, false);
        let recorder = recorder(files.exporter(address, protocol));
        for _ in 0..3 {
            failed(&recorder);
            assert!(recorder.flush(PATIENCE));
        }
        assert_eq!(counts(&recorder), (3, 0, 0, 0));
        let path = if protocol == Protocol::Grpc {
            ""
        } else {
            "/v1/traces"
        };
        let expected_name = format!("OTLP {name}://localhost:{}{path}", address.port());
        assert_eq!(sink(&recorder).name, expected_name);
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let message = |body: &[u8]| body[if protocol == Protocol::Grpc { 5 } else { 0 }..].to_vec();
        let arrived = { asked.iter() }.flat_map(|ask| spans(decode(&message(&ask.body))));
        assert_eq!(arrived.collect::<Vec<_>>(), expected(&recorder));
    }
}

#[test]
fn a_collector_is_told_who_connects_if_it_asks() {
    let files = Files::new();
    let (address, _) = files.collector(b"h2", true);
    let exporter = files.exporter(address, Protocol::Grpc);
    let exporter = exporter.client_certificate(&files.text("certificate"), &files.text("key"));
    let known = recorder(exporter);
    failed(&known);
    assert!(known.flush(PATIENCE));
    assert_eq!(counts(&known), (1, 0, 0, 0));

    let unknown = recorder(
        files
            .exporter(address, Protocol::Grpc)
            .retry_for(Duration::ZERO),
    );
    failed(&unknown);
    assert!(unknown.flush(PATIENCE));
    assert_eq!(counts(&unknown), (0, 1, 0, 0));
}

/// Returns why a request to it is given up.
fn given_up(exporter: Builder) -> String {
    let recorder = recorder(exporter.retry_for(Duration::ZERO));
    failed(&recorder);
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (0, 1, 0, 0));
    sink(&recorder).last_error.unwrap()
}

#[test]
fn what_is_not_the_collector_gets_nothing() {
    let (files, others) = (Files::new(), Files::new());
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        let spoken: &[u8] = if protocol == Protocol::Grpc {
            b"h2"
        } else {
            b""
        };
        let (address, asked) = files.collector(spoken, false);
        assert_eq!(
            given_up(others.exporter(address, protocol)),
            "given up: TLS: invalid peer certificate: UnknownIssuer"
        );
        let url = format!("https://127.0.0.1:{}", address.port());
        let by_address = files.exporter(address, protocol).endpoint(&url);
        let why = given_up(by_address);
        let expected = "given up: TLS: invalid peer certificate: certificate not valid for name";
        assert!(why.starts_with(expected), "{why}");
        assert_eq!(asked.lock().unwrap().len(), 0);
    }
}

#[test]
fn a_handshake_that_fails_is_tried_again() {
    let files = Files::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let recorder = recorder(files.exporter(address, Protocol::Grpc));
    failed(&recorder);
    drop(listener.accept().unwrap());
    while sink(&recorder).last_error.is_none() {
        std::thread::yield_now();
    }
    assert_eq!(counts(&recorder), (0, 0, 0, 1));
    let why = sink(&recorder).last_error.unwrap();
    assert!(why.starts_with("TLS: "), "{why}");
    let (_, asked) = files.collector_on(listener, b"h2", false);
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (1, 0, 0, 0));
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[test]
fn a_collector_without_tls_or_without_http2_is_told_apart() {
    let files = Files::new();
    // As most servers of HTTP/1.1 answer what they can't read.
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::io::Write::write_all(&mut stream, answer).unwrap();
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    assert_eq!(
        given_up(files.exporter(address, Protocol::HttpProtobuf)),
        "given up: TLS: received corrupt message of type InvalidContentType"
    );

    let (address, asked) = files.collector(b"", false);
    assert_eq!(
        given_up(files.exporter(address, Protocol::Grpc)),
        "given up: TLS: the collector offers no HTTP/2 (ALPN)"
    );
    let (address, _) = files.collector(b"http/1.1", false);
    let why = given_up(files.exporter(address, Protocol::Grpc));
    assert_eq!(
        why,
        "given up: TLS: received fatal alert: NoApplicationProtocol"
    );
    assert_eq!(asked.lock().unwrap().len(), 0);
}

#[test]
fn a_handshake_that_never_ends_blocks_nothing() {
    let files = Files::new();
    // Linux accepts for it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        let exporter = files.exporter(address, protocol);
        assert_eq!(
            given_up(exporter.timeout(Duration::from_millis(50))),
            "given up: no answer within 50 ms"
        );
        let hanging = recorder(files.exporter(address, protocol));
        failed(&hanging);
        assert!(!hanging.flush(Duration::from_millis(50)));
        assert_eq!(counts(&hanging), (0, 0, 0, 1));
        assert!(hanging.shut_down(Duration::from_millis(500)));
        assert_eq!(counts(&hanging), (0, 1, 0, 0));
    }
}

#[test]
fn errors_name_the_setting_and_its_file() {
    let files = Files::new();
    std::fs::write(files.path("nonsense"), "nonsense").unwrap();
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(files.path("bad"), bad).unwrap();
    let other = Files::new();
    let error = |set: &dyn Fn(Builder) -> Builder| {
        let exporter = set(Exporter::builder().endpoint("https://localhost"));
        let error = exporter.build().unwrap_err().to_string();
        error.replace(files.folder.path().to_str().unwrap(), "…")
    };
    let authority = |file: &str| error(&|it| it.certificate(&files.text(file)));
    let expected = "expected a file with certificates in PEM";
    assert_eq!(
        authority("none"),
        format!(
            "Builder::certificate is `…/none`: {expected}: I/O error: No such file or directory (os error 2)"
        )
    );
    assert_eq!(
        authority("nonsense"),
        format!("Builder::certificate is `…/nonsense`: {expected}: no items found")
    );
    assert_eq!(
        authority("bad"),
        format!(
            "Builder::certificate is `…/bad`: {expected}: invalid peer certificate: BadEncoding"
        )
    );
    let certificate = files.text("certificate");
    let identity = |key: &str| {
        error(&|it| {
            let it = it.certificate(&certificate);
            it.client_certificate(&certificate, key)
        })
    };
    let expected = "expected a file with a private key in PEM";
    assert_eq!(
        identity(&files.text("authority")),
        format!("Builder::client_certificate is `…/authority`: {expected}: no items found")
    );
    let error = identity(&other.text("key"));
    let error = error.split_once("`: ").unwrap().1;
    assert_eq!(
        error,
        "expected the key of …/certificate: keys may not be consistent: KeyMismatch"
    );
}

#[test]
fn the_authorities_of_the_system_are_the_default() {
    let files = Files::new();
    let (address, asked) = files.collector(b"", false);
    let exporter = || exporter(&format!("https://localhost:{}", address.port()));
    match exporter().build() {
        // They do not have this one.
        Ok(_) => assert_eq!(
            given_up(exporter()),
            "given up: TLS: invalid peer certificate: UnknownIssuer"
        ),
        // There are none.
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("OTEL_EXPORTER_OTLP_CERTIFICATE"), "{error}");
        }
    }
    assert_eq!(asked.lock().unwrap().len(), 0);
}

#[test]
fn an_abandoned_connection_is_closed_at_once() {
    let files = Files::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for url in [format!("http://{address}"), format!("https://{address}")] {
        for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
            let exporter = files.exporter(address, protocol).endpoint(&url);
            let recorder = recorder(
                exporter
                    .timeout(Duration::from_millis(50))
                    .retry_for(Duration::ZERO),
            );
            failed(&recorder);
            assert!(recorder.flush(PATIENCE));
            let (mut stream, _) = silent.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // It ends while the recorder waits for more.
            let mut read = Vec::new();
            stream.read_to_end(&mut read).unwrap();
            assert!(!read.is_empty());
            drop(recorder);
        }
    }
}
