//! The group of a failed request's event: its route and its failure.

use crate::report::{Outcome, Report, Request};

use super::texts::cut;

/// Returns the fingerprint of a failed request: its route, the call that failed, and its message without what
/// differs from request to request. Events with equal ones are one issue.
pub(super) fn of(report: &Report, request: &Request) -> [String; 4] {
    let failed = report.calls.iter().find(|call| call.outcome.is_failure());
    let at = failed.map_or_else(String::new, |call| {
        format!("{}::{}", call.module, call.name)
    });
    let failure = match &request.outcome {
        Outcome::Failed(message) => common(message),
        _ => "panicked".to_owned(),
    };
    ["tracer".to_owned(), cut(&request.name), cut(&at), failure]
}

/// Replaces each word that has a digit by `#`, so that ids do not make groups of their own. A status at the
/// beginning stays.
fn common(message: &str) -> String {
    let is_status = |word: &str| word.len() == 3 && word.bytes().all(|it| it.is_ascii_digit());
    let is_part = |it: char| it.is_alphanumeric() || matches!(it, '_' | '-');
    let message = cut(message);
    let mut common = String::new();
    let mut rest = &*message;
    while let Some(first) = rest.chars().next() {
        let end = match rest.find(|it| !is_part(it)).unwrap_or(rest.len()) {
            0 => first.len_utf8(),
            end => end,
        };
        let (word, after) = rest.split_at(end);
        let stays = common.is_empty() && is_status(word);
        if word.contains(|it: char| it.is_ascii_digit()) && !stays {
            common.push('#');
        } else {
            common.push_str(word);
        }
        rest = after;
    }
    common
}

#[cfg(test)]
mod tests {
    use super::common;

    #[test]
    fn what_differs_from_request_to_request_is_left_out() {
        for (message, expected) in [
            ("500 Internal Server Error", "500 Internal Server Error"),
            ("order 42 of ca7a87c4-11: no", "order # of #: no"),
            (
                "connect to 10.0.0.1:5432 timed out",
                "connect to #.#.#.#:# timed out",
            ),
            ("4711", "#"),
            ("ü7 \u{1b}[2J\n", "# \u{1b}[#\n"),
            ("", ""),
        ] {
            assert_eq!(common(message), expected);
        }
    }
}
