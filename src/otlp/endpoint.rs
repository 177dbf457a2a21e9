//! Where a collector listens.

use std::fmt;

use http::Uri;
use http::uri::Scheme;

use super::Protocol;

/// The address of a collector, and the path of its requests.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// For the header `host`.
    pub(super) authority: String,
    /// With the query, which may have a key in it.
    pub(super) path: String,
    pub(super) is_tls: bool,
}

/// What decides, beside the URL, whether there is TLS.
#[derive(Clone, Copy)]
pub(super) struct Transport {
    /// Whether this build has it.
    pub(super) has_tls: bool,
    /// Whether gRPC to a URL without a scheme does without.
    pub(super) is_insecure: bool,
}

/// What is expected of a URL if there is no TLS.
pub(super) const WITHOUT_TLS: &str =
    "http://, such as of a collector on this host, or the feature `otlp-tls` of the crate `tracer`";

const OF_TRACES: &str = "/v1/traces";
const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

impl Endpoint {
    /// Reads a URL. Over HTTP, that of a `base` gets the path for traces. Returns what was expected if it is
    /// none that can be used.
    pub(super) fn parse(
        url: &str,
        protocol: Protocol,
        is_base: bool,
        transport: Transport,
    ) -> Result<Self, &'static str> {
        const EXPECTED: &str = "a URL such as http://localhost:4318";
        const EXPECTED_GRPC: &str = "a URL such as http://localhost:4317";
        let is_grpc = protocol == Protocol::Grpc;
        let expected = if is_grpc { EXPECTED_GRPC } else { EXPECTED };
        let uri: Uri = url.trim().parse().map_err(|_| expected)?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            // `localhost:4317`.
            None if is_grpc => !transport.is_insecure,
            _ => return Err(expected),
        };
        let authority = uri.authority().ok_or(expected)?;
        if authority.as_str().contains('@') {
            return Err("a URL without user and password: those belong in a header");
        }
        let host = authority.host();
        let host = host.strip_prefix('[').unwrap_or(host);
        let host = host.strip_suffix(']').unwrap_or(host);
        // `http` takes a port that is no number, and one that is too great.
        let has_port = !authority.as_str().ends_with(authority.host());
        let port = match authority.port_u16() {
            Some(port @ 1..) => port,
            None if !has_port && is_tls => 443,
            None if !has_port => 80,
            _ => return Err(expected),
        };
        if host.is_empty() {
            return Err(expected);
        }
        if is_tls && !transport.has_tls {
            return Err(WITHOUT_TLS);
        }
        let path = match (is_grpc, is_base) {
            (true, _) => GRPC.to_owned(),
            (false, true) if uri.query().is_some() => return Err("a URL without `?`"),
            (false, true) => format!("{}{OF_TRACES}", uri.path().trim_end_matches('/')),
            (false, false) => {
                let path = uri.path_and_query();
                path.map_or_else(|| "/".to_owned(), ToString::to_string)
            }
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            authority: authority.to_string(),
            path,
            is_tls,
        })
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// Returns the path without its query, to be shown.
    pub(super) fn shown_path(&self) -> &str {
        let end = self.path.find('?').unwrap_or(self.path.len());
        &self.path[..end]
    }

    /// Returns the URL that is used if none is set.
    pub(super) const fn default(protocol: Protocol) -> &'static str {
        match protocol {
            Protocol::Grpc => "http://localhost:4317",
            Protocol::HttpProtobuf | Protocol::HttpJson => "http://localhost:4318",
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme();
        write!(f, "{scheme}://{}{}", self.authority, self.shown_path())
    }
}

const HIDDEN: &str = "(hidden)";

/// Returns what an error may show of a URL, which need not be well-formed: no user, no password and no query.
pub(super) fn without_secrets(url: &str) -> String {
    let is_scheme = |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric());
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme.trim()) => url.split_at(url.len() - rest.len()),
        _ => ("", url),
    };
    // A password may have any character in it, so all before the last `@` may be of it.
    let (user, rest) = match rest.rfind('@') {
        // An `@` in a query, or a `?` in a password.
        Some(at) if rest[..at].contains(['?', '#']) => return format!("{scheme}{HIDDEN}"),
        Some(at) => (HIDDEN, &rest[at..]),
        None => ("", rest),
    };
    match rest.find(['?', '#']) {
        Some(query) => format!("{scheme}{user}{}{HIDDEN}", &rest[..=query]),
        None => format!("{scheme}{user}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_a_url_are_not_shown() {
        for (url, shown) in [
            ("http://a:1/x", "http://a:1/x"),
            ("localhost:4317", "localhost:4317"),
            (" http://u:secret@a ", " http://(hidden)@a "),
            ("https://u:secret@a/x", "https://(hidden)@a/x"),
            ("u:secret@a:4317", "(hidden)@a:4317"),
            ("http://u:secret/@secret@a", "http://(hidden)@a"),
            ("u:secret://secret@a", "(hidden)@a"),
            ("http:/u:secret@a", "(hidden)@a"),
            ("http://u:secret?secret@a", "http://(hidden)"),
            ("http://a?key=secret@secret", "http://(hidden)"),
            ("http://a/x?api-key=secret", "http://a/x?(hidden)"),
            ("http://a#secret?secret", "http://a#(hidden)"),
            ("http://u:secret@a?key=secret", "http://(hidden)@a?(hidden)"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(url), shown, "{url}");
        }
        let endpoint = Endpoint::parse("http://a:1/x?key=secret", Protocol::HttpJson, false, PLAIN);
        let endpoint = endpoint.unwrap();
        assert_eq!(endpoint.path, "/x?key=secret");
        assert_eq!(endpoint.shown_path(), "/x");
        assert_eq!(format!("{endpoint:?}"), "http://a:1/x");
    }

    const PLAIN: Transport = Transport {
        has_tls: false,
        is_insecure: true,
    };
    const TLS: Transport = Transport {
        has_tls: true,
        is_insecure: false,
    };

    fn shown(url: &str, protocol: Protocol, is_base: bool) -> String {
        match Endpoint::parse(url, protocol, is_base, PLAIN) {
            Ok(it) => format!("{} {} {} {}", it.host, it.port, it.authority, it.path),
            Err(expected) => format!("expected {expected}"),
        }
    }

    #[test]
    fn paths_follow_the_specification() {
        let http = Protocol::HttpProtobuf;
        for (url, is_base, expected) in [
            ("http://a:4318", true, "a 4318 a:4318 /v1/traces"),
            ("http://a:4318/", true, "a 4318 a:4318 /v1/traces"),
            ("http://a/otel/", true, "a 80 a /otel/v1/traces"),
            ("HTTP://a:1/x", true, "a 1 a:1 /x/v1/traces"),
            ("http://a:1", false, "a 1 a:1 /"),
            ("http://a:1/own?x=1", false, "a 1 a:1 /own?x=1"),
            ("http://[::1]:4318", true, "::1 4318 [::1]:4318 /v1/traces"),
            ("http://a?x", true, "expected a URL without `?`"),
        ] {
            assert_eq!(shown(url, http, is_base), expected, "{url}");
        }
        for url in ["http://a:4317", "http://a:4317/ignored"] {
            assert_eq!(
                shown(url, Protocol::Grpc, true),
                format!("a 4317 a:4317 {GRPC}")
            );
        }
        assert_eq!(
            shown("a:4317", Protocol::Grpc, false),
            format!("a 4317 a:4317 {GRPC}")
        );
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in [
            "",
            "localhost:4318",
            "/v1/traces",
            "http://",
            "http://a:b",
            "http://a:0",
            "http://a:99999",
            "ftp://a",
            "http://a b",
            "http://\u{7f}",
        ] {
            assert_eq!(
                shown(url, Protocol::HttpProtobuf, true),
                "expected a URL such as http://localhost:4318",
                "{url}"
            );
        }
        assert_eq!(
            shown("https://a", Protocol::Grpc, true),
            format!("expected {WITHOUT_TLS}")
        );
        assert!(shown("http://u:p@a", Protocol::HttpJson, true).contains("password"));
    }

    #[test]
    fn the_scheme_decides_whether_there_is_tls() {
        let insecure = Transport {
            has_tls: true,
            is_insecure: true,
        };
        for (url, protocol, transport, expected) in [
            (
                "https://a",
                Protocol::HttpJson,
                TLS,
                "https://a/v1/traces 443",
            ),
            (
                "https://a:1",
                Protocol::HttpJson,
                insecure,
                "https://a:1/v1/traces 1",
            ),
            ("http://a", Protocol::Grpc, TLS, "http://a/Export 80"),
            (
                "https://a",
                Protocol::Grpc,
                insecure,
                "https://a/Export 443",
            ),
            ("a:1", Protocol::Grpc, TLS, "https://a:1/Export 1"),
            ("a", Protocol::Grpc, TLS, "https://a/Export 443"),
            ("a:1", Protocol::Grpc, insecure, "http://a:1/Export 1"),
        ] {
            let endpoint = Endpoint::parse(url, protocol, true, transport).unwrap();
            let shown = format!("{endpoint:?} {}", endpoint.port);
            let shown = shown.replace(GRPC, "/Export");
            assert_eq!(shown, expected, "{url}");
        }
        let none = Transport {
            has_tls: false,
            is_insecure: false,
        };
        let without = Endpoint::parse("a:1", Protocol::Grpc, true, none);
        assert_eq!(without.unwrap_err(), WITHOUT_TLS);
    }
}
