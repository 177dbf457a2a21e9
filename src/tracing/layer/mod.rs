//! The layer: what a subscriber tells of spans and events.

mod add;
mod settings;

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
use crate::write::cursor::{self, Position};
use crate::write::{checkpoint, failure};

use super::fields;
use super::span::Span;
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

    fn key(&self, id: u64) -> Key {
        Key {
            layer: self.number,
            id,
        }
    }

    #[inline(never)]
    fn enter(&self, id: u64, metadata: &dyn Fn() -> Option<&'static Metadata<'static>>) {
        let key = self.key(id);
        let span = self.spans.get(key.id);
        if thread::here(|spans| spans.enter(key, span)) == Some(false) {
            self.enter_unknown(key, metadata());
        }
    }

    /// Enters a span; out of line, so that a span of no trace needs no room on the stack.
    #[inline(never)]
    #[expect(clippy::needless_pass_by_value, reason = "for the same reason")]
    fn enter_in<S>(&self, id: &Id, context: Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.enter(id.into_u64(), &|| context.metadata(id));
    }

    #[inline(never)]
    fn leave(&self, id: u64) {
        let key = self.key(id);
        thread::here(|spans| spans.leave(key));
    }

    #[inline(never)]
    fn close(&self, id: u64, span: &'static Member<Span>) {
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
    fn close_unknown(&self, id: u64) {
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
                checkpoint::checkpoint(call, line().as_str());
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
                (Some(call), _) => checkpoint::checkpoint(call, line().as_str()),
                (None, Some(call)) => checkpoint::checkpoint_from_below(call, line().as_str()),
                (None, None) => {}
            }
        }
        if may_fail
            && event.is_contextual()
            && let Some(call) = of_span
        {
            failure::fail(call, &why());
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if is_traced() || !thread::is_outside() || self.spans.has(id.into_u64()) {
            self.enter_in(id, context);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if !thread::is_outside() {
            self.leave(id.into_u64());
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let id = id.into_u64();
        if let Some(span) = self.spans.remove(id) {
            self.close(id, span);
        } else if !thread::is_outside() {
            self.close_unknown(id);
        }
    }
}
