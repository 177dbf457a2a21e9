//! Requests that begin with a root span.

use tracing_core::Metadata;
use tracing_core::span::Attributes;

use crate::primitives::text::copied;
use crate::recorder::{Recorder, Recording};
use crate::store::address::Address;

use super::fields::text_of;
use super::span::{Place, SpanRef};
use super::subscriber;

/// Which spans begin requests, and of which recorder.
#[derive(Default)]
pub(super) struct Requests {
    pub(super) recorder: Option<Recorder>,
    also: Vec<Box<Predicate>>,
}

type Predicate = dyn Fn(&'static Metadata<'static>) -> bool + Send + Sync;

/// <https://docs.rs/tower-http/latest/src/tower_http/trace/make_span.rs.html>
const TOWER_HTTP: &str = "tower_http::trace::make_span";
/// <https://docs.rs/tracing-opentelemetry/latest/tracing_opentelemetry/#special-fields>
const KIND: &str = "otel.kind";
const NAME: &str = "otel.name";

/// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>, and tower-http's names.
const METHODS: &[&str] = &["http.request.method", "http.method", "method"];
const ROUTES: &[&str] = &["http.route", "route", "matched_path"];
/// What `TraceLayer` emits for a response, and for a failure:
/// <https://docs.rs/tower-http/latest/tower_http/trace/index.html>
const ANSWERS: &[&str] = &[
    "tower_http::trace::on_response",
    "tower_http::trace::on_failure",
];

impl Requests {
    pub(super) fn also(
        &mut self,
        is_request: impl Fn(&'static Metadata<'static>) -> bool + Send + Sync + 'static,
    ) {
        self.also.push(Box::new(is_request));
    }

    /// Whether it will be seen that the request is answered. `TraceLayer` then clones its span for the
    /// response's body, of which only the wrapper is told.
    pub(super) fn awaits_answer(metadata: &Metadata<'_>) -> bool {
        metadata.target() == TOWER_HTTP && subscriber::is_wrapped()
    }

    /// Notes an event, in the span around it.
    #[inline]
    pub(super) fn see(&self, event: &Metadata<'_>, span: impl FnOnce() -> Option<SpanRef>) {
        if self.recorder.is_some()
            && ANSWERS.contains(&event.target())
            && let Some(mut state) = span().and_then(SpanRef::state)
        {
            state.note_answer();
        }
    }

    /// Begins a request, if the span is one.
    pub(super) fn begin(
        &self,
        attributes: &Attributes<'_>,
        id_fields: &[&str],
    ) -> Option<Recording> {
        let recorder = self.recorder.as_ref()?;
        alloc_counter::exclude(|| {
            let metadata = attributes.metadata();
            let read = |name: &str| {
                metadata.fields().field(name)?;
                let text = text_of(|visit| attributes.record(visit), |other| other == name)?;
                copied(text.as_str())
            };
            let is_server = || read(KIND).is_some_and(|kind| kind.eq_ignore_ascii_case("server"));
            let is_request = metadata.target() == TOWER_HTTP
                || is_server()
                || self.also.iter().any(|is_request| is_request(metadata));
            if !is_request {
                return None;
            }
            let name = read(NAME).unwrap_or_else(|| {
                let method = METHODS.iter().find_map(|name| read(name));
                let route = ROUTES.iter().find_map(|name| read(name));
                match (method, route) {
                    (Some(method), Some(route)) => format!("{method} {route}"),
                    (Some(method), None) => format!("{method} {}", metadata.name()),
                    _ => metadata.name().to_owned(),
                }
            });
            let mut recording = recorder.begin(&name);
            if let Some(id) = id_fields.iter().find_map(|name| read(name)) {
                recording.id(id);
            }
            Some(recording)
        })
    }
}

/// Returns where the span of a request is.
pub(super) fn place(recording: &Recording) -> Place {
    Place {
        trace: recording.trace().downgrade(),
        parent: Address::NONE,
        around: None,
        is_root: false,
    }
}
