//! Kept failures as events of their own.

use std::sync::Arc;

use sentry_core::Hub;
use sentry_core::protocol::{Context, Event, Exception, Level, Value, Values};

use crate::primitives::excluded::Own;
use crate::report::{Outcome, Report, Request};

use super::attachment::{attachment, tree};
use super::facts::{CONTEXT, Facts};
use super::fingerprint;
use super::texts::{cut, tag};

/// Returns a [callback](crate::recorder::Builder::callback) that captures each kept request that failed or panicked
/// as an event of the level error, by the client and with the scope that `hub` has then.
///
/// The events of one route and failure are one issue: the fingerprint is the route, the failed call, and the message,
/// without numbers, ids and quoted texts. The report's tree is attached. Requests that were kept for other
/// reasons are no events. An error that the program captures inside a request itself is another event, with the same
/// trace id.
///
/// ```
/// use tracer::recorder::Recorder;
/// use tracer::sentry::kept_failures;
/// # use sentry_core as sentry;
///
/// // The hub of the process, to which `sentry::init` binds its client, before or after this.
/// let callback = kept_failures(sentry::Hub::main());
/// let recorder = Recorder::builder().callback("sentry", callback).start()?;
/// # Ok::<(), tracer::recorder::StartError>(())
/// ```
pub fn kept_failures(hub: Arc<Hub>) -> impl FnMut(&Arc<Report>) + Send + 'static {
    move |report| {
        let Some(request) = report.request.as_deref() else {
            return;
        };
        if !request.outcome.is_failure() {
            return;
        }
        // A hub of this event's own, so that its attachment is in no other event.
        let hub = Hub::new_from_top(&hub);
        if hub.client().is_none() {
            return;
        }
        let tree = tree(report);
        hub.configure_scope(|scope| {
            // Those of others, and of the whole process.
            scope.clear_breadcrumbs();
            scope.set_span(None);
            scope.add_attachment(attachment(&tree));
        });
        hub.capture_event(event(report, request));
    }
}

fn event(report: &Report, request: &Request) -> Event<'static> {
    let ended = report.started.checked_add(request.wall);
    let message = match &request.outcome {
        Outcome::Failed(message) => cut(message),
        _ => "a panic unwound through the request".to_owned(),
    };
    let mut event = Event {
        level: Level::Error,
        timestamp: ended.unwrap_or(report.started),
        transaction: Some(tag(&request.name)),
        logger: Some("tracer".to_owned()),
        exception: Values::from(vec![Exception {
            ty: match request.outcome {
                Outcome::Panicked => "request panicked",
                _ => "request failed",
            }
            .to_owned(),
            value: Some(message),
            ..Exception::default()
        }]),
        fingerprint: Vec::from(fingerprint::of(report, request).map(Into::into)).into(),
        ..Event::default()
    };
    let facts = || facts(report, request).map(Own::new);
    if let Some(facts) = alloc_counter::exclude(facts) {
        facts.add_to(&mut event);
    }
    if let Some(Context::Other(context)) = event.contexts.get_mut(CONTEXT) {
        let reasons = request.reasons.iter().map(|it| Value::from(cut(it)));
        context.insert("kept_because".to_owned(), Value::Array(reasons.collect()));
    }
    event
}

/// Returns the facts of a kept request; `None` for a report without ids.
fn facts(report: &Report, request: &Request) -> Option<Facts> {
    Some(Facts {
        trace: report.trace,
        trace_id: report.trace_id?,
        span_id: report.span_id?,
        parent_span: report.parent_span,
        elapsed: request.wall,
        total: report.total,
        route: Some(request.name.clone()),
        request_id: request.id.clone(),
        open: Vec::new(),
        more_open: 0,
    })
}
