//! `Exchange`: one HTTP request and its response, while they are recorded.

use std::fmt::{self, Display, Write};
use std::ops::{Deref, DerefMut};

use arrayvec::ArrayString;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use percent_encoding::percent_decode;

use crate::primitives::fallible::Boxed;
use crate::primitives::spares::Spares;
use crate::propagation::{self, find, find_each};
use crate::recorder::{Name, Recording, bounded};
use crate::report::Outcome;
use crate::store::trace::Trace;
use crate::write::context::Entered;
use crate::write::execution::Execution;

use super::head::{Head, known, name};
use super::kept::{self, Tells};
use super::{Options, id};

/// A request in flight. If its [`Shared`] is dropped before it has ended, it is cancelled.
pub(super) struct Exchange {
    /// `None` when the request is over.
    recording: Option<Recording>,
    /// The execution in which the service runs, until the request is over.
    execution: Execution,
    /// A copy, since the request's own path keeps all bytes that were read from the client with it.
    path: ArrayString<256>,
    method: Method,
    status: Option<StatusCode>,
    /// The length of the response's body in bytes, if it is known. After that many, an HTTP/1 server polls no more, and
    /// does not wait for the end of the stream.
    length: Option<u64>,
    sent_bytes: u64,
    frames: u64,
    is_body_asked_for: bool,
    tells: Tells,
    /// Whether the service is being polled. If this stays set, the poll has panicked.
    is_polled: bool,
}

/// An exchange, as it goes from the service to the future and on to the body.
pub(super) struct Shared(Option<Boxed<Exchange>>);

static SPARES: Spares<Exchange> = Spares::new();

impl Shared {
    /// Does what [`Exchange::end_poll`] does, before the guard is dropped, and without a way to panic.
    #[inline]
    pub(super) fn end_poll(mut self) -> Self {
        if let Some(exchange) = &mut self.0 {
            exchange.is_polled = false;
        }
        self
    }
}

impl Deref for Shared {
    type Target = Exchange;

    #[inline]
    fn deref(&self) -> &Exchange {
        match &self.0 {
            Some(exchange) => exchange,
            None => unreachable!("it is there until the drop"),
        }
    }
}

impl DerefMut for Shared {
    #[inline]
    fn deref_mut(&mut self) -> &mut Exchange {
        match &mut self.0 {
            Some(exchange) => exchange,
            None => unreachable!("it is there until the drop"),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(mut exchange) = self.0.take() {
            alloc_counter::exclude(|| {
                exchange.end_early();
                SPARES.give(exchange);
            });
        }
    }
}

/// <https://grpc.github.io/grpc/core/md_doc__p_r_o_t_o_c_o_l-_h_t_t_p2.html>
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

impl Exchange {
    /// Begins a request, which has this name if the program's own rule gave one. Returns `None` if memory ran out:
    /// then the request is not recorded, and counts as dropped.
    pub(super) fn begin(
        options: &Options,
        name_given: Option<&str>,
        head: &Head<'_>,
    ) -> Option<Shared> {
        alloc_counter::exclude(|| {
            let recorder = &options.recorder;
            let begin = |id: &str| match name_given {
                Some(name) => recorder.begin_with_id(Name::of(name), id),
                None => recorder.begin_with_id(name(options, head), id),
            };
            let names = [&options.id_header, &propagation::TRACEPARENT];
            let [given_id, traceparent] = find_each(head.headers, names);
            let Some(mut exchange) = SPARES.take_or_make(Self::idle) else {
                id::with(given_id, begin).lose();
                return None;
            };
            // In their places, since all of it is long.
            let it = &mut *exchange;
            let recording = id::with(given_id, |id| it.recording.insert(begin(id)));
            let trace = recording.trace();
            if options.continues {
                propagation::continue_from(head.headers, traceparent, trace);
            }
            it.execution = Execution::begin(trace);
            it.path.clear();
            let path = head.whole_path();
            if it.path.try_push_str(path).is_err() {
                // `bounded` leaves no more than fits.
                let _ = it.path.write_str(&bounded(path));
            }
            it.method.clone_from(head.method);
            it.status = None;
            it.length = None;
            (it.sent_bytes, it.frames) = (0, 0);
            it.is_body_asked_for = false;
            it.tells = Tells::of(options.tells_kept, head.headers);
            it.is_polled = false;
            Some(Shared(Some(exchange)))
        })
    }

    /// Returns an exchange without a request.
    fn idle() -> Self {
        Self {
            recording: None,
            execution: Execution::none(),
            path: ArrayString::new(),
            method: Method::GET,
            status: None,
            length: None,
            sent_bytes: 0,
            frames: 0,
            is_body_asked_for: false,
            tells: Tells::Nowhere,
            is_polled: false,
        }
    }

    pub(super) fn trace(&self) -> &Trace {
        self.execution.trace()
    }

    /// Runs a part of the service in the request's trace. If it panics, the request has panicked.
    #[inline]
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let polling = self.begin_poll();
        let value = work();
        self.end_poll(polling);
        value
    }

    /// Begins what [`run`](Self::run) does. If [`end_poll`](Self::end_poll) does not follow, the request has panicked.
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
        let names = [&GRPC_STATUS, &header::CONTENT_LENGTH];
        let [grpc_status, length] = find_each(headers, names);
        self.status = Some(status);
        self.length = length.and_then(|it| it.to_str().ok()?.parse().ok());
        let Some(recording) = &mut self.recording else {
            return;
        };
        recording.status(status.as_u16());
        if status.is_server_error() {
            recording.fail_in_general(status);
        } else if status.is_client_error() {
            recording.outcome(Outcome::Ok);
        }
        self.fail_by_grpc(grpc_status, headers);
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

    /// Ends the request before its head is sent, and tells the caller in the head if it is kept.
    pub(super) fn end_with_head(&mut self, headers: &mut HeaderMap) {
        if self.end() && self.tells != Tells::Nowhere {
            kept::tell(headers);
        }
    }

    /// Ends the request after its body. Returns whether the caller is to be told in the trailers that it is kept.
    pub(super) fn end_with_body(&mut self) -> bool {
        self.end() && self.tells == Tells::HeadOrTrailers
    }

    /// Takes the gRPC status from the trailers, or from the head of a response without a body.
    pub(super) fn grpc_status(&mut self, headers: &HeaderMap) {
        self.fail_by_grpc(find(headers, &GRPC_STATUS), headers);
    }

    fn fail_by_grpc(&mut self, status: Option<&HeaderValue>, headers: &HeaderMap) {
        let status = status.filter(|it| it.as_bytes() != b"0");
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

    /// Returns whether no body follows the head.
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

    /// Notes that the body has ended. If it had fewer bytes than were promised, the client gets an
    /// error.
    pub(super) fn body_ends(&mut self) {
        let sent = self.sent_bytes;
        if let Some(length) = self.length.filter(|length| sent < *length) {
            self.breaks_off(format_args!(
                "the body ended after {sent} of {length} bytes"
            ));
        }
    }

    /// Marks the request as failed, since the response is not what its head promised.
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

    /// Ends the request. Returns whether it is kept.
    pub(super) fn end(&mut self) -> bool {
        let Some(recording) = &mut self.recording else {
            return false;
        };
        self.execution = Execution::none();
        let is_kept = recording.finish_with(|recording| {
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
        self.recording = None;
        is_kept
    }

    /// Ends the request, if it has not ended, because it is dropped.
    fn end_early(&mut self) {
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
