//! A request and its response, as they are recorded.

use std::fmt::{self, Display, Write};

use arrayvec::ArrayString;
use axum::extract::{MatchedPath, OriginalUri};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use percent_encoding::percent_decode;

use crate::primitives::excluded::Own;
use crate::primitives::fallible::Boxed;
use crate::primitives::pool::Member;
use crate::primitives::text::{character_boundary, unless_it_panics};
use crate::recorder::{Recorder, Recording, bounded};
use crate::report::Outcome;
use crate::store::strand::Strand;
use crate::store::trace::Trace;
use crate::write::context::Entered;

use super::{Options, RequestId};

/// A request that is not over. Dropped before it was said how it ended, it is cancelled.
pub(super) struct Exchange {
    /// There until it is over.
    recording: Option<Recording>,
    /// Everything that the service does for the request, until then.
    strand: Option<&'static Member<Strand>>,
    /// A copy, as what the request has is a part of what was read from the client, all of which it
    /// would keep.
    path: Name,
    method: Method,
    status: Option<StatusCode>,
    /// How many bytes the response's body has, where that is known.
    length: Option<u64>,
    sent_bytes: u64,
    frames: u64,
    is_body_asked_for: bool,
    /// Something of the service is being polled: if that does not return, it panics.
    is_polled: bool,
}

/// An exchange, as it goes from the service to the future and on to the body.
pub(super) type Shared = Own<Boxed<Exchange>>;

/// <https://grpc.github.io/grpc/core/md_doc__p_r_o_t_o_c_o_l-_h_t_t_p2.html>
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Longer names and paths are cut.
type Name = ArrayString<256>;

impl Exchange {
    /// None if there is no memory: then the request is not recorded, and counts as dropped.
    pub(super) fn begin(
        recorder: &Recorder,
        options: &Options,
        parts: &Parts,
        id: &RequestId,
    ) -> Option<Shared> {
        alloc_counter::exclude(|| {
            let recording = match named_by(options, parts) {
                Some(name) => recorder.begin_with_id(&name, id.copy()),
                None => recorder.begin_with_id(&name(options, parts), id.copy()),
            };
            let exchange = Boxed::new(Self {
                strand: recording.trace().new_strand(),
                recording: Some(recording),
                path: cut(whole_path(parts)),
                method: parts.method.clone(),
                status: None,
                length: None,
                sent_bytes: 0,
                frames: 0,
                is_body_asked_for: false,
                is_polled: false,
            });
            match exchange {
                Ok(exchange) => Some(Own::new(exchange)),
                Err(mut exchange) => {
                    if let Some(recording) = exchange.recording.take() {
                        if let Some(strand) = exchange.strand.take() {
                            recording.trace().end(strand);
                        }
                        recording.lose();
                    }
                    None
                }
            }
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

    /// Drops what the service had begun; the calls that stop meanwhile are cancelled, where it had not
    /// finished.
    pub(super) fn drop_with(&mut self, work: impl FnOnce()) {
        let _entered = self.strand.map(Entered::new);
        if let Some(strand) = self.strand
            && self.is_cancelled()
        {
            strand.cancelling.begin();
        }
        work();
    }

    /// Whether it is, if it ends now.
    fn is_cancelled(&self) -> bool {
        // Where all bytes are there, what may come are trailers, or the word that nothing comes, for
        // which not everybody waits.
        let is_whole = self.length.is_some_and(|length| self.sent_bytes >= length);
        self.status.is_none() || (self.is_body_asked_for && !is_whole)
    }

    /// Sets how many bytes the body has, if the head or the body says so.
    pub(super) fn expects(&mut self, length: Option<u64>) {
        self.length = length;
    }

    /// The body is asked for.
    pub(super) fn body_begins(&mut self) {
        self.is_body_asked_for = true;
    }

    /// The head of the response is there.
    pub(super) fn answer(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status);
        let Some(recording) = &mut self.recording else {
            return;
        };
        recording.status(status.as_u16());
        if status.is_server_error() {
            recording.fail_in_general(status);
        } else if status.is_client_error() {
            recording.outcome(Outcome::Ok);
        }
        self.grpc_status(headers);
    }

    /// In the head of a response without a body, or in the trailers.
    pub(super) fn grpc_status(&mut self, headers: &HeaderMap) {
        let status = headers.get(&GRPC_STATUS).filter(|it| it.as_bytes() != b"0");
        if let (Some(status), Some(recording)) = (status, &mut self.recording) {
            let message = headers.get(&GRPC_MESSAGE);
            let status = String::from_utf8_lossy(status.as_bytes());
            match message {
                Some(message) => {
                    let message = percent_decode(message.as_bytes()).decode_utf8_lossy();
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
        let is_connected = self.method == Method::CONNECT && status.is_success();
        self.method == Method::HEAD || has_no_body || is_connected
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.frames += 1;
        self.sent_bytes += bytes as u64;
        if let Some(length) = self.length.filter(|length| self.sent_bytes > *length) {
            self.breaks_off(format_args!(
                "the body has more bytes than its content-length, which is {length}"
            ));
        }
    }

    /// The body has ended: after fewer bytes than were promised, the client gets an error.
    pub(super) fn body_ends(&mut self) {
        let sent = self.sent_bytes;
        if let Some(length) = self.length.filter(|length| sent < *length) {
            self.breaks_off(format_args!(
                "the body ended after {sent} of {length} bytes"
            ));
        }
    }

    /// The response is not what its head promised.
    fn breaks_off(&mut self, why: fmt::Arguments<'_>) {
        if let Some(recording) = &mut self.recording {
            alloc_counter::exclude(|| {
                recording.outcome_unless_failed(Outcome::Failed(why.to_string()));
            });
        }
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
            if known(&self.method).is_none() {
                recording.label("method", &self.method);
            }
            recording.label("path", self.path);
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
        let is_cancelled = self.is_cancelled();
        if let Some(recording) = &mut self.recording {
            if self.is_polled {
                recording.outcome_unless_failed(Outcome::Panicked);
            } else if is_cancelled {
                // Who asked may leave before a failure is told in full; it stays one.
                recording.outcome_unless_failed(Outcome::Cancelled);
            }
            self.end();
        }
    }
}

/// What a rule of the program's own says.
fn named_by(options: &Options, parts: &Parts) -> Option<String> {
    let name_by = options.name_by.as_deref()?;
    unless_it_panics(|| name_by(parts))?
}

/// The path that the client asked for: to a nested router axum gives only the rest of it.
fn whole_path(parts: &Parts) -> &str {
    let asked = parts.extensions.get::<OriginalUri>();
    asked.map_or(&parts.uri, |asked| &asked.0).path()
}

/// As much of a text as there is room for.
fn cut(text: &str) -> Name {
    let mut cut = Name::new();
    // It has room for what is left of it.
    let _ = cut.write_str(&bounded(text));
    cut
}

/// Method and route.
fn name(options: &Options, parts: &Parts) -> Name {
    let mut name = Name::new();
    let mut append = |text: &str| {
        let room = name.remaining_capacity();
        let _ = name.write_str(&text[..character_boundary(text.as_bytes(), room)]);
    };
    append(known(&parts.method).unwrap_or("HTTP"));
    let route = parts.extensions.get::<MatchedPath>();
    let route = route.map(MatchedPath::as_str);
    let path = parts.uri.path();
    // What catches all is none of the service's methods.
    let is_known = route.is_some_and(|route| !route.contains("{*"));
    let route = if options.is_grpc && !is_known && is_grpc_method(path) {
        Some(path)
    } else {
        route
    };
    if let Some(route) = route {
        append(" ");
        append(route);
    } else if parts.extensions.get::<OriginalUri>().is_some() {
        // It is a router of axum's that knows no route for it.
        append(" (no route)");
    }
    name
}

/// The methods of <https://www.rfc-editor.org/rfc/rfc9110#section-9> and
/// <https://www.rfc-editor.org/rfc/rfc5789>. Others are whatever a client likes.
fn known(method: &Method) -> Option<&'static str> {
    Some(match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => return None,
    })
}

/// `/package.Service/Method`
fn is_grpc_method(path: &str) -> bool {
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        !name.is_empty() && bytes.all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_'))
    };
    let names = path.strip_prefix('/').and_then(|it| it.split_once('/'));
    names.is_some_and(|(service, method)| is_name(service) && is_name(method))
}
