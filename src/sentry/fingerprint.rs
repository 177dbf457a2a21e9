//! The group of a failed request's event: its route and its failure.

use crate::report::message::common;
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
