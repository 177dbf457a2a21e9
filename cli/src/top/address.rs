//! The address of a page, and its token, which is never shown.

use std::fmt;

use percent_encoding::percent_decode_str;
use tracer::__command::Escaped;
use ureq::http::{HeaderValue, Uri};

use super::model::Problem;

/// The environment variable that holds the token.
pub(crate) const VARIABLE: &str = "TRACER_TOKEN";

/// `Display` shows it without the token.
pub(crate) struct Address {
    /// Without query.
    base: String,
    token: Option<HeaderValue>,
}

impl Address {
    /// Reads an address as `Page::url` returns it. A token given apart takes precedence over the one in it, which
    /// takes precedence over that of the environment.
    pub(crate) fn of(
        text: &str,
        given: Option<&str>,
        of_environment: Option<&str>,
    ) -> Result<Self, Problem> {
        // What follows may be the token.
        let (base, query) = text.split_once(['?', '#']).unwrap_or((text, ""));
        let wrong = |expected: &str| Problem(format!("{}: expected {expected}", Escaped(base)));
        let uri: Uri = base
            .parse()
            .map_err(|_| wrong("an address such as http://127.0.0.1:3000/debug/traces"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(Problem(
                    "https: expected http, as the page is for clients on its machine: from another one, forward \
                     its port with ssh -L 3000:127.0.0.1:3000 HOST"
                        .to_owned(),
                ));
            }
            _ => return Err(wrong("http:// at the beginning")),
        }
        if uri.authority().is_none_or(|it| it.as_str().contains('@')) {
            let why = "expected an address without a user: it has an @ before the path";
            return Err(Problem(why.to_owned()));
        }
        let of_query = query
            .split(['&', '#'])
            .find_map(|it| it.strip_prefix("token="));
        let of_query = of_query
            .map(|it| percent_decode_str(it).decode_utf8())
            .transpose();
        let of_query = of_query.map_err(|_| Problem(malformed("in the address")))?;
        let sources = [
            (given, "after --token"),
            (of_query.as_deref(), "in the address"),
            (of_environment, "in the variable TRACER_TOKEN"),
        ];
        let token = sources
            .iter()
            .find_map(|(token, place)| token.map(|token| (token, place)));
        let token = token
            .map(|(token, place)| header(token).ok_or_else(|| Problem(malformed(place))))
            .transpose()?;
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { base, token })
    }

    /// Returns the address of a page below it.
    pub(crate) fn below(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Returns the value of the header `Authorization`.
    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.base).fmt(f)
    }
}

fn header(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    (!token.is_empty()).then_some(value)
}

fn malformed(place: &str) -> String {
    format!(
        "the token {place} is malformed: expected visible characters, as the service printed them"
    )
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, proptest};

    use super::*;

    fn token(text: &str, given: Option<&str>, of_environment: Option<&str>) -> Option<String> {
        let address = Address::of(text, given, of_environment).unwrap();
        assert_eq!(address.to_string(), "http://localhost:3000/debug/traces");
        Some(address.token()?.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_token_is_the_one_that_is_given_most_explicitly() {
        let with = "http://localhost:3000/debug/traces/?token=in%2Bthe";
        let without = "http://localhost:3000/debug/traces";
        let bearer = |it: &str| Some(format!("Bearer {it}"));
        assert_eq!(token(with, Some("given"), Some("env")), bearer("given"));
        assert_eq!(token(with, None, Some("env")), bearer("in+the"));
        assert_eq!(token(without, None, Some("env")), bearer("env"));
        assert_eq!(token(without, None, None), None);
    }

    proptest! {
        #[test]
        fn whatever_is_given_no_error_has_the_token(base in ".{0,40}", token in "[a-z]{20,30}") {
            for begin in ["", "http://", "https://", "http://localhost/", "http://localhost/%"] {
                for query in ["?token=", "?a&token=", "#token=", "?token=%FF", "?token=%0A"] {
                    let text = format!("{begin}{base}{query}{token}");
                    if let Err(problem) = Address::of(&text, Some(&format!("\n{token}")), None) {
                        prop_assert!(!problem.to_string().contains(&token), "{problem}");
                    }
                }
            }
        }
    }

    #[test]
    fn errors_name_what_was_expected_and_never_the_token() {
        let error = |text: &str, token: Option<&str>| match Address::of(text, token, None) {
            Ok(address) => panic!("{address}"),
            Err(problem) => problem.to_string(),
        };
        assert_eq!(
            error("http://local host/?token=secret", None),
            "http://local host/: expected an address such as http://127.0.0.1:3000/debug/traces"
        );
        assert_eq!(
            error("ftp://localhost/?token=secret", None),
            "ftp://localhost/: expected http:// at the beginning"
        );
        let https = error("https://localhost/?token=secret", None);
        assert!(https.starts_with("https: expected http,"), "{https}");
        assert_eq!(
            error("http://secret@localhost/", None),
            "expected an address without a user: it has an @ before the path"
        );
        for (text, token, place) in [
            ("http://localhost/?token=secret%0Aa", None, "in the address"),
            ("http://localhost/?token=secret%FF", None, "in the address"),
            ("http://localhost/?token=", None, "in the address"),
            ("http://localhost/", Some("secret\r\n"), "after --token"),
        ] {
            assert_eq!(error(text, token), malformed(place));
        }
    }
}
