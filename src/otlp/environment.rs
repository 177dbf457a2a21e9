//! The variables of OpenTelemetry: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::endpoint::without_secrets;
use super::error::SettingError;
use super::{Compression, Protocol};

/// Looks a variable up.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<std::ffi::OsString>;

/// What the variables set. An empty one counts as not set, as the specification says.
pub(super) struct Environment<'a> {
    lookup: Lookup<'a>,
}

/// A value, with the variable that has it.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) value: String,
}

impl Found {
    pub(super) fn error(&self, expected: &str) -> SettingError {
        error(&self.name, &self.value, expected)
    }
}

/// Returns the error of a setting, without the secrets that its value may have.
fn error(name: &str, value: &str, expected: &str) -> SettingError {
    let setting = name.rsplit(['_', ':']).next().unwrap_or(name);
    match setting {
        "HEADERS" => SettingError::new(name, "(hidden)", expected),
        "ENDPOINT" | "endpoint" => SettingError::new(name, &without_secrets(value), expected),
        _ => SettingError::new(name, value, expected),
    }
}

impl<'a> Environment<'a> {
    pub(super) fn new(lookup: Lookup<'a>) -> Self {
        Self { lookup }
    }

    fn get(&self, name: &str) -> Result<Option<Found>, SettingError> {
        let Some(value) = (self.lookup)(name) else {
            return Ok(None);
        };
        let value = value
            .into_string()
            .map_err(|value| error(name, &value.to_string_lossy(), "text in UTF-8"))?;
        let found = Found {
            name: name.to_owned(),
            value,
        };
        Ok(Some(found).filter(|it| !it.value.trim().is_empty()))
    }

    /// Returns the setting for traces, or else that for all signals.
    pub(super) fn of_traces(&self, setting: &str) -> Result<Option<Found>, SettingError> {
        let of_traces = self.get(&format!("OTEL_EXPORTER_OTLP_TRACES_{setting}"))?;
        or_else(of_traces, || {
            self.get(&format!("OTEL_EXPORTER_OTLP_{setting}"))
        })
    }

    /// Returns the URL, and whether it is the base of those for all signals.
    pub(super) fn endpoint(&self) -> Result<Option<(Found, bool)>, SettingError> {
        let found = self.of_traces("ENDPOINT")?;
        Ok(found.map(|found| {
            let is_base = found.name == "OTEL_EXPORTER_OTLP_ENDPOINT";
            (found, is_base)
        }))
    }

    pub(super) fn protocol(&self) -> Result<Option<Protocol>, SettingError> {
        let Some(found) = self.of_traces("PROTOCOL")? else {
            return Ok(None);
        };
        match found.value.trim() {
            "grpc" => Ok(Some(Protocol::Grpc)),
            "http/protobuf" => Ok(Some(Protocol::HttpProtobuf)),
            "http/json" => Ok(Some(Protocol::HttpJson)),
            _ => Err(found.error("`http/protobuf`, `http/json` or `grpc`")),
        }
    }

    pub(super) fn compression(&self) -> Result<Option<Compression>, SettingError> {
        let Some(found) = self.of_traces("COMPRESSION")? else {
            return Ok(None);
        };
        match found.value.trim() {
            "gzip" => Ok(Some(Compression::Gzip)),
            "none" => Ok(Some(Compression::None)),
            _ => Err(found.error("`gzip` or `none`")),
        }
    }

    pub(super) fn timeout(&self) -> Result<Option<Duration>, SettingError> {
        let Some(found) = self.of_traces("TIMEOUT")? else {
            return Ok(None);
        };
        match found.value.trim().parse() {
            Ok(milliseconds @ 1_u32..) => Ok(Some(Duration::from_millis(milliseconds.into()))),
            _ => Err(found.error("a number of milliseconds above 0")),
        }
    }

    /// Returns whether gRPC to a URL without a scheme does without TLS.
    pub(super) fn is_insecure(&self) -> Result<bool, SettingError> {
        let Some(found) = self.of_traces("INSECURE")? else {
            return Ok(false);
        };
        let value = found.value.trim();
        let is = |word: &str| value.eq_ignore_ascii_case(word);
        match (is("true"), is("false")) {
            (false, false) => Err(found.error("`true` or `false`")),
            (is_insecure, _) => Ok(is_insecure),
        }
    }

    pub(super) fn headers(&self) -> Result<Option<(Found, List)>, SettingError> {
        let Some(found) = self.of_traces("HEADERS")? else {
            return Ok(None);
        };
        let list = list(&found.value);
        let list =
            list.ok_or_else(|| found.error("`name=value`, with commas between, percent-encoded"))?;
        Ok(Some((found, list)))
    }

    pub(super) fn service_name(&self) -> Result<Option<String>, SettingError> {
        Ok(self.get("OTEL_SERVICE_NAME")?.map(|found| found.value))
    }

    pub(super) fn attributes(&self) -> Result<List, SettingError> {
        let Some(found) = self.get("OTEL_RESOURCE_ATTRIBUTES")? else {
            return Ok(List::new());
        };
        let list = list(&found.value);
        list.ok_or_else(|| found.error("`key=value`, with commas between, percent-encoded"))
    }
}

/// Returns a setting that comes first, or else the other one.
pub(super) fn or_else<T>(
    first: Option<T>,
    other: impl FnOnce() -> Result<Option<T>, SettingError>,
) -> Result<Option<T>, SettingError> {
    match first {
        Some(first) => Ok(Some(first)),
        None => other(),
    }
}

type List = Vec<(String, String)>;

/// Reads `key=value` pairs with commas between them, percent-encoded, as `baggage` of W3C has them. What
/// follows a `;` in a pair says more of it, and is left out.
fn list(text: &str) -> Option<List> {
    let mut pairs = List::new();
    for pair in text.split(',') {
        if pair.trim().is_empty() {
            continue;
        }
        let pair = pair.split(';').next()?;
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (decoded(key.trim())?, decoded(value.trim())?);
        if key.is_empty() {
            return None;
        }
        pairs.push((key, value));
    }
    Some(pairs)
}

fn decoded(text: &str) -> Option<String> {
    // The crate leaves a `%` without two digits as it is.
    let is_encoded = text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let text = percent_decode_str(text).decode_utf8().ok();
    text.filter(|_| is_encoded).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_is_no_text_is_told_without_secrets() {
        use std::os::unix::ffi::OsStringExt;

        let errors = |value: &[u8]| {
            let lookup = |_: &str| Some(std::ffi::OsString::from_vec(value.to_vec()));
            let environment = Environment::new(&lookup);
            let headers = environment.headers().err();
            let endpoint = environment.endpoint().err();
            [headers, endpoint].map(|it| it.unwrap().to_string())
        };
        assert_eq!(
            errors(b"http://u:secret@a\xff?secret"),
            [
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS is `(hidden)`: expected text in UTF-8",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is `http://(hidden)@a\u{fffd}?(hidden)`: expected \
                 text in UTF-8"
            ]
        );
    }

    #[test]
    fn lists_are_percent_decoded() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            list("a=1, b=x%20y%2C;ttl=3,,c=,d=e=f"),
            Some(vec![
                pair("a", "1"),
                pair("b", "x y,"),
                pair("c", ""),
                pair("d", "e=f"),
            ])
        );
        for bad in ["a", "=1", "a=1,b", "a=%2", "a=%zz", "a=%ff", "a=%"] {
            assert_eq!(list(bad), None, "{bad}");
        }
    }
}
