//! The layer: what a subscriber tells of spans and events.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};

use tracing_core::field::Visit;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::primitives::pool::Member;
use crate::primitives::table::Table;
use crate::primitives::text::Text;
use crate::store::callsite::Callsite;
use crate::write::annotate;
use crate::write::cursor::{self, Position};

use super::fields;
use super::span::{New, Place, Span, SpanRef, note_dropped};
use super::subscriber;
use super::thread::{self, Key, Spans};

static LAYERS: AtomicU32 = AtomicU32::new(0);

/// The default names of the field that is a call's id.
const ID_FIELDS: &[&str] = &["request_id", "id"];

/// A layer that makes calls of spans, made by [`layer`](super::layer). Its rules are those of the
/// [module](super).
pub struct CallLayer {
    /// Tells its spans from those of other layers, whose ids may be the same.
    number: u32,
    /// Another layer of this kind stands below: this one does nothing.
    is_second: AtomicBool,
    spans: Table<Member<Span>>,
    id_fields: Vec<&'static str>,
    checkpoints: LevelFilter,
    failures: LevelFilter,
    #[cfg(feature = "recorder")]
    requests: super::requests::Requests,
}

impl fmt::Debug for CallLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallLayer")
            .field("id_fields", &self.id_fields)
            .field("checkpoints", &self.checkpoints)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

impl CallLayer {
    pub(super) fn new() -> Self {
        Self {
            number: LAYERS.fetch_add(1, Relaxed),
            is_second: AtomicBool::new(false),
            spans: Table::new(),
            id_fields: ID_FIELDS.to_vec(),
            checkpoints: LevelFilter::INFO,
            failures: LevelFilter::OFF,
            #[cfg(feature = "recorder")]
            requests: super::requests::Requests::default(),
        }
    }

    /// Sets the name of the field that is a call's [id](crate::CallReport::id); by default `request_id`,
    /// or else `id`. Other fields are labels.
    ///
    /// The first layer in the process that sees a span decides for all spans of that place in the code.
    ///
    /// ```
    /// use tracing_subscriber::prelude::*;
    ///
    /// let layer = tracer::tracing::layer().id_field("order");
    /// tracing_subscriber::registry().with(layer).init();
    ///
    /// let trace = tracer::Trace::new();
    /// let _scope = trace.inject();
    /// tracing::info_span!("pack", order = 7, rows = 3).in_scope(|| { /* … */ });
    /// assert_eq!(trace.report().calls[0].id.as_deref(), Some("7"));
    /// ```
    #[must_use]
    pub fn id_field(mut self, name: &'static str) -> Self {
        self.id_fields = vec![name];
        self
    }

    /// Sets the most verbose level of the events that become
    /// [checkpoints](crate::CallReport::checkpoints); `INFO` by default, which includes `WARN` and `ERROR`.
    /// With `LevelFilter::OFF` no event does.
    #[must_use]
    pub fn checkpoints(mut self, level: impl Into<LevelFilter>) -> Self {
        self.checkpoints = level.into();
        self
    }

    /// Sets the most verbose level of the events that mark their span as failed, whatever their fields; none
    /// by default. `ERROR` suits programs that log an error only if the work can't go on.
    ///
    /// An event with a field `error`, as `#[instrument(err)]` emits it, marks its span at any level.
    #[must_use]
    pub fn failures(mut self, level: impl Into<LevelFilter>) -> Self {
        self.failures = level.into();
        self
    }

    /// Lets root spans begin requests of this recorder: the spans of tower-http's `TraceLayer`, and those
    /// with the field `otel.kind = "server"`, if no trace is current when they are made.
    ///
    /// The request's name is the value of `otel.name`. Without that field it is the method and the route
    /// (`http.request.method`, `http.method` or `method`; `http.route`, `route` or `matched_path`). Without a
    /// route it is the method, if there is one, and the span's name. These fields have to have their values when
    /// the span is made. The request's id is the span's [id field](Self::id_field). The request ends when the
    /// span is closed, that is when its last handle is dropped; with `TraceLayer`, after the response's body.
    #[cfg(feature = "recorder")]
    #[must_use]
    pub fn recorder(mut self, recorder: crate::recorder::Recorder) -> Self {
        self.requests.recorder = Some(recorder);
        self
    }

    /// Lets more root spans begin requests: those for whose metadata `is_request` returns `true`. It is
    /// asked about spans that are made while no trace is current. Without a [`recorder`](Self::recorder) it
    /// has no effect.
    ///
    /// ```
    /// use tracer::recorder::Recorder;
    ///
    /// let recorder = Recorder::builder().start()?;
    /// let layer = tracer::tracing::layer()
    ///     .recorder(recorder)
    ///     .requests(|span| span.target().starts_with("jobs") && span.name() == "run");
    /// # Ok::<(), tracer::recorder::StartError>(())
    /// ```
    #[cfg(feature = "recorder")]
    #[must_use]
    pub fn requests(
        mut self,
        is_request: impl Fn(&'static Metadata<'static>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.requests.also(is_request);
        self
    }

    fn key(&self, id: &Id) -> Key {
        Key {
            layer: self.number,
            id: id.into_u64(),
        }
    }

    /// Adds a new span of the current trace.
    #[inline(never)]
    fn add_here(&self, attributes: &Attributes<'_>, id: &Id) {
        let metadata = attributes.metadata();
        let callsite = fields::callsite(metadata, &self.id_fields);
        if callsite.has_texts() {
            return self.add_with_texts(attributes, id, callsite);
        }
        let id = id.into_u64();
        let is_added = thread::here(|spans| {
            let new = spans.see_new(self.number, attributes.is_root())?;
            subscriber::note(new.place.trace);
            self.begin(spans, id, callsite, new, &[])
        });
        if is_added.flatten().is_none() {
            note_dropped();
        }
    }

    #[inline(never)]
    fn add_with_texts(&self, attributes: &Attributes<'_>, id: &Id, callsite: &'static Callsite) {
        let new = thread::here(|spans| spans.see_new(self.number, attributes.is_root()));
        if let Some(new) = new.flatten() {
            subscriber::note(new.place.trace);
            self.add(attributes, id, callsite, new);
        }
    }

    /// Adds a new span, whose place is known.
    fn add(
        &self,
        attributes: &Attributes<'_>,
        id: &Id,
        callsite: &'static Callsite,
        new: New,
    ) -> Option<&'static Member<Span>> {
        let metadata = attributes.metadata();
        if fields::are_too_many(metadata) {
            note_dropped();
        }
        // Formatting is foreign code, and may open spans: nothing is locked or borrowed meanwhile.
        let text = { callsite.has_texts() }
            .then(|| fields::texts(callsite, |visit| attributes.record(visit)));
        let text = text.as_ref().map_or(&[][..], Text::as_bytes);
        let id = id.into_u64();
        let added = thread::here(|spans| self.begin(spans, id, callsite, new, text));
        let Some(span) = added.flatten() else {
            note_dropped();
            return None;
        };
        if callsite.has_texts() && metadata.fields().field(fields::OTEL_STATUS).is_some() {
            fail_by_status(span, |visit| attributes.record(visit));
        }
        Some(span)
    }

    /// Begins the state of a new span; `None` if there is no memory.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "once with texts, once without")]
    fn begin(
        &self,
        spans: &mut Spans,
        id: u64,
        callsite: &'static Callsite,
        new: New,
        text: &[u8],
    ) -> Option<&'static Member<Span>> {
        let span = spans.take()?;
        // If somebody was forked away with the lock, the state is not used again.
        span.state()?.begin(callsite, new, text);
        if !self.spans.insert(id, span) {
            span.state()?.end();
            spans.give(span);
            return None;
        }
        Some(span)
    }

    /// Adds a new span that names its parent, or that is in no trace: it may begin a request.
    #[cold]
    fn add_elsewhere(
        &self,
        attributes: &Attributes<'_>,
        id: &Id,
        nearest_seen: &dyn Fn() -> Option<Id>,
    ) {
        let explicit = { attributes.parent() }
            .and_then(|parent| self.place_below_either(parent, nearest_seen));
        let new = thread::here(|spans| match explicit {
            Some(place) => Some(spans.see_new_at(place)),
            None => spans.see_new(self.number, attributes.is_root()),
        });
        let callsite = || fields::callsite(attributes.metadata(), &self.id_fields);
        if let Some(new) = new.flatten() {
            subscriber::note(new.place.trace);
            self.add(attributes, id, callsite(), new);
        } else {
            #[cfg(feature = "recorder")]
            self.add_request(attributes, id, callsite);
        }
    }

    /// Adds a new span that begins a request, if it does.
    #[cfg(feature = "recorder")]
    fn add_request(
        &self,
        attributes: &Attributes<'_>,
        id: &Id,
        callsite: impl FnOnce() -> &'static Callsite,
    ) {
        let Some(request) = self.requests.begin(attributes, &self.id_fields) else {
            return;
        };
        let place = super::requests::place(&request);
        subscriber::note(place.trace);
        let new = thread::here(|spans| spans.see_new_at(place));
        let added = new.and_then(|new| self.add(attributes, id, callsite(), new));
        if let Some(mut state) = added.and_then(|span| span.state()) {
            *state.request() = Some(request);
            if super::requests::Requests::awaits_answer(attributes.metadata()) {
                state.await_answer();
            }
        }
    }

    #[cold]
    fn place_below_either(
        &self,
        parent: &Id,
        nearest_seen: &dyn Fn() -> Option<Id>,
    ) -> Option<Place> {
        let place = self.place_below(parent);
        place.or_else(|| self.place_below(&nearest_seen()?))
    }

    /// Returns where a new span is that names its parent; `None` if that is in no trace.
    #[cold]
    fn place_below(&self, parent: &Id) -> Option<Place> {
        let parent = self.spans.get(parent.into_u64())?;
        let state = parent.state()?;
        Some(state.place_inside(SpanRef::new(parent, state.serial())))
    }

    #[inline(never)]
    fn enter(&self, id: &Id, metadata: &dyn Fn() -> Option<&'static Metadata<'static>>) {
        let key = self.key(id);
        let span = self.spans.get(key.id);
        if thread::here(|spans| spans.enter(key, span)) == Some(false) {
            self.enter_unknown(key, metadata());
        }
    }

    #[inline(never)]
    fn leave(&self, id: &Id) {
        let key = self.key(id);
        thread::here(|spans| spans.leave(key));
    }

    #[inline(never)]
    fn close(&self, id: &Id, span: &'static Member<Span>) {
        let key = self.key(id);
        let mut request = None;
        thread::here(|spans| spans.close(key, span, subscriber::note, &mut request));
        if request.is_some() {
            subscriber::settle();
        }
        // A request ends here, while nothing is borrowed.
    }

    /// Closes a span that has no state.
    #[cold]
    fn close_unknown(&self, id: &Id) {
        let key = self.key(id);
        thread::here(|spans| spans.leave_closed(key));
    }

    /// Enters a span that has no state, as a call of the current trace.
    #[cold]
    fn enter_unknown(&self, key: Key, metadata: Option<&'static Metadata<'static>>) {
        if let Some(metadata) = metadata.filter(|_| is_traced() && !self.is_second()) {
            let callsite = fields::callsite(metadata, &self.id_fields);
            thread::here(|spans| spans.enter_unknown(key, callsite));
        }
    }

    #[inline]
    fn is_second(&self) -> bool {
        self.is_second.load(Relaxed)
    }
}

/// Marks a span as failed if its fields say so.
fn fail_by_status(span: &Span, record: impl Fn(&mut dyn Visit)) {
    if fields::have_error_status(record)
        && let Some(mut state) = span.state()
    {
        state.fail(&Text::of(&fields::OTEL_STATUS));
    }
}

/// Whether a trace is current on this thread.
#[inline]
fn is_traced() -> bool {
    cursor::here(|here| here.strand().is_some())
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for CallLayer {
    fn on_layer(&mut self, subscriber: &mut S) {
        let below = (subscriber as &dyn Subscriber).is::<Self>();
        *self.is_second.get_mut() = below;
    }

    /// Layers that were put together before they were put on the subscriber are only seen here.
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        if let Some(first) = dispatch.downcast_ref::<Self>()
            && !std::ptr::eq(first, self)
            && !first.is_second()
        {
            self.is_second.store(true, Relaxed);
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let names_parent = attributes.parent().is_some();
        #[cfg(feature = "recorder")]
        let may_begin_request = self.requests.recorder.is_some();
        #[cfg(not(feature = "recorder"))]
        let may_begin_request = false;
        if is_traced() && !names_parent {
            if !self.is_second() {
                self.add_here(attributes, id);
            }
        } else if (names_parent || may_begin_request) && !self.is_second() {
            // A filter may hide the parent from this layer.
            self.add_elsewhere(attributes, id, &|| Some(context.span(id)?.parent()?.id()));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let Some(span) = self.spans.get(id.into_u64()) else {
            return;
        };
        let known = span.state().map(|it| (it.callsite(), it.trace()));
        let Some((callsite, trace)) = known else {
            return;
        };
        subscriber::note(trace);
        fields::each(
            callsite,
            |visit| values.record(visit),
            |place, text| {
                if let Some(mut state) = span.state() {
                    state.set(place, &text);
                }
            },
        );
        fail_by_status(span, |visit| values.record(visit));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        #[cfg(feature = "recorder")]
        self.requests.see(metadata, || {
            thread::here(|spans| spans.innermost()).flatten()
        });
        let is_checkpoint = *metadata.level() <= self.checkpoints;
        let may_fail = *metadata.level() <= self.failures || fields::may_tell_error(metadata);
        if self.is_second() || !(is_checkpoint || may_fail) {
            return;
        }
        // Formatting is foreign code: nothing is locked or borrowed meanwhile.
        let line = || fields::line(|visit| event.record(visit));
        let why = || fields::why(|visit| event.record(visit));
        if let Some(parent) = event.parent() {
            let Some(span) = self.spans.get(parent.into_u64()) else {
                return;
            };
            let call = || span.state()?.call();
            if is_checkpoint && let Some(call) = call() {
                annotate::checkpoint(call, line().as_str());
            }
            if may_fail {
                let why = why();
                if let Some(mut state) = span.state() {
                    state.fail(&why);
                }
            }
            return;
        }
        if !is_traced() {
            return;
        }
        let (of_span, of_strand) = thread::here(Spans::see_event).unwrap_or_default();
        if is_checkpoint {
            match (cursor::here(Position::innermost_running), of_strand) {
                (Some(call), _) => annotate::checkpoint(call, line().as_str()),
                (None, Some(call)) => annotate::checkpoint_from_below(call, line().as_str()),
                (None, None) => {}
            }
        }
        if may_fail
            && event.is_contextual()
            && let Some(call) = of_span
        {
            annotate::fail(call, &why());
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if is_traced() || !thread::is_outside() || self.spans.has(id.into_u64()) {
            self.enter(id, &|| context.metadata(id));
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if !thread::is_outside() {
            self.leave(id);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if let Some(span) = self.spans.remove(id.into_u64()) {
            self.close(&id, span);
        } else if !thread::is_outside() {
            self.close_unknown(&id);
        }
    }
}
