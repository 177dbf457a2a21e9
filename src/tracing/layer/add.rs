//! Adding a new span: in the current trace, below its explicit parent, or as a request.

use tracing_core::span::{Attributes, Id};

use crate::primitives::pool::Member;
use crate::primitives::text::Text;
use crate::store::callsite::Callsite;
use crate::tracing::fields;
#[cfg(feature = "recorder")]
use crate::tracing::requests::{self, Requests};
use crate::tracing::span::{New, Place, Span, SpanRef, note_dropped};
use crate::tracing::subscriber;
use crate::tracing::thread::{self, Spans};

use super::{CallLayer, fail_by_status};

impl CallLayer {
    /// Adds a new span of the current trace.
    #[inline(never)]
    pub(super) fn add_here(&self, attributes: &Attributes<'_>, id: &Id) {
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
    pub(super) fn add_elsewhere(
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
        let place = requests::place(&request);
        subscriber::note(place.trace);
        let new = thread::here(|spans| spans.see_new_at(place));
        let added = new.and_then(|new| self.add(attributes, id, callsite(), new));
        if let Some(mut state) = added.and_then(|span| span.state()) {
            *state.request() = Some(request);
            if Requests::awaits_answer(attributes.metadata()) {
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
}
