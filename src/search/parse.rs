//! A query as that of a URL, and back.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::report::escape::Escaped;
use crate::report::units::count;

use super::needle::start;
use super::query::{Outcomes, Query};
use super::values::{self, When};

/// The parameters of a query, in the order in which they are written.
pub(crate) const NAMES: [&str; 10] = [
    "id", "trace_id", "text", "route", "outcome", "failure", "slower", "heavier", "since", "until",
];

/// The most bytes of a parameter's value.
const MOST_BYTES: usize = 1024;
/// The most bytes of a name or value that a message shows.
const MOST_SHOWN: usize = 60;

/// Error of a parameter of a [`Query`]. Its message names the parameter, its value and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    parameter: String,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    NotUtf8,
    Repeated,
    TooLong(usize),
    Unknown(Vec<&'static str>),
    Unexpected(String, String),
}

impl QueryError {
    fn new(parameter: &str, problem: Problem) -> Self {
        Self {
            parameter: shown(parameter),
            problem,
        }
    }

    /// Returns what was expected instead, such as `expected a time such as 250us, 30ms, 1.5s, 2m`: for messages that
    /// name the parameter in their own way.
    pub fn expected(&self) -> String {
        match &self.problem {
            Problem::NotUtf8 => "expected UTF-8, percent-encoded".to_owned(),
            Problem::Repeated => "expected it once".to_owned(),
            Problem::TooLong(_) => format!("expected {} bytes at most", count(MOST_BYTES as u64)),
            Problem::Unknown(known) => format!("expected {}", known.join(", ")),
            Problem::Unexpected(_, expected) => format!("expected {expected}"),
        }
    }

    /// Makes the error of a parameter that has another value than was expected.
    pub(crate) fn unexpected(parameter: &str, value: &str, expected: impl Into<String>) -> Self {
        let problem = Problem::Unexpected(shown(value), expected.into());
        Self::new(parameter, problem)
    }
}

/// Returns the start of a text, escaped.
fn shown(text: &str) -> String {
    let start = start(text, MOST_SHOWN);
    let cut = if start.len() < text.len() { "…" } else { "" };
    format!("{}{cut}", Escaped(start))
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parameter, problem } = self;
        match problem {
            Problem::NotUtf8 => write!(
                f,
                "the parameter \"{parameter}\" is not UTF-8: expected UTF-8, percent-encoded"
            ),
            Problem::Repeated => write!(
                f,
                "the parameter \"{parameter}\" is there twice: expected it once"
            ),
            Problem::TooLong(bytes) => write!(
                f,
                "the parameter \"{parameter}\" has {} bytes: expected {} at most",
                count(*bytes as u64),
                count(MOST_BYTES as u64),
            ),
            Problem::Unknown(known) => {
                write!(
                    f,
                    "there is no parameter \"{parameter}\": expected {}",
                    known.join(", ")
                )
            }
            Problem::Unexpected(value, expected) => {
                write!(
                    f,
                    "the parameter \"{parameter}\" is \"{value}\": expected {expected}"
                )
            }
        }
    }
}

impl std::error::Error for QueryError {}

/// The parameters of a URL, decoded, each there once. An empty value stands for none, as in a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query of a URL.
    pub(crate) fn of(query: &str) -> Result<Self, QueryError> {
        let mut parameters = Self::default();
        for pair in query.split('&').filter(|it| !it.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).ok_or_else(|| QueryError::new(name, Problem::NotUtf8))?;
            let value = decoded(value).ok_or_else(|| QueryError::new(&name, Problem::NotUtf8))?;
            parameters.add(name, value)?;
        }
        Ok(parameters)
    }

    fn add(&mut self, name: String, value: String) -> Result<(), QueryError> {
        if self.0.iter().any(|(it, _)| *it == name) {
            return Err(QueryError::new(&name, Problem::Repeated));
        }
        if value.len() > MOST_BYTES {
            return Err(QueryError::new(&name, Problem::TooLong(value.len())));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Returns a value that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(it, _)| it == name)?;
        Some(&**value).filter(|it| !it.is_empty())
    }

    /// Reads a value that is not empty.
    pub(crate) fn read<T>(
        &self,
        name: &str,
        expected: impl Into<String>,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, QueryError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let wrong = || QueryError::unexpected(name, value, expected);
        read(value).map(Some).ok_or_else(wrong)
    }

    /// Checks that there are no others than these and those of a query.
    pub(crate) fn check(&self, others: &[&'static str]) -> Result<(), QueryError> {
        let known = || NAMES.iter().chain(others).copied();
        match self
            .0
            .iter()
            .find(|(name, _)| !known().any(|it| it == name))
        {
            Some((name, _)) => Err(QueryError::new(name, Problem::Unknown(known().collect()))),
            None => Ok(()),
        }
    }
}

fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

impl Query {
    /// Sets a parameter of the [module](super)'s list. An empty value changes nothing, as that of a form.
    ///
    /// # Errors
    ///
    /// If there is no such parameter, or the value is not what the parameter takes.
    ///
    /// ```
    /// use tracer::search::Query;
    ///
    /// let query = Query::new().with("route", "GET /a")?.with("slower", "250ms")?;
    /// assert_eq!(query.to_string(), "route=GET%20%2Fa&slower=250ms");
    ///
    /// let error = query.with("slower", "250").unwrap_err();
    /// assert_eq!(error.expected(), "expected a time such as 250us, 30ms, 1.5s, 2m");
    /// # Ok::<(), tracer::search::QueryError>(())
    /// ```
    pub fn with(self, parameter: &str, value: &str) -> Result<Self, QueryError> {
        let mut parameters = Parameters::default();
        parameters.add(parameter.to_owned(), value.to_owned())?;
        parameters.check(&[])?;
        self.with_all(&parameters)
    }

    pub(crate) fn of(parameters: &Parameters) -> Result<Self, QueryError> {
        Self::new().with_all(parameters)
    }

    fn with_all(self, parameters: &Parameters) -> Result<Self, QueryError> {
        let mut query = self;
        for (name, set) in [
            ("id", Self::id as fn(Self, &str) -> Self),
            ("text", Self::text),
            ("route", Self::route),
            ("failure", Self::failure),
        ] {
            if let Some(value) = parameters.get(name) {
                query = set(query, value);
            }
        }
        let digits = "32 hexadecimal digits, not all 0";
        let trace_id = parameters.read("trace_id", digits, |it| {
            let digits = it.trim().replace('-', "").to_ascii_lowercase();
            digits.parse().ok()
        })?;
        let names = Outcomes::ALL.map(Outcomes::name).join(", ");
        let outcome = parameters.read("outcome", format!("one of {names}"), |value| {
            Outcomes::ALL.into_iter().find(|it| it.name() == value)
        })?;
        let slower = parameters.read("slower", values::EXPECTED_TIME, |it| {
            values::duration(it.trim())
        })?;
        let heavier = parameters.read("heavier", values::EXPECTED_SIZE, |it| {
            values::bytes(it.trim())
        })?;
        let since = parameters.read("since", When::EXPECTED, |it| When::parse(it.trim()))?;
        let until = parameters.read("until", When::EXPECTED, |it| When::parse(it.trim()))?;
        query.trace_id = trace_id.or(query.trace_id);
        query.outcome = outcome.or(query.outcome);
        query.slower = slower.or(query.slower);
        query.heavier = heavier.or(query.heavier);
        query.since = since.or(query.since);
        query.until = until.or(query.until);
        Ok(query)
    }

    /// Returns the parameters with their values as texts.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let values = [
            self.id.clone(),
            self.trace_id.map(|it| it.to_string()),
            self.text.as_ref().map(|it| it.as_str().to_owned()),
            self.route.clone(),
            self.outcome.map(|it| it.name().to_owned()),
            self.failure.clone(),
            self.slower.map(values::shown),
            self.heavier.map(values::shown_bytes),
            self.since.map(|it| it.to_string()),
            self.until.map(|it| it.to_string()),
        ];
        { NAMES.into_iter().zip(values) }.filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Reads the query of a URL.
impl FromStr for Query {
    type Err = QueryError;

    fn from_str(query: &str) -> Result<Self, QueryError> {
        let parameters = Parameters::of(query)?;
        parameters.check(&[])?;
        Self::of(&parameters)
    }
}

/// Writes the query of a URL.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, value)) in self.parameters().enumerate() {
            if place > 0 {
                f.write_char('&')?;
            }
            write!(
                f,
                "{name}={}",
                utf8_percent_encode(&value, NON_ALPHANUMERIC)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wrong_parameter_is_named_with_its_value_and_what_was_expected() {
        for (query, told) in [
            (
                "id=%FF",
                "the parameter \"id\" is not UTF-8: expected UTF-8, percent-encoded",
            ),
            (
                "%FF=1",
                "the parameter \"%FF\" is not UTF-8: expected UTF-8, percent-encoded",
            ),
            (
                "id=1&text=2&id=",
                "the parameter \"id\" is there twice: expected it once",
            ),
            (
                "slowr=1s",
                "there is no parameter \"slowr\": expected id, trace_id, text, route, outcome, failure, slower, \
                 heavier, since, until",
            ),
            (
                "trace_id=0",
                "the parameter \"trace_id\" is \"0\": expected 32 hexadecimal digits, not all 0",
            ),
            (
                "outcome=%1b%5b2J",
                "the parameter \"outcome\" is \"\\u{1b}[2J\": expected one of failure, failed, panicked, cancelled, ok",
            ),
            (
                "slower=99999999999999999999s",
                "the parameter \"slower\" is \"99999999999999999999s\": expected a time such as 250us, 30ms, 1.5s, 2m",
            ),
            (
                "heavier=-1",
                "the parameter \"heavier\" is \"-1\": expected a size such as 100kB, 1.5MiB",
            ),
            (
                "since=yesterday",
                "the parameter \"since\" is \"yesterday\": expected a time such as 2026-11-29T17:05:00Z, or a time \
                 ago such as 90s, 10m, 2h, 7d",
            ),
        ] {
            assert_eq!(query.parse::<Query>().unwrap_err().to_string(), told);
        }
        let long = format!("id={}", "x".repeat(1 << 20));
        assert_eq!(
            long.parse::<Query>().unwrap_err().to_string(),
            "the parameter \"id\" has 1,048,576 bytes: expected 1,024 at most"
        );
        let long = format!("{}=1", "é".repeat(1000));
        assert!(long.parse::<Query>().unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn empty_parameters_are_those_of_an_empty_form() {
        let query = "id=&trace_id=&text=&route=&outcome=&failure=&slower=&heavier=&since=&until=&";
        assert!(query.parse::<Query>().unwrap().is_empty());
        let spaces = "id=+a+&trace_id=%204BF92F35-77B3-4DA6-A3CE-929D0E0E4736&slower=+1s+&text=a+b";
        assert_eq!(
            spaces.parse::<Query>().unwrap().to_string(),
            "id=a&trace_id=4bf92f3577b34da6a3ce929d0e0e4736&text=a%20b&slower=1s"
        );
    }

    fn query() -> impl Strategy<Value = Query> {
        let text = || proptest::option::of("\\PC{0,20}|[\\x00-\\x20&=+%#é]{0,20}");
        let when = proptest::option::of(prop_oneof![
            any::<u64>().prop_map(|it| When::Ago(Duration::from_nanos(it))),
            (0..10_000_000_000_u64, 0..1_000_000_000_u32)
                .prop_map(|(s, ns)| When::At(SystemTime::UNIX_EPOCH + Duration::new(s, ns))),
        ]);
        let outcome = proptest::option::of(proptest::sample::select(Outcomes::ALL.to_vec()));
        let numbers = any::<(Option<u128>, Option<u64>, Option<u64>)>();
        let texts = (text(), text(), text(), text());
        (texts, outcome, numbers, (when.clone(), when)).prop_map(
            |((id, words, route, failure), outcome, (trace, slower, heavier), (since, until))| {
                Query {
                    trace_id: trace.and_then(crate::TraceId::new),
                    outcome,
                    slower: slower.map(Duration::from_nanos),
                    heavier,
                    since,
                    until,
                    ..Query::new()
                        .id(&id.unwrap_or_default())
                        .text(&words.unwrap_or_default())
                        .route(&route.unwrap_or_default())
                        .failure(&failure.unwrap_or_default())
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_query_that_is_written_is_read(query in query()) {
            prop_assert_eq!(query.to_string().parse(), Ok(query));
        }

        #[test]
        fn any_text_is_a_query_or_an_error_of_bounded_length(text in "\\PC{0,200}|[a-z=&%0-9]{0,200}") {
            if let Err(error) = text.parse::<Query>() {
                prop_assert!(error.to_string().len() < 1000);
            }
        }
    }
}
