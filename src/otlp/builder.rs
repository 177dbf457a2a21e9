//! The settings of an exporter.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::export::otlp::Resource;
use crate::primitives::excluded::Own;

use super::endpoint::Endpoint;
use super::environment::{Environment, Found, Lookup};
use super::error::SettingError;
use super::{Compression, Protocol};

/// Sends kept requests to a collector of OpenTelemetry: see the [module](super).
///
/// Nothing is sent before it is given to a recorder's [builder](crate::recorder::Builder::otlp), and that is
/// started.
#[must_use = "an exporter sends nothing until a recorder has it"]
pub struct Exporter {
    pub(super) settings: Own<Settings>,
}

/// Builder of an [`Exporter`]: see [`Exporter::builder`].
#[must_use = "a builder sends nothing: call `build`"]
pub struct Builder {
    given: Own<Given>,
}

/// All that is known when the exporter is started.
pub(super) struct Settings {
    pub(super) endpoint: Endpoint,
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
struct Given {
    endpoint: Option<(Found, bool)>,
    protocol: Option<Protocol>,
    compression: Option<Compression>,
    headers: Vec<(String, String)>,
    timeout: Option<Duration>,
    service_name: Option<String>,
    attributes: Vec<(String, String)>,
    buffer_bytes: usize,
    batch_bytes: usize,
    delay: Duration,
    retry_for: Duration,
}

impl Exporter {
    /// Returns an exporter with the settings of the environment: see [`Builder`].
    ///
    /// # Errors
    ///
    /// A variable that has not the form that is expected of it.
    pub fn from_env() -> Result<Self, SettingError> {
        Self::builder().build()
    }

    /// Returns a builder. What it is not told, the environment says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tracer::otlp::{Exporter, Protocol};
    ///
    /// let exporter = Exporter::builder()
    ///     .endpoint("http://collector:4317")
    ///     .protocol(Protocol::Grpc)
    ///     .header("x-tenant", "shop")
    ///     .service_name("orders")
    ///     .timeout(Duration::from_secs(3))
    ///     .build()?;
    /// # Ok::<(), tracer::otlp::SettingError>(())
    /// ```
    pub fn builder() -> Builder {
        Builder {
            given: alloc_counter::exclude(|| {
                Own::new(Given {
                    endpoint: None,
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
                })
            }),
        }
    }
}

impl Builder {
    /// Sets the collector's URL, as `OTEL_EXPORTER_OTLP_ENDPOINT` does: over HTTP, `/v1/traces` is added to its
    /// path. By default `http://localhost:4318`, or `http://localhost:4317` for gRPC.
    pub fn endpoint(self, url: &str) -> Self {
        self.at(url, "Builder::endpoint", true)
    }

    /// Sets the URL for traces, as `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` does: over HTTP, it is used as it is.
    pub fn traces_endpoint(self, url: &str) -> Self {
        self.at(url, "Builder::traces_endpoint", false)
    }

    fn at(self, url: &str, method: &str, is_base: bool) -> Self {
        self.with(|given| {
            let found = Found {
                name: method.to_owned(),
                value: url.to_owned(),
            };
            given.endpoint = Some((found, is_base));
        })
    }

    /// Sets the protocol, as `OTEL_EXPORTER_OTLP_PROTOCOL` does: [`Protocol::HttpProtobuf`] by default.
    pub fn protocol(self, protocol: Protocol) -> Self {
        self.with(|given| given.protocol = Some(protocol))
    }

    /// Sets the compression, as `OTEL_EXPORTER_OTLP_COMPRESSION` does: [`Compression::None`] by default.
    pub fn compression(self, compression: Compression) -> Self {
        self.with(|given| given.compression = Some(compression))
    }

    /// Adds a header to each request. It replaces one of that name in `OTEL_EXPORTER_OTLP_HEADERS`. Those that
    /// describe the body or the connection, such as `content-type` and `host`, are the exporter's own:
    /// [`build`](Self::build) refuses them.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|given| given.headers.push((name.to_owned(), value.to_owned())))
    }

    /// Sets how long a request to the collector may take, as `OTEL_EXPORTER_OTLP_TIMEOUT` does: ten seconds by
    /// default, and one millisecond at least.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|given| given.timeout = Some(timeout.max(Duration::from_millis(1))))
    }

    /// Sets the name of this service, as `OTEL_SERVICE_NAME` does: `unknown_service:` and the name of the
    /// program's file by default.
    pub fn service_name(self, name: &str) -> Self {
        self.with(|given| given.service_name = Some(name.to_owned()))
    }

    /// Adds an attribute of this service, such as `deployment.environment.name`. It replaces one of that key
    /// in `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn attribute(self, key: &str, value: &str) -> Self {
        self.with(|given| given.attributes.push((key.to_owned(), value.to_owned())))
    }

    /// Sets how many bytes of encoded spans wait at most until they are sent, those that are being sent
    /// included: 8 MiB by default. Further requests are [dropped](crate::recorder::SinkStatistics::dropped).
    /// While a batch is sent, its request takes its size again, or less if it is compressed.
    pub fn buffer_bytes(self, bytes: usize) -> Self {
        self.with(|given| given.buffer_bytes = bytes)
    }

    /// Sets how many bytes of spans are in one request to the collector, unless one span has more: 1 MiB by
    /// default, and 4 KiB at least. Many collectors refuse more than 4 MiB over gRPC.
    pub fn batch_bytes(self, bytes: usize) -> Self {
        self.with(|given| given.batch_bytes = bytes.max(4 << 10))
    }

    /// Sets how long a kept request waits for others that are sent along: one second by default.
    pub fn delay(self, delay: Duration) -> Self {
        self.with(|given| given.delay = delay)
    }

    /// Sets how long a batch is tried again if the collector can't be reached or says that it is overloaded:
    /// five minutes by default. Then its requests count as
    /// [failed](crate::recorder::SinkStatistics::failed).
    pub fn retry_for(self, time: Duration) -> Self {
        self.with(|given| given.retry_for = time)
    }

    /// Checks the settings and the variables.
    ///
    /// # Errors
    ///
    /// A setting or a variable that has not the form that is expected of it. An endpoint with `https`: this
    /// exporter has no TLS.
    pub fn build(self) -> Result<Exporter, SettingError> {
        // The error is the program's.
        self.build_in(&|name| std::env::var_os(name))
    }

    pub(super) fn build_in(mut self, lookup: Lookup<'_>) -> Result<Exporter, SettingError> {
        let built = alloc_counter::exclude(|| {
            let settings = self.given.settings(&Environment::new(lookup));
            settings.map(Own::new).map_err(Own::new)
        });
        match built {
            Ok(settings) => Ok(Exporter { settings }),
            Err(error) => Err(SettingError::clone(&error)),
        }
    }

    fn with(mut self, set: impl FnOnce(&mut Given)) -> Self {
        alloc_counter::exclude(|| set(&mut self.given));
        self
    }
}

impl Given {
    fn settings(&mut self, environment: &Environment<'_>) -> Result<Settings, SettingError> {
        let protocol = match self.protocol {
            Some(protocol) => protocol,
            None => environment.protocol()?.unwrap_or(Protocol::HttpProtobuf),
        };
        let endpoint = match self.endpoint.take() {
            Some(given) => Some(given),
            None => environment.endpoint()?,
        };
        let (url, is_base) = endpoint.unwrap_or_else(|| {
            let url = Endpoint::default(protocol).to_owned();
            let name = "the default endpoint".to_owned();
            (Found { name, value: url }, true)
        });
        let endpoint = Endpoint::parse(&url.value, protocol, is_base);
        let compression = match self.compression {
            Some(compression) => compression,
            None => environment.compression()?.unwrap_or(Compression::None),
        };
        let timeout = match self.timeout {
            Some(timeout) => timeout,
            None => environment.timeout()?.unwrap_or(Duration::from_secs(10)),
        };
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
        let service_name = match self.service_name.take() {
            Some(name) => Some(name),
            None => environment.service_name()?,
        };
        attributes.extend(service_name.map(|name| ("service.name".to_owned(), name)));
        Ok(Settings {
            endpoint: endpoint.map_err(|expected| url.error(expected))?,
            protocol,
            compression,
            headers,
            timeout,
            resource: Resource::new(attributes.into_iter()),
            buffer_bytes: self.buffer_bytes,
            batch_bytes: self.batch_bytes,
            delay: self.delay,
            retry_for: self.retry_for,
        })
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

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("endpoint", &self.settings.endpoint)
            .field("protocol", &self.settings.protocol)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

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
                "http://, since this sends without TLS, such as to a collector on this host",
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
