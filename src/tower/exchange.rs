//! `Exchange`: one HTTP request and its response, while they are recorded.

use std::fmt::{self, Display, Write};

use arrayvec::ArrayString;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use percent_encoding::percent_decode;

use crate::propagation::{self, find, find_each};
use crate::recorder::{IdText, Name, Recording, bounded};
use crate::report::Outcome;
use crate::store::trace::Trace;
use crate::write::context::Entered;
use crate::write::execution::Execution;

use super::head::Head;
use super::kept::{self, Tells};
use super::{Options, id};

/// A request in flight. If its [`Shared`](super::shared::Shared) is dropped before it has ended, it is cancelled.
pub(super) struct Exchange {
    /// `None` in a spare one.
    recording: Option<Recording>,
    /// The execution in which the service runs, until the request is over.
    execution: Execution,
    /// A copy, since the request's own path keeps all bytes that were read from the client with it.
    path: ArrayString<256>,
    /// The method, if it is not one of the nine.
    unknown_method: Option<Method>,
    asks_for: AskedFor,
    status: Option<StatusCode>,
    /// The length of the response's body in bytes, if it is known. After that many, an HTTP/1 server polls no more, and
    /// does not wait for the end of the stream.
    length: Option<u64>,
    sent_bytes: u64,
    frames: u64,
    is_body_asked_for: bool,
    has_server_timing: bool,
    pub(super) tells: Tells,
    /// Whether the service is being polled. If this stays set, the poll has panicked.
    pub(super) is_polled: bool,
}

/// What the client asks for, by the method.
#[derive(Clone, Copy)]
enum AskedFor {
    Body,
    Head,
    Connection,
}

impl AskedFor {
    fn by(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connection,
            _ => Self::Body,
        }
    }
}

/// <https://grpc.github.io/grpc/core/md_doc__p_r_o_t_o_c_o_l-_h_t_t_p2.html>
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

impl Exchange {
    /// Starts a request in a spare exchange. The caller is inside of [`alloc_counter::exclude`].
    #[inline]
    pub(super) fn start(&mut self, options: &Options, name: Name<'_>, head: &Head<'_>) {
        let names = [&options.id_header, &propagation::TRACEPARENT];
        let [given_id, traceparent] = find_each(head.headers, names);
        let made;
        let id = if let Some(id) = given_id.and_then(id::readable) {
            id
        } else {
            made = id::make();
            IdText::of(&made)
        };
        // In its place, since it is long.
        let recording = &*self
            .recording
            .insert(options.recorder.begin_inside(name, Some(id)));
        let trace = recording.trace();
        if options.continues {
            propagation::continue_from(head.headers, traceparent, trace);
        }
        self.execution = Execution::begin(trace);
        self.path.clear();
        let path = head.whole_path();
        if self.path.try_push_str(path).is_err() {
            // `bounded` leaves no more than fits.
            let _ = self.path.write_str(&bounded(path));
        }
        self.unknown_method = head.known.is_none().then(|| head.method.clone());
        self.asks_for = AskedFor::by(head.method);
        self.status = None;
        self.length = None;
        (self.sent_bytes, self.frames) = (0, 0);
        self.is_body_asked_for = false;
        self.has_server_timing = options.has_server_timing;
        self.tells = Tells::of(options.tells_kept, head.headers);
        self.is_polled = false;
    }

    /// Returns an exchange without a request.
    pub(super) fn idle() -> Self {
        Self {
            recording: None,
            execution: Execution::none(),
            path: ArrayString::new(),
            unknown_method: None,
            asks_for: AskedFor::Body,
            status: None,
            length: None,
            sent_bytes: 0,
            frames: 0,
            is_body_asked_for: false,
            has_server_timing: false,
            tells: Tells::Nowhere,
            is_polled: false,
        }
    }

    /// Returns the trace, if the head of the response is to tell its time and allocations.
    pub(super) fn timing(&self) -> Option<&Trace> {
        self.has_server_timing.then(|| self.execution.trace())
    }

    /// Begins to run a part of the service in the request's trace. If [`end_poll`](Self::end_poll) does not follow, the
    /// request has panicked.
    #[inline]
    pub(super) fn begin_poll(&mut self) -> Option<Entered> {
        self.is_polled = true;
        self.execution.enter()
    }

    #[inline]
    pub(super) fn end_poll(&mut self, polling: Option<Entered>) {
        drop(polling);
        self.is_polled = false;
    }

    /// Drops a part of the service in the request's trace. If the response was not finished, the calls
    /// that stop meanwhile are cancelled.
    pub(super) fn drop_with(&mut self, work: impl FnOnce()) {
        let _entered = self.execution.enter_to_drop(self.is_cancelled());
        work();
    }

    /// Returns whether the request is cancelled if it ends now.
    fn is_cancelled(&self) -> bool {
        // After all bytes only trailers or the end of the stream can follow, and not every client waits
        // for these.
        let is_whole = self.length.is_some_and(|length| self.sent_bytes >= length);
        self.status.is_none() || (self.is_body_asked_for && !is_whole)
    }

    /// Sets the length of the body, if the body states it and the head does not: that is what the client was promised.
    pub(super) fn expects(&mut self, length: impl FnOnce() -> Option<u64>) {
        self.length = self.length.or_else(length);
    }

    /// Notes that the client asks for the response's body.
    pub(super) fn body_begins(&mut self) {
        self.is_body_asked_for = true;
    }

    /// Takes the status and the headers of the response.
    pub(super) fn answer(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status);
        self.length = None;
        let mut grpc_status = None;
        let is_wanted = |name: &HeaderName| name == header::CONTENT_LENGTH || *name == GRPC_STATUS;
        if headers.keys().any(is_wanted) {
            let length = find(headers, &header::CONTENT_LENGTH);
            self.length = length.and_then(|it| it.to_str().ok()?.parse().ok());
            grpc_status = find(headers, &GRPC_STATUS);
        }
        let Some(recording) = &mut self.recording else {
            return;
        };
        recording.status(status.as_u16());
        if status.is_server_error() {
            recording.fail_in_general(status);
        } else if status.is_client_error() {
            recording.outcome(Outcome::Ok);
        }
        if let Some(status) = grpc_status {
            self.fail_by_grpc(status, headers);
        }
    }

    /// Tells the caller in the head if the request is certain to be kept.
    #[inline]
    pub(super) fn tell_in_head(&mut self, headers: &mut HeaderMap) {
        if self.tells != Tells::Nowhere {
            self.tell_if_certain(headers);
        }
    }

    fn tell_if_certain(&mut self, headers: &mut HeaderMap) {
        let recording = self.recording.as_ref();
        if recording.is_some_and(|it| alloc_counter::exclude(|| it.is_kept_already())) {
            kept::tell(headers);
            self.tells = Tells::Nowhere;
        } else if self.tells == Tells::HeadOrTrailers && self.length.is_none() {
            kept::announce(headers);
        }
    }

    /// Takes the gRPC status from the trailers, or from the head of a response without a body.
    pub(super) fn grpc_status(&mut self, headers: &HeaderMap) {
        if let Some(status) = find(headers, &GRPC_STATUS) {
            self.fail_by_grpc(status, headers);
        }
    }

    fn fail_by_grpc(&mut self, status: &HeaderValue, headers: &HeaderMap) {
        if let Some(recording) = &mut self.recording
            && status.as_bytes() != b"0"
        {
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

    /// Returns whether no body follows the head.
    #[inline]
    pub(super) fn ends_with_head(&self) -> bool {
        let status = self.status.unwrap_or_default();
        let has_no_body = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        has_no_body
            || match self.asks_for {
                AskedFor::Body => false,
                AskedFor::Head => true,
                AskedFor::Connection => status.is_success(),
            }
    }

    #[inline]
    pub(super) fn sent(&mut self, bytes: usize) {
        self.frames += 1;
        self.sent_bytes += bytes as u64;
        if let Some(length) = self.length.filter(|length| self.sent_bytes > *length) {
            self.breaks_off(format_args!(
                "the body has more bytes than its content-length, which is {length}"
            ));
        }
    }

    /// Notes that the body has ended. If it had fewer bytes than were promised, the client gets an
    /// error.
    #[inline]
    pub(super) fn body_ends(&mut self) {
        let sent = self.sent_bytes;
        if let Some(length) = self.length.filter(|length| sent < *length) {
            self.breaks_off(format_args!(
                "the body ended after {sent} of {length} bytes"
            ));
        }
    }

    /// Marks the request as failed, since the response is not what its head promised.
    #[cold]
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
    }

    /// Ends the request. Returns whether it is kept. The caller is inside of [`alloc_counter::exclude`].
    pub(super) fn end(&mut self) -> bool {
        let Some(recording) = &mut self.recording else {
            return false;
        };
        self.execution = Execution::none();
        let is_kept = recording.finish_inside(|recording| {
            if let Some(method) = &self.unknown_method {
                recording.label("method", method);
            }
            recording.label("path", self.path);
            if let Some(status) = self.status {
                recording.label("status", status.as_u16());
                recording.label("sent", self.sent_bytes);
                recording.label("frames", self.frames);
            }
        });
        self.recording = None;
        is_kept
    }

    /// Ends the request, if it has not ended, because it is dropped.
    pub(super) fn end_early(&mut self) {
        let is_cancelled = self.is_cancelled();
        if let Some(recording) = &mut self.recording {
            if self.is_polled {
                recording.outcome_unless_failed(Outcome::Panicked);
            } else if is_cancelled {
                // A failure stays one, even if the client leaves before it was sent in full.
                recording.outcome_unless_failed(Outcome::Cancelled);
            }
            self.end();
        }
    }
}
