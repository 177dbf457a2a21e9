//! The settings of an exporter, from code and from the environment.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::export::otlp::Resource;

use super::certificates::Certificates;
use super::endpoint::{Endpoint, Transport};
use super::environment::{Environment, Found, or_else};
use super::error::SettingError;
use super::tls::Tls;
use super::{Compression, Protocol};

/// All that is known when the exporter is started.
pub(super) struct Settings {
    pub(super) endpoint: Endpoint,
    pub(super) tls: Option<Tls>,
    pub(super) protocol: Protocol,
    pub(super) compression: Compression,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
    pub(super) resource: Resource,
    pub(super) buffer_bytes: usize,
    pub(super) batch_bytes: usize,
    pub(super) delay: Duration,
    pub(super) retry_for: Duration,
}

/// What the program has set.
pub(super) struct Given {
    pub(super) endpoint: Option<(Found, bool)>,
    pub(super) certificates: Certificates,
    pub(super) protocol: Option<Protocol>,
    pub(super) compression: Option<Compression>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout: Option<Duration>,
    pub(super) service_name: Option<String>,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) buffer_bytes: usize,
    pub(super) batch_bytes: usize,
    pub(super) delay: Duration,
    pub(super) retry_for: Duration,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            endpoint: None,
            certificates: Certificates::default(),
            protocol: None,
            compression: None,
            headers: Vec::new(),
            timeout: None,
            service_name: None,
            attributes: Vec::new(),
            buffer_bytes: 8 << 20,
            batch_bytes: 1 << 20,
            delay: Duration::from_secs(1),
            retry_for: Duration::from_secs(5 * 60),
        }
    }
}

impl Given {
    /// Checks the settings and the variables.
    pub(super) fn settings(
        &mut self,
        environment: &Environment<'_>,
    ) -> Result<Settings, SettingError> {
        let protocol = or_else(self.protocol, || environment.protocol())?;
        let protocol = protocol.unwrap_or(Protocol::HttpProtobuf);
        let endpoint = or_else(self.endpoint.take(), || environment.endpoint())?;
        let (url, is_base) = endpoint.unwrap_or_else(|| {
            let url = Endpoint::default(protocol);
            (found("the default endpoint", url), true)
        });
        let transport = Transport {
            has_tls: cfg!(feature = "otlp-tls"),
            is_insecure: environment.is_insecure()?,
        };
        let endpoint = Endpoint::parse(&url.value, protocol, is_base, transport);
        let endpoint = endpoint.map_err(|expected| url.error(expected))?;
        let tls = if endpoint.is_tls {
            let files = std::mem::take(&mut self.certificates).or(environment)?;
            Some(Tls::new(&endpoint.host, protocol, &files, &url)?)
        } else {
            None
        };
        let compression = or_else(self.compression, || environment.compression())?;
        let timeout = or_else(self.timeout, || environment.timeout())?;
        let mut headers = HeaderMap::new();
        if let Some((found, list)) = environment.headers()? {
            for (name, value) in &list {
                let added = add(&mut headers, name, value);
                added.map_err(|expected| found.error(&expected))?;
            }
        }
        for (name, value) in &self.headers {
            let added = add(&mut headers, name, value);
            added.map_err(|expected| SettingError::new("Builder::header", name, &expected))?;
        }
        let mut attributes = environment.attributes()?;
        attributes.append(&mut self.attributes);
        let service_name = or_else(self.service_name.take(), || environment.service_name())?;
        attributes.extend(service_name.map(|name| ("service.name".to_owned(), name)));
        Ok(Settings {
            endpoint,
            tls,
            protocol,
            compression: compression.unwrap_or(Compression::None),
            headers,
            timeout: timeout.unwrap_or(Duration::from_secs(10)),
            resource: Resource::new(attributes.into_iter()),
            buffer_bytes: self.buffer_bytes,
            batch_bytes: self.batch_bytes,
            delay: self.delay,
            retry_for: self.retry_for,
        })
    }
}

/// Returns a value that code has set.
pub(super) fn found(method: &str, value: &str) -> Found {
    Found {
        name: method.to_owned(),
        value: value.to_owned(),
    }
}

/// Adds a header. Returns what was expected if it is none.
fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Cow<'static, str>> {
    let name = HeaderName::try_from(name).map_err(|_| "a header's name")?;
    if OWN_HEADERS.contains(&name.as_str()) {
        return Err(format!("no header `{name}`, which the exporter sets itself").into());
    }
    let mut value =
        HeaderValue::try_from(value).map_err(|_| "a header with a value in visible ASCII")?;
    if headers.len() >= MOST_HEADERS {
        return Err("at most 64 headers".into());
    }
    // Not shown by `Debug`, and in no table of HTTP/2.
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

const MOST_HEADERS: usize = 64;
/// What the body, the protocol and the connection need. With others, no request would arrive.
const OWN_HEADERS: [&str; 11] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-encoding",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::builder::Exporter;
    use super::*;

    fn built(variables: &[(&str, &str)]) -> Result<Exporter, String> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        let lookup = |name: &str| variables.get(name).map(|value| (*value).into());
        let exporter = Exporter::builder().build_in(&lookup);
        exporter.map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_sets_what_code_does_not() {
        let exporter = built(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "Authorization=Basic%20eA%3D%3D",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_SERVICE_NAME", "orders"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=other,host.name=a%20b",
            ),
        ]);
        let settings = exporter.unwrap().settings;
        assert_eq!(settings.endpoint.authority, "all:1");
        assert_eq!(settings.endpoint.path, "/v1/traces");
        assert_eq!(settings.protocol, Protocol::HttpJson);
        assert_eq!(settings.headers["authorization"], "Basic eA==");
        assert!(settings.headers["authorization"].is_sensitive());
        assert_eq!(settings.timeout, Duration::from_millis(2500));
        assert_eq!(settings.compression, Compression::Gzip);
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let expected = [("service.name", "orders"), ("host.name", "a b")];
        assert_eq!(
            settings.resource,
            Resource::new(expected.map(own).into_iter())
        );

        let exporter = Exporter::builder()
            .traces_endpoint("http://b:2/own")
            .service_name("code")
            .build_in(&|name| (name == "OTEL_SERVICE_NAME").then(|| "environment".into()));
        let settings = exporter.unwrap().settings;
        assert_eq!(settings.endpoint.path, "/own");
        let expected = [own(("service.name", "code"))];
        assert_eq!(settings.resource, Resource::new(expected.into_iter()));
    }

    #[test]
    fn headers_of_the_exporters_own_are_refused() {
        for name in OWN_HEADERS {
            let exporter = Exporter::builder().header(&name.to_uppercase(), "secret");
            assert_eq!(
                exporter.build().unwrap_err().to_string(),
                format!(
                    "Builder::header is `{}`: expected no header `{name}`, which the exporter sets itself",
                    name.to_uppercase()
                )
            );
        }
        assert_eq!(
            built(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=secret,Host=secret")]).unwrap_err(),
            "OTEL_EXPORTER_OTLP_HEADERS is `(hidden)`: expected no header `host`, which the exporter \
             sets itself"
        );
    }

    #[test]
    fn a_bad_variable_is_named_with_its_value_and_what_is_expected() {
        for (name, value, expected) in [
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "nonsense",
                "a URL such as http://localhost:4318",
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "a\nb",
                "a URL such as http://localhost:4318",
            ),
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "http",
                "`http/protobuf`, `http/json` or `grpc`",
            ),
            (
                "OTEL_EXPORTER_OTLP_TIMEOUT",
                "10s",
                "a number of milliseconds above 0",
            ),
            (
                "OTEL_EXPORTER_OTLP_TIMEOUT",
                "0",
                "a number of milliseconds above 0",
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
                "zstd",
                "`gzip` or `none`",
            ),
            ("OTEL_EXPORTER_OTLP_INSECURE", "1", "`true` or `false`"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "a=1,b",
                "`key=value`, with commas between, percent-encoded",
            ),
        ] {
            let shown = value.replace('\n', "\\n");
            assert_eq!(
                built(&[(name, value)]).unwrap_err(),
                format!("{name} is `{shown}`: expected {expected}")
            );
        }
        // A header may be a secret.
        let error = built(&[("OTEL_EXPORTER_OTLP_HEADERS", "secret")]).unwrap_err();
        assert_eq!(
            error,
            "OTEL_EXPORTER_OTLP_HEADERS is `(hidden)`: expected `name=value`, with commas between, \
             percent-encoded"
        );
        // So may be parts of a URL.
        for (url, shown, expected) in [
            (
                "http://u:secret@a",
                "http://(hidden)@a",
                "a URL without user and password: those belong in a header",
            ),
            (
                "https://u:secret@a",
                "https://(hidden)@a",
                "a URL without user and password: those belong in a header",
            ),
            (
                "http://a?api-key=secret",
                "http://a?(hidden)",
                "a URL without `?`",
            ),
        ] {
            for (name, error) in [
                (
                    "OTEL_EXPORTER_OTLP_ENDPOINT",
                    built(&[("OTEL_EXPORTER_OTLP_ENDPOINT", url)]).unwrap_err(),
                ),
                ("Builder::endpoint", {
                    let exporter = Exporter::builder().endpoint(url).build();
                    exporter.unwrap_err().to_string()
                }),
            ] {
                assert_eq!(error, format!("{name} is `{shown}`: expected {expected}"));
            }
        }
        let error = Exporter::builder()
            .traces_endpoint("https://u:secret@a?secret")
            .build();
        let error = error.unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        let exporter = Exporter::builder().traces_endpoint("http://a/own?key=secret");
        assert_eq!(
            format!("{:?}", exporter.build().unwrap()),
            "Exporter { endpoint: http://a/own, protocol: HttpProtobuf, .. }"
        );
        let error = Exporter::builder()
            .header("a b", "secret")
            .build()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "Builder::header is `a b`: expected a header's name"
        );
    }
}
