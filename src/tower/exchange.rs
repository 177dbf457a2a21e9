//! A request and its response, as they are recorded.

use std::fmt::{Display, Write};

use arrayvec::ArrayString;
use axum::extract::MatchedPath;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, header};

use crate::context::Entered;
use crate::pool::Member;
use crate::recorder::{Recorder, Recording};
use crate::report::Outcome;
use crate::strand::Strand;
use crate::trace::Trace;

use super::{Options, RequestId};

/// A request that is not over. Dropped before it was said how it ended, it is cancelled.
pub(super) struct Exchange {
    /// There until it is over.
    recording: Option<Recording>,
    /// Everything that the service does for the request, until then.
    strand: Option<&'static Member<Strand>>,
    path: Option<PathAndQuery>,
    is_head: bool,
    is_connect: bool,
    status: Option<StatusCode>,
    sent_bytes: u64,
    frames: u64,
    /// Something of the service is being polled: if that does not return, it panics.
    is_polled: bool,
}

/// Longer names are cut.
type Name = ArrayString<256>;

impl Exchange {
    pub(super) fn begin(
        recorder: &Recorder,
        options: &Options,
        parts: &Parts,
    ) -> (Box<Self>, RequestId) {
        alloc_counter::exclude(|| {
            let id = RequestId::of(parts.headers.get(&options.id_header));
            let named = options.name_by.as_ref().and_then(|name_by| name_by(parts));
            let recording = match named {
                Some(name) => recorder.begin_with_id(&name, id.shared()),
                None => recorder.begin_with_id(&name(parts), id.shared()),
            };
            // In a box, as it goes from the service to the future to the body.
            let exchange = Box::new(Self {
                strand: recording.trace().new_strand(),
                recording: Some(recording),
                path: parts.uri.path_and_query().cloned(),
                is_head: parts.method == Method::HEAD,
                is_connect: parts.method == Method::CONNECT,
                status: None,
                sent_bytes: 0,
                frames: 0,
                is_polled: false,
            });
            (exchange, id)
        })
    }

    pub(super) fn trace(&self) -> &Trace {
        static EMPTY: Trace = Trace::empty();
        self.recording.as_ref().map_or(&EMPTY, Recording::trace)
    }

    /// What the service does is of the request; where it panics, so does the request.
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.is_polled = true;
        let entered = self.strand.map(Entered::new);
        let value = work();
        drop(entered);
        self.is_polled = false;
        value
    }

    /// Drops what the service had begun and not finished; the calls that stop meanwhile are
    /// cancelled.
    pub(super) fn cancel(&mut self, work: impl FnOnce()) {
        let _entered = self.strand.map(Entered::new);
        if let Some(strand) = self.strand {
            strand.cancelling.begin();
        }
        work();
    }

    /// The head of the response is there.
    pub(super) fn answer(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status);
        let Some(recording) = &mut self.recording else {
            return;
        };
        if status.is_server_error() {
            recording.outcome(failed_with(status));
        } else if status.is_client_error() {
            recording.outcome(Outcome::Ok);
        }
        self.grpc_status(headers);
    }

    /// In the head of a response without a body, or in the trailers.
    pub(super) fn grpc_status(&mut self, headers: &HeaderMap) {
        let status = headers
            .get("grpc-status")
            .filter(|it| it.as_bytes() != b"0");
        if let (Some(status), Some(recording)) = (status, &mut self.recording) {
            let message = headers.get("grpc-message");
            let status = String::from_utf8_lossy(status.as_bytes());
            match message {
                Some(message) => {
                    let message = String::from_utf8_lossy(message.as_bytes());
                    recording.fail(format_args!("grpc-status {status}: {message}"));
                }
                None => recording.fail(format_args!("grpc-status {status}")),
            }
        }
    }

    /// Whether no body follows the head.
    pub(super) fn ends_with_head(&self) -> bool {
        let status = self.status.unwrap_or_default();
        let has_no_body = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        self.is_head || has_no_body || (self.is_connect && status.is_success())
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.frames += 1;
        self.sent_bytes += bytes as u64;
    }

    pub(super) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    pub(super) fn fail(&mut self, error: impl Display) {
        if let Some(recording) = &mut self.recording {
            recording.fail(error);
        }
        self.end();
    }

    /// The request is over.
    pub(super) fn end(&mut self) {
        let Some(recording) = self.recording.take() else {
            return;
        };
        if let Some(strand) = self.strand.take() {
            recording.trace().end(strand);
        }
        recording.finish_with(|recording| {
            if let Some(path) = &self.path {
                recording.label("path", path.path());
            }
            if let Some(status) = self.status {
                recording.label("status", status.as_u16());
                recording.label("sent", self.sent_bytes);
                recording.label("frames", self.frames);
            }
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(recording) = &mut self.recording {
            // Who asked may leave before a failure is told in full; it stays one.
            recording.outcome_unless_failed(if self.is_polled {
                Outcome::Panicked
            } else {
                Outcome::Cancelled
            });
            self.end();
        }
    }
}

/// `500 Internal Server Error`
fn failed_with(status: StatusCode) -> Outcome {
    Outcome::Failed(status.to_string())
}

/// Method and route.
fn name(parts: &Parts) -> Name {
    let mut name = Name::new();
    let mut append = |text: &str| {
        let room = name.remaining_capacity();
        let _ = name.write_str(&text[..text.floor_char_boundary(room)]);
    };
    append(parts.method.as_str());
    let content = parts.headers.get(header::CONTENT_TYPE);
    let is_grpc = content.is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"));
    let route = match parts.extensions.get::<MatchedPath>() {
        _ if is_grpc => Some(parts.uri.path()),
        route => route.map(MatchedPath::as_str),
    };
    if let Some(route) = route {
        append(" ");
        append(route);
    }
    name
}
