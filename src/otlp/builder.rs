//! An exporter, and what code sets of it.

use std::fmt;
use std::time::Duration;

use crate::primitives::excluded::Own;

#[cfg(feature = "otlp-tls")]
use super::certificates::Identity;
use super::environment::{Environment, Lookup};
use super::error::SettingError;
use super::settings::{Given, Settings, found};
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
            given: alloc_counter::exclude(|| Own::new(Given::default())),
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
            given.endpoint = Some((found(method, url), is_base));
        })
    }

    /// Sets the file of the certificates, in PEM, one of which must have signed that of a collector behind `https`;
    /// as `OTEL_EXPORTER_OTLP_CERTIFICATE` does. Those of the system by default.
    #[cfg(feature = "otlp-tls")]
    pub fn certificate(self, file: &str) -> Self {
        self.with(|given| {
            given.certificates.authority = Some(found("Builder::certificate", file));
        })
    }

    /// Sets the files of the certificate and the private key, in PEM, by which this program tells a collector behind
    /// `https` who it is; as `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` and `OTEL_EXPORTER_OTLP_CLIENT_KEY` do. None by
    /// default.
    #[cfg(feature = "otlp-tls")]
    pub fn client_certificate(self, file: &str, key_file: &str) -> Self {
        self.with(|given| {
            given.certificates.identity = Some(Identity {
                certificate: found("Builder::client_certificate", file),
                key: found("Builder::client_certificate", key_file),
            });
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
    /// A setting or a variable that has not the form that is expected of it, or names a file that has not. An
    /// endpoint with `https` without the feature `otlp-tls`.
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
