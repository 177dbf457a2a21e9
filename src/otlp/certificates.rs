//! Which certificates a connection to the collector takes.

use super::environment::{Environment, Found, or_else};
use super::error::SettingError;

/// Files in PEM.
#[derive(Default)]
pub(super) struct Certificates {
    /// Of the authorities that may have signed that of the collector. Without it, those of the system.
    pub(super) authority: Option<Found>,
    /// For collectors that ask who connects.
    pub(super) identity: Option<Identity>,
}

/// A certificate and its private key.
#[cfg_attr(
    not(feature = "otlp-tls"),
    expect(dead_code, reason = "read by what has TLS")
)]
pub(super) struct Identity {
    pub(super) certificate: Found,
    pub(super) key: Found,
}

impl Certificates {
    /// Adds what the environment sets and code does not.
    pub(super) fn or(self, environment: &Environment<'_>) -> Result<Self, SettingError> {
        Ok(Self {
            authority: or_else(self.authority, || environment.of_traces("CERTIFICATE"))?,
            identity: or_else(self.identity, || identity(environment))?,
        })
    }
}

fn identity(environment: &Environment<'_>) -> Result<Option<Identity>, SettingError> {
    const CERTIFICATE: &str = "CLIENT_CERTIFICATE";
    const KEY: &str = "CLIENT_KEY";
    let certificate = environment.of_traces(CERTIFICATE)?;
    let key = environment.of_traces(KEY)?;
    let without = |found: &Found, other: &str| {
        Err(found.error(&format!("OTEL_EXPORTER_OTLP_{other} beside it")))
    };
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(Identity { certificate, key })),
        (Some(certificate), None) => without(&certificate, KEY),
        (None, Some(key)) => without(&key, CERTIFICATE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Certificates, String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).into())
        };
        let read = Certificates::default().or(&Environment::new(&lookup));
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn those_for_traces_come_first() {
        let certificates = read(&[
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all"),
            ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/certificate"),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/key"),
        ]);
        let certificates = certificates.ok().unwrap();
        let identity = certificates.identity.unwrap();
        let authority = certificates.authority.unwrap();
        assert_eq!(authority.name, "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE");
        let files = [authority, identity.certificate, identity.key].map(|it| it.value);
        assert_eq!(files, ["/traces", "/certificate", "/key"]);
    }

    #[test]
    fn a_certificate_and_its_key_need_each_other() {
        for (name, other) in [
            ("CLIENT_CERTIFICATE", "CLIENT_KEY"),
            ("CLIENT_KEY", "CLIENT_CERTIFICATE"),
        ] {
            let name = format!("OTEL_EXPORTER_OTLP_{name}");
            let error = read(&[(&name, "/file")]).err().unwrap();
            let expected = format!("OTEL_EXPORTER_OTLP_{other} beside it");
            assert_eq!(error, format!("{name} is `/file`: expected {expected}"));
        }
    }
}
